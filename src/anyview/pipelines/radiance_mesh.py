"""A radiance field to a coloured mesh: depth rendered from the training cameras, signed distances, triangles.

The distances are found in cells near what the views see, so that memory grows with the surface. Faces that more views
look through than see are cut away; parts that no view sees stay open.
Letters: H rows, W columns, N points, M vertices, F faces. World frame, scene units.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, UInt8
from scipy.spatial import KDTree

from anyview.cameras.rays import pixel_centers, rays
from anyview.errors import OptionError, SceneError
from anyview.formats.files import atomic_write
from anyview.formats.ply import write_ply
from anyview.progress import SILENT, Progress
from anyview.radiance.run import Run
from anyview.radiance.surface_views import VIEWS, chosen, surface_views
from anyview.reconstruction.meshing import compact, large_components, small_gaps
from anyview.reconstruction.surface.band import build_band
from anyview.reconstruction.surface.marching_cubes import marching_cubes
from anyview.reconstruction.surface.signed_distance import DepthView, confirmed, seen_colors, signed_distance
from anyview.reconstruction.surface.vertex_normals import vertex_normals
from anyview.reconstruction.texture.glb import write_colored_glb

_CELL = 1.5  # pixels' footprints: smaller cells show the noise of depth
_REACH = 4.0  # cells: a cell behind a surface lies up to 1.7 deep, and further along an oblique ray
_THERE = 0.5  # opacity from which on a pixel meets something
_FAR = 3.0  # median depths: nothing is meshed that no view sees nearer, where pixels are wider than cells
_CLOSE = 0.5  # cells: a view that sees a vertex so near confirms it
_GAPS = 5.0  # cells: holes that the views' doubts would leave are closed up to about so wide
_RIM = 4.0  # cells around the points
_MOST_CELLS = 1 << 19  # along an axis: the grid's numbers have twenty bits
_FEWEST_FACES = 100
_ENDINGS = (".ply", ".glb")
_GREY = 180
_TINY = 1e-6


@dataclass(frozen=True)
class FieldMesh:
    """Size of the mesh."""

    vertices: int
    faces: int


def export_mesh(
    run: Run, out: Path, faces: int | None = None, progress: Progress = SILENT, views: int = VIEWS
) -> FieldMesh:
    """Write the field's surface with normals and colours, in the scene's own coordinates (GLB: y up, as glTF wants).

    Args:
        run: the field.
        out: the file, PLY or GLB by its ending.
        faces: at most so many; None keeps all.
        progress: told of every view.
        views: most training views that are rendered.

    Raises:
        OptionError: another ending, too few faces or views.
        SceneError: the field is nowhere opaque.
        WorkspaceError: the file cannot be written.
    """
    if out.suffix.lower() not in _ENDINGS:
        raise OptionError(
            "unknown kind of mesh", where="--out", expected="a name that ends in .ply or .glb", actual=out
        )
    if faces is not None and faces < _FEWEST_FACES:
        raise OptionError("too few faces", where="--faces", expected=f"{_FEWEST_FACES} or more", actual=faces)
    nothing = SceneError("the field is nowhere opaque", where=run.folder, hint="train it longer")
    seen = _rendered(run, views, progress)
    if not any(view.depth.any() for view in seen):
        raise nothing
    with progress.stage("mesh", 3) as advance:
        footprints = [float(np.median(v.depth[v.depth > 0]) / v.camera.fx) for v in seen if v.depth.any()]
        vertices, triangles, reach = _surface(seen, _CELL * float(np.median(footprints)))
        if not len(triangles):
            raise nothing
        advance()
        if faces is not None and len(triangles) > faces:
            vertices, triangles = _simplified(vertices, triangles, faces)
        normals = vertex_normals(vertices, triangles)
        advance()
        colors = _colors(vertices, normals, seen, reach)
        with atomic_write(out) as temporary:
            if out.suffix.lower() == ".glb":
                write_colored_glb(temporary, vertices, triangles, normals, colors)
            else:
                write_ply(temporary, vertices.astype(np.float32), normals.astype(np.float32), colors, triangles)
        advance()
    return FieldMesh(len(vertices), len(triangles))


def _rendered(run: Run, most: int, progress: Progress) -> list[DepthView]:
    """What the cameras see. A pixel that meets nothing says that there is nothing."""
    views, found = chosen(run.views.train, most), []
    with progress.stage("views", len(views)) as advance:
        for shot, seen in surface_views(run, views, progress):
            depth = np.where(seen.opacity >= _THERE, seen.depth, np.float32(0))
            rgb = np.round(255 * seen.rgb.clip(0, 1)).astype(np.uint8)
            found.append(DepthView(shot.camera, shot.world_from_cam, depth, rgb))
            advance()
    return found


def _surface(seen: list[DepthView], cell: float) -> tuple[Float64[np.ndarray, "M 3"], Int32[np.ndarray, "F 3"], float]:
    """Vertices, faces, and how far from what a view sees its word counts, scene units."""
    farthest = _FAR * float(np.median(np.concatenate([v.depth[v.depth > 0] for v in seen])))
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for view in seen:
        places = _places(view, farthest)
        low, high = np.minimum(low, places.min(0, initial=np.inf)), np.maximum(high, places.max(0, initial=-np.inf))
    cell = max(cell, float((high - low).max()) / _MOST_CELLS)
    origin = low - _RIM * cell
    # one point in the middle of each cell that anything lies in; whose normal it is does not matter to the band
    cells = [np.unique(((_places(view, farthest) - origin) / cell).astype(np.int32), axis=0) for view in seen]
    points = np.unique(np.concatenate(cells), axis=0) + 0.5
    band = build_band(points, np.zeros(points.shape, np.float32), np.ones(len(points), np.float32))
    values, known = signed_distance(band.node * cell + origin, seen, _REACH * cell)
    after = np.where((band.after >= 0) & known[band.after] & known[:, None], band.after, np.int32(-1))
    vertices, faces = marching_cubes(np.where(values == 0, np.float32(_TINY), values), band.node, after)
    vertices = vertices * cell + origin
    if not len(faces):
        return vertices, faces, _REACH * cell
    keep = confirmed(vertices, seen, _CLOSE * cell)[faces].all(1)
    keep |= small_gaps(vertices, faces, ~keep, (_GAPS * cell) ** 2)
    keep &= large_components(faces, keep, len(vertices))
    return *_used(vertices, faces[keep]), _REACH * cell


def _places(view: DepthView, farthest: float) -> Float64[np.ndarray, "N 3"]:
    """What the view's pixels see up to a depth."""
    origin, directions = rays(view.camera, view.world_from_cam, pixel_centers(view.camera.width, view.camera.height))
    near = (view.depth > 0) & (view.depth <= farthest)
    return origin + directions.reshape(*near.shape, 3)[near] * view.depth[near, None].astype(np.float64)


def _simplified(
    vertices: Float64[np.ndarray, "M 3"], faces: Int32[np.ndarray, "F 3"], most: int
) -> tuple[Float64[np.ndarray, "m 3"], Int32[np.ndarray, "f 3"]]:
    """At most so many faces, none of them without area."""
    import fast_simplification

    middle = vertices.mean(0)  # far from zero single precision has few digits left
    points, triangles = fast_simplification.simplify((vertices - middle).astype(np.float32), faces, target_count=most)
    corners = points.astype(np.float64)[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return _used(points + middle, np.asarray(triangles, np.int32)[area > 0])


def _used(
    vertices: Float64[np.ndarray, "M 3"], faces: Int32[np.ndarray, "F 3"]
) -> tuple[Float64[np.ndarray, "m 3"], Int32[np.ndarray, "f 3"]]:
    """The same without vertices that no face uses."""
    vertices, faces, _ = compact(vertices, faces, np.zeros((len(vertices), 3), np.uint8))
    return vertices, faces


def _colors(
    vertices: Float64[np.ndarray, "M 3"], normals: Float64[np.ndarray, "M 3"], seen: list[DepthView], reach: float
) -> UInt8[np.ndarray, "M 3"]:
    """What the views see at each vertex; a vertex that none sees takes its nearest neighbour's."""
    colors, known = seen_colors(vertices, normals, seen, reach)
    if known.all() or not known.any():
        return np.round(colors if known.any() else np.full_like(colors, _GREY)).astype(np.uint8)
    colors[~known] = colors[known][KDTree(vertices[known]).query(vertices[~known])[1]]
    return np.round(colors).astype(np.uint8)
