"""The cloud that turns in the page: thinned to a grid, quantised, with the cameras around it.

The page's frame has y up, its origin in the middle of the cloud, and the cloud within the cube [-1, 1]^3. Layout of the
bytes: int16 x, y, z of all points (little endian, 32767 = 1), then uint8 red, green, blue of all points.
Letters: N points, M points kept, V views.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt8
from numpy.typing import NDArray

from anyview.report.cameras_plot import camera_frusta
from anyview.report.sides import camera_up, near_the_object, side_directions
from anyview.scene.scene import Scene

LIMIT = 60_000
_CAMERAS = 250
_WHOLE = 32767
_SEARCH = 200_000
_GREY = 168
_ENOUGH = 5  # points per point kept that its mean is taken of


@dataclass(frozen=True, eq=False)
class PackedCloud:
    """What the viewer draws.

    Attributes:
        data: base64 of the points' bytes.
        count: M.
        spacing: side of a grid cell, in the page's frame: how large a point is to be drawn.
        cameras: base64 of float32 (V, 6, 3): centre, four corners, tip of each frustum.
        camera_count: V; of large captures some views are left out.
    """

    data: str
    count: int
    spacing: float
    cameras: str
    camera_count: int


def pack_cloud(
    scene: Scene,
    xyz: Float[np.ndarray, "N 3"],
    rgb: UInt8[np.ndarray, "N 3"] | None,
    limit: int = LIMIT,
) -> PackedCloud | None:
    """Thin the cloud to at most `limit` points and write it in the page's frame; None where no point is finite.

    Args:
        scene: tells which way is up, and gives the cameras.
        xyz: world; far outliers are left out.
        rgb: grey without them.
        limit: most points.
    """
    step = -(-len(xyz) // (_ENOUGH * limit))
    xyz, rgb = xyz[::step], None if rgb is None else rgb[::step]
    near = near_the_object(xyz)
    if not near.any():
        return None
    points = np.asarray(xyz[near], np.float64)
    colors = np.full(points.shape, _GREY, np.uint8) if rgb is None else rgb[near]
    rotation = _page_from_world(scene)
    points = points @ rotation.T
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-12)
    points, colors, spacing = thin((points - middle) / half, colors, limit)
    frusta = camera_frusta(scene, xyz[near][:: -(-len(xyz) // 2000)])[:: -(-len(scene) // _CAMERAS)]
    frusta = (frusta @ rotation.T - middle) / half
    whole = np.rint(np.clip(points, -1, 1) * _WHOLE).astype("<i2").tobytes() + colors.tobytes()
    return PackedCloud(
        _base64(whole), len(points), round(spacing, 6), _base64(frusta.astype("<f4").tobytes()), len(frusta)
    )


def thin(
    points: Float64[np.ndarray, "N 3"], rgb: UInt8[np.ndarray, "N 3"], limit: int
) -> tuple[Float64[np.ndarray, "M 3"], UInt8[np.ndarray, "M 3"], float]:
    """One point per occupied cell of a grid, with the cell's mean position and colour.

    Returns:
        positions and colours in the order of a fixed shuffle (so that any first part is a thinner cloud), and the side
        of a cell: the smallest, within a few percent, that leaves at most `limit` points.
    """
    extent = max(float(np.ptp(points, axis=0).max()), 1e-12)
    few = points[:: -(-len(points) // _SEARCH)]
    cell = extent / 4000
    for _ in range(12):
        occupied = len(np.unique(_cells(few, cell)))
        if occupied <= limit:
            break
        # On a surface the count falls with the square of the cell; a little more, to end.
        cell *= max(1.02, float(np.sqrt(occupied / limit)))
    while True:
        _, inverse, counts = np.unique(_cells(points, cell), return_inverse=True, return_counts=True)
        if len(counts) <= limit:
            break
        cell *= max(1.02, float(np.sqrt(len(counts) / limit)))
    position, color = (
        np.stack([np.bincount(inverse, a[:, k].astype(np.float64)) for k in range(3)], axis=1) / counts[:, None]
        for a in (points, rgb)
    )
    order = np.random.default_rng(0).permutation(len(counts))
    # Sparse clouds have fewer points than cells of this size: their points may be drawn larger.
    spacing = max(cell, extent / 4 / np.sqrt(len(counts)))
    return position[order], np.rint(color[order]).astype(np.uint8), min(spacing, 0.05 * extent)


def _cells(points: Float64[np.ndarray, "N 3"], cell: float) -> NDArray[np.int64]:
    x, y, z = np.floor((points - points.min(axis=0)) / cell).astype(np.int64).T
    return np.asarray((x << 42) | (y << 21) | z)


def _page_from_world(scene: Scene) -> Float64[np.ndarray, "3 3"]:
    """Rotation into the page's frame: y up, the first side towards the reader (z)."""
    poses = [view.world_from_cam for view in scene]
    up, front = camera_up(poses), side_directions(poses)[0]
    front = front - (front @ up) * up
    front = front / np.linalg.norm(front)
    return np.stack([np.cross(up, front), up, front])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
