"""Where a reconstruction leaves room for a surface: around its points, and where its depth maps have holes.

What a reconstruction has missed can still be learnt: cells that several views look into, but whose depth none of them
knows. Cells before what is known, and behind it, are closed. Bounds only: no loss asks the field for these depths.

Letters: G cells per side, N points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.ndimage import binary_dilation

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, rotation_from_quaternion
from anyview.cameras.rays import largest_shift
from anyview.errors import SceneError
from anyview.formats.colmap import is_model, read_array, read_model
from anyview.formats.files import digest_file
from anyview.formats.ply import read_ply
from anyview.typing import Points, Pose
from anyview.workspace.workspace import fingerprint

_AROUND = 2  # cells around a point in which the surface may be
_MARGIN = 1.0  # cells between a cell and the depths that lie before or behind it
_THROUGH = 2  # depth maps that, looking through a cell, show that it is empty
_NEAREST, _BEFORE = 0.01, 0.9  # quantile of a map's depths, and the share of it before which its holes show nothing
_FEWEST, _SHARE = 3, 0.2  # views that look into a hole, and of those that show it; inside solid things it is one in ten


class DepthView(NamedTuple):
    """A view of the reconstruction and what it found there."""

    camera: Camera  # a pinhole, of the map's size
    cam_from_world: Pose
    depth: Float32[np.ndarray, "H W"]  # z, scene units; 0 where unknown


def depth_views(work: Path) -> Iterator[DepthView]:
    """Views with depth maps of a workspace, ours or COLMAP's, one at a time; none where it has no maps.

    Raises:
        FormatError: a file is damaged.
    """
    dense = work / "dense" if (work / "dense").is_dir() else work
    if not is_model(dense / "sparse"):
        return
    model = read_model(dense / "sparse")
    for image in model.images.values():
        path = dense / "stereo" / "depth_maps" / f"{image.name}.geometric.bin"
        if path.is_file():
            depth = np.asarray(read_array(path))
            height, width = depth.shape
            told = model.cameras[image.camera_id]
            camera = Camera(told.model, told.width, told.height, told.params).resized(width, height)
            yield DepthView(camera, compose(rotation_from_quaternion(image.quaternion), image.translation), depth)


def left_open(
    work: Path, points: Points, low: Float64[np.ndarray, "3"], side: float, possible: UInt8[np.ndarray, "G G G"]
) -> UInt8[np.ndarray, "G G G"]:
    """Those of the possible cells (z, y, x) of a cube in which a reconstruction allows for a surface.

    Args:
        work: its folder.
        points: its points, world.
        low, side: corner and side of the cube, world.

    Raises:
        SceneError: none of the points lies in a possible cell, or next to one.
        FormatError: a depth map or the model of the cameras is damaged.
    """
    near = possible & shell(points, low, side, len(possible))
    if not near.any():
        raise SceneError(
            "the reconstruction lies elsewhere", where=work, expected="one of the same scene",
            hint="reconstruct this scene",
        )  # fmt: skip
    return near | missed(depth_views(work), low, side, possible)


def missed(
    views: Iterable[DepthView], low: Float64[np.ndarray, "3"], side: float, possible: UInt8[np.ndarray, "G G G"]
) -> UInt8[np.ndarray, "G G G"]:
    """Those of the possible cells (z, y, x) of a cube in which depth maps have missed a surface, perhaps.

    Not right before a camera: holes of few photographs would leave room there for fog that only one of them sees.
    """
    cells = len(possible)
    index = np.argwhere(possible)
    centers = low + (index[:, ::-1] + 0.5) * side / cells
    radius = 0.5 * 3**0.5 * side / cells
    reach = radius + _MARGIN * side / cells
    through, shown, hidden = (np.zeros(len(index), np.int32) for _ in range(3))
    for camera, pose, depth in views:
        x, y, z = pose[:3, :3] @ centers.T + pose[:3, 3:]
        front = np.flatnonzero(z > 0)
        column = np.floor(camera.fx * x[front] / z[front] + camera.cx)
        row = np.floor(camera.fy * y[front] / z[front] + camera.cy)
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        which = front[inside]
        at = row[inside].astype(np.intp), column[inside].astype(np.intp)
        pixels = int(np.ceil(radius * largest_shift(camera) / max(z.min(), radius)))
        nearest, farthest = _extremes(depth, 2 * pixels + 1)
        known = depth[depth > 0]
        first = _BEFORE * float(np.quantile(known, _NEAREST)) if len(known) else 0.0
        through[which] += (nearest[at] > z[which] + reach) | (z[which] + reach < first)
        shown[which] += 1
        hidden[which] += farthest[at] < z[which] - reach
    into = shown - through - hidden
    left = np.zeros_like(possible)
    left[tuple(index[(through < _THROUGH) & (into >= _FEWEST) & (into >= _SHARE * shown)].T)] = 1
    return left


def shell(points: Points, low: Float64[np.ndarray, "3"], side: float, cells: int) -> UInt8[np.ndarray, "G G G"]:
    """Cells of a cube within two cells of a point (z, y, x)."""
    index = np.floor((points - low) / side * cells).astype(np.int64)
    index = index[((index >= 0) & (index < cells)).all(1)]
    near = np.zeros((cells, cells, cells), bool)
    near[index[:, 2], index[:, 1], index[:, 0]] = True
    return binary_dilation(near, np.ones((3, 3, 3), bool), _AROUND).astype(np.uint8)


def around(points: Points, cells: int) -> tuple[Float64[np.ndarray, "3"], float]:
    """Corner and side of a cube that holds the points and the cells around them, world."""
    low, high = points.min(0), points.max(0)
    side = float((high - low).max()) * (1 + 2 * (_AROUND + 1) / cells)
    return (low + high) / 2 - side / 2, side


def reconstructed_points(work: Path) -> Points:
    """The dense cloud and the mesh's vertices of a reconstruction's folder.

    Raises:
        SceneError: neither is there, or both are empty.
    """
    found = [read_ply(work / name).xyz for name in ("fused.ply", "mesh.ply") if (work / name).is_file()]
    if not found:
        raise SceneError(
            "no reconstruction", where=work, expected="fused.ply or mesh.ply",
            hint="run `anyview reconstruct SCENE --out WORK` first",
        )  # fmt: skip
    points: Points = np.concatenate(found).astype(np.float64)
    if not len(points):
        raise SceneError("the reconstruction is empty", where=work, hint="run `anyview reconstruct` on the scene again")
    return points


def reconstruction_fingerprint(work: Path) -> str:
    """Digest of a reconstruction's points and cameras, and of the names and sizes of its depth maps."""
    dense = work / "dense" if (work / "dense").is_dir() else work
    whole = [work / "fused.ply", work / "mesh.ply", *sorted((dense / "sparse").glob("*.bin"))]
    maps = sorted((dense / "stereo" / "depth_maps").rglob("*.geometric.bin"))
    return fingerprint(
        [
            [(path.name, digest_file(path)) for path in whole if path.is_file()],
            [(str(path.relative_to(dense)), path.stat().st_size) for path in maps],
        ]
    )


def _extremes(
    depth: Float32[np.ndarray, "H W"], width: int
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Least and largest depth of the square of pixels around each; 0 and infinite where one of them is unknown."""
    square = np.ones((width, width), np.uint8)
    unknown = np.where(depth > 0, depth, np.float32(np.inf)).astype(np.float32)
    outside = cv2.BORDER_CONSTANT
    nearest = cv2.erode(np.maximum(depth, 0), square, borderType=outside, borderValue=0.0)
    farthest = cv2.dilate(unknown, square, borderType=outside, borderValue=np.inf)
    return nearest, farthest
