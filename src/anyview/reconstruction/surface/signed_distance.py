"""Depth maps to the function whose zero is their surface: truncated signed distances (Curless and Levoy 1996).

Along the ray of each pixel a node lies so far in front of what the pixel sees (positive) or behind it (negative). A
node's value is the weighted mean over all views, cut off at `reach`; a view knows nothing of what lies further behind.
What one view puts where others look through is outvoted. A view weighs by how densely its pixels lie there, 1 / z^2,
and less behind its surface, where a thin thing's other side may be.
Letters: K nodes or vertices, H rows, W columns. World frame, scene units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from numpy.typing import NDArray

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse
from anyview.jit import njit
from anyview.typing import Pose


class DepthView(NamedTuple):
    """What a view sees."""

    camera: Camera  # a pinhole
    world_from_cam: Pose
    depth: Float32[np.ndarray, "H W"]  # z; 0 where the view sees that nothing is there, nan where it knows nothing
    rgb: UInt8[np.ndarray, "H W 3"]


def signed_distance(
    places: Float64[np.ndarray, "K 3"], views: Sequence[DepthView], reach: float
) -> tuple[Float32[np.ndarray, " K"], Bool[np.ndarray, " K"]]:
    """Mean distances in units of `reach`, in [-1, 1], negative inside, and which places any view knows of.

    Args:
        places: world.
        views: that vote.
        reach: distance at which distances are cut off, scene units; several pixels' footprints.
    """
    sums = np.zeros((len(places), 2))
    for view in views:
        _vote(places, inverse(view.world_from_cam), *_lens(view.camera), view.depth, reach, sums)
    known = sums[:, 1] > 0
    return (sums[:, 0] / np.where(known, sums[:, 1], 1)).astype(np.float32), known


def confirmed(
    vertices: Float64[np.ndarray, "K 3"], views: Sequence[DepthView], tolerance: float
) -> Bool[np.ndarray, " K"]:
    """Which vertices more views see there than look through them.

    A view sees one if any pixel around does, and looks through if all pixels around do: beside a thing's outline lies
    what is behind it.

    Args:
        vertices: of a surface, world.
        views: that are asked.
        tolerance: difference of depth up to which a view sees a vertex, scene units; from twice as much on it looks
            through.
    """
    balance = np.zeros(len(vertices), np.int32)
    for view in views:
        _confirm(vertices, inverse(view.world_from_cam), *_lens(view.camera), view.depth, tolerance, balance)
    more: Bool[np.ndarray, " K"] = balance > 0
    return more


def seen_colors(
    vertices: Float64[np.ndarray, "K 3"], normals: Float64[np.ndarray, "K 3"], views: Sequence[DepthView], reach: float
) -> tuple[Float64[np.ndarray, "K 3"], Bool[np.ndarray, " K"]]:
    """Mean colours (0 to 255) over the views that see a vertex, those that face it first, and which any view sees.

    Args:
        vertices, normals: of a surface, world.
        views: with pictures.
        reach: a view sees a vertex if it lies no further from its surface than this, scene units.
    """
    sums = np.zeros((len(vertices), 4))
    for view in views:
        center = np.ascontiguousarray(view.world_from_cam[:3, 3])
        pose = inverse(view.world_from_cam)
        _paint(vertices, normals, center, pose, *_lens(view.camera), view.depth, view.rgb, reach, sums)
    seen = sums[:, 3] > 0
    return sums[:, :3] / np.where(seen, sums[:, 3], 1)[:, None], seen


def _lens(camera: Camera) -> tuple[float, float, float, float]:
    return camera.fx, camera.fy, camera.cx, camera.cy


@njit(nogil=True, cache=True)
def _project(
    place: NDArray[np.float64], pose: NDArray[np.float64], fx: float, fy: float, cx: float, cy: float
) -> tuple[float, float, float]:
    """Pixel coordinates and depth; depth 0 behind the camera."""
    z = pose[2, 0] * place[0] + pose[2, 1] * place[1] + pose[2, 2] * place[2] + pose[2, 3]
    if z <= 0:
        return 0.0, 0.0, 0.0
    x = pose[0, 0] * place[0] + pose[0, 1] * place[1] + pose[0, 2] * place[2] + pose[0, 3]
    y = pose[1, 0] * place[0] + pose[1, 1] * place[1] + pose[1, 2] * place[2] + pose[1, 3]
    return fx * x / z + cx, fy * y / z + cy, z


@njit(nogil=True, cache=True)
def _vote(
    places: NDArray[np.float64],
    pose: NDArray[np.float64],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    depth: NDArray[np.float32],
    reach: float,
    sums: NDArray[np.float64],
) -> None:
    height, width = depth.shape
    for i in range(len(places)):
        u, v, z = _project(places[i], pose, fx, fy, cx, cy)
        if not (z > 0 and 0 <= u < width and 0 <= v < height):
            continue
        seen = _read(depth, u, v, reach)
        if np.isnan(seen):
            continue
        away = 1.0 if seen == 0 else min((seen - z) / reach, 1.0)
        if away > -1:
            weight = min(1 + away, 1.0) / (z * z)
            sums[i, 0] += weight * away
            sums[i, 1] += weight


@njit(nogil=True, cache=True)
def _read(depth: NDArray[np.float32], u: float, v: float, reach: float) -> float:
    """Between the four pixels around where they see one surface, else the nearest one's."""
    height, width = depth.shape
    nearest = float(depth[int(v), int(u)])
    x, y = u - 0.5, v - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    if left < 0 or top < 0 or left + 1 >= width or top + 1 >= height or nearest == 0:
        return nearest
    total = 0.0
    for k in range(4):
        row, column = top + (k >> 1), left + (k & 1)
        value = float(depth[row, column])
        if not abs(value - nearest) < reach:  # an edge, nothing there, or nan
            return nearest
        total += value * (1 - abs(x - column)) * (1 - abs(y - row))
    return total


@njit(nogil=True, cache=True)
def _confirm(
    vertices: NDArray[np.float64],
    pose: NDArray[np.float64],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    depth: NDArray[np.float32],
    tolerance: float,
    balance: NDArray[np.int32],
) -> None:
    height, width = depth.shape
    for i in range(len(vertices)):
        u, v, z = _project(vertices[i], pose, fx, fy, cx, cy)
        if not (z > 0 and 0 <= u < width and 0 <= v < height):
            continue
        there, through = False, True
        for row in range(max(int(v) - 1, 0), min(int(v) + 2, height)):
            for column in range(max(int(u) - 1, 0), min(int(u) + 2, width)):
                seen = depth[row, column]
                there |= abs(seen - z) < tolerance
                through &= seen == 0 or seen - z > 2 * tolerance
        balance[i] += 1 if there else -1 if through else 0


@njit(nogil=True, cache=True)
def _paint(
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64],
    center: NDArray[np.float64],
    pose: NDArray[np.float64],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    depth: NDArray[np.float32],
    rgb: NDArray[np.uint8],
    reach: float,
    sums: NDArray[np.float64],
) -> None:
    height, width = depth.shape
    for i in range(len(vertices)):
        u, v, z = _project(vertices[i], pose, fx, fy, cx, cy)
        if not (z > 0 and 0 <= u < width and 0 <= v < height):
            continue
        row, column = int(v), int(u)
        if not abs(depth[row, column] - z) < reach:
            continue
        dx, dy, dz = center[0] - vertices[i, 0], center[1] - vertices[i, 1], center[2] - vertices[i, 2]
        facing = dx * normals[i, 0] + dy * normals[i, 1] + dz * normals[i, 2]
        if facing <= 0:
            continue
        weight = facing**2 / (dx * dx + dy * dy + dz * dz) / (z * z)
        for k in range(3):
            sums[i, k] += weight * rgb[row, column, k]
        sums[i, 3] += weight
