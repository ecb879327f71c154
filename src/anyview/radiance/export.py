"""A field's surface as a cloud: what several training cameras see alike of it, one point per small cube.

In the scene's own coordinates and units. Letters: H rows, W columns, N points.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from anyview.cameras.rays import pixel_centers, rays
from anyview.errors import OptionError, SceneError
from anyview.formats.files import atomic_write
from anyview.formats.ply import write_ply
from anyview.progress import SILENT, Progress
from anyview.radiance.agreement import Sight, agreeing_views
from anyview.radiance.image import RenderedView
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import Run
from anyview.radiance.surface_views import OPAQUE, VIEWS, chosen, surface_views

_AGREE = 3  # views that must see a point, where there are so many
_CLOSE = 1.0  # pixels' footprints: a view that sees a surface so near to a point sees the point
_STEEP = 0.05  # difference to a neighbour's depth, as a share of depth, at which a pixel lies on an edge


def export_points(
    run: Run, out: Path, spacing: float | None = None, progress: Progress = SILENT, views: int = VIEWS
) -> int:
    """Write a cloud with colours and normals as PLY; gives the number of points.

    A point stays if three views see a surface there (all of them where fewer are rendered): the fog and floaters of a
    field that is not trained to the end lie elsewhere for every view.

    Args:
        run: the field.
        out: the file.
        spacing: side of the cubes of which each gives one point, scene units; by default a rendered pixel's.
        progress: told of every view.
        views: most training views that are rendered.

    Raises:
        OptionError: a file that is no PLY.
        SceneError: the field is nowhere opaque, or views agree on nothing.
        WorkspaceError: the file cannot be written.
    """
    if out.suffix.lower() != ".ply":
        raise OptionError("points are written as PLY", where="--out", expected="a name that ends in .ply", actual=out)
    if spacing is not None and not 0 < spacing < np.inf:
        raise OptionError("points need a distance", where="--spacing", expected="above 0", actual=spacing)
    of = chosen(run.views.train, views)
    fine: float | None = None
    cloud: Float64[np.ndarray, "N 10"] = np.empty((0, 10))  # position, normal, colour, weight
    found: list[Float64[np.ndarray, "N 10"]] = []  # the same of views that are not in the cloud yet
    sights: list[Sight] = []
    with progress.stage("views", len(of)) as advance:
        for shot, seen in surface_views(run, of, progress):
            if fine is None and seen.depth.any():
                fine = float(np.median(seen.depth[seen.depth > 0]) / shot.camera.fx)
            if fine is not None:
                found.append(thinned(surface_points(shot, seen), fine))
                if sum(map(len, found)) > len(cloud):  # what several views see is kept once
                    cloud, found = thinned(np.concatenate([cloud, *found]), fine), []
            sights.append(Sight(shot, np.where(seen.opacity >= OPAQUE, seen.depth, np.float32(0))))
            advance()
    if fine is None or not len(cloud):
        raise SceneError("the field is nowhere opaque", where=run.folder, hint="train it longer")
    cloud, wanted = thinned(np.concatenate([cloud, *found]), fine), min(_AGREE, len(sights))
    cloud = cloud[agreeing_views(cloud[:, :3], cloud[:, 3:6], sights, _CLOSE) >= wanted]
    if not len(cloud):
        raise SceneError(f"no {wanted} views agree on a surface", where=run.folder, hint="train it longer")
    cloud = cloud if spacing is None else thinned(cloud, spacing)
    normals = cloud[:, 3:6] / np.linalg.norm(cloud[:, 3:6], axis=1, keepdims=True).clip(1e-12)
    with atomic_write(out) as temporary:
        colors = np.round(255 * cloud[:, 6:9].clip(0, 1)).astype(np.uint8)
        write_ply(temporary, cloud[:, :3], normals, colors)
    return len(cloud)


def surface_points(shot: Shot, seen: RenderedView) -> Float64[np.ndarray, "N 10"]:
    """Position, normal towards the camera, colour and weight 1 of the pixels that see a surface."""
    camera = shot.camera
    origin, directions = rays(camera, shot.world_from_cam, pixel_centers(camera.width, camera.height))
    depth = seen.depth.astype(np.float64)
    places = origin + directions.reshape(*depth.shape, 3) * depth[..., None]
    right, down = np.zeros_like(places), np.zeros_like(places)
    right[:, 1:-1] = places[:, 2:] - places[:, :-2]
    down[1:-1] = places[2:] - places[:-2]
    normals = np.cross(down, right)  # x right, y down, z forward: towards the camera
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    keep = (seen.opacity >= OPAQUE) & _smooth(depth) & (length[..., 0] > 0)
    rows = np.concatenate([places, normals / length.clip(1e-300), seen.rgb, np.ones((*depth.shape, 1))], -1)
    return rows[keep]


def _smooth(depth: Float64[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose four neighbours are about as deep."""
    smooth = np.zeros(depth.shape, bool)
    middle = depth[1:-1, 1:-1]
    around = (depth[:-2, 1:-1], depth[2:, 1:-1], depth[1:-1, :-2], depth[1:-1, 2:])
    smooth[1:-1, 1:-1] = np.all([np.abs(other - middle) < _STEEP * middle for other in around], 0)
    return smooth


def thinned(rows: Float64[np.ndarray, "N 10"], spacing: float) -> Float64[np.ndarray, "M 10"]:
    """The weighted mean of each cube's rows; the last column, the weight, is summed."""
    if not len(rows):
        return rows
    _, cube = np.unique(np.floor(rows[:, :3] / spacing).astype(np.int64), axis=0, return_inverse=True)
    weight = np.bincount(cube.ravel(), rows[:, 9])
    sums = [np.bincount(cube.ravel(), rows[:, k] * rows[:, 9]) / weight for k in range(9)]
    return np.stack([*sums, weight], 1)
