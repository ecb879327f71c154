"""Whether one neighbour's surface agrees with a pixel's, and where along the pixel's ray it lies.

The neighbour's surface is read between its pixels, so that agreement does not depend on where the pixel grid happens to
fall, and is carried back to the reference ray along its tangent plane.

Letters: H, W rows and columns. Frames: ref and src are the cameras of the reference and of one neighbour. Depths are z,
scene units; the first pixel's centre is at (0.5, 0.5).

Source: Schoenberger et al. 2016, section 5 (consistency in pixels, depth and normals).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit

OUTSIDE, USED = 1, 2
"""Bits of a pixel's state: outside the mask; part of an earlier view's point."""

NORMAL_SCALE = np.float32(32767)
"""Normals are held as int16 times this."""

KERNEL = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "arcp", "nsz", "reassoc"}}
PART = {**KERNEL, "cache": False, "_nrt": False, "forceinline": True}


class Limits(NamedTuple):
    """What counts as agreement."""

    reprojection: float  # pixels
    depth: float  # relative
    cosine: float  # of the angle between normals
    min_views: int  # own view included
    consensus: float  # 0 to 1; see `combine`
    nearest: float  # depth of a point in the view that it comes from, scene units
    farthest: float


class Surface(NamedTuple):
    """One view's surface and camera."""

    depth: np.ndarray  # (H, W) float32, 0 = none
    normal: np.ndarray  # (H, W, 3) int16, camera frame
    state: np.ndarray  # (H, W) uint8
    camera: np.ndarray  # (4,) float64: fx, fy, cx, cy


class Maps(NamedTuple):
    """The same with what a point is given: cost and colour."""

    depth: np.ndarray
    normal: np.ndarray
    cost: np.ndarray  # (H, W) uint8, 0 best
    rgb: np.ndarray  # (H, W, 3) uint8
    state: np.ndarray
    camera: np.ndarray


@njit(**PART)
def _surface(depth, x, y, tolerance):
    """Depth between pixels: bilinear in 1/z where four pixels lie on one surface, else the nearest pixel's."""
    height, width = depth.shape
    nearest = depth[int(y), int(x)]
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    if nearest <= 0 or left < 0 or top < 0 or left + 1 >= width or top + 1 >= height:
        return nearest, False
    a, b, c, d = depth[top, left], depth[top, left + 1], depth[top + 1, left], depth[top + 1, left + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= 0 or high - low > tolerance * nearest:
        return nearest, False
    u, v = x - 0.5 - left, y - 0.5 - top
    inverse = (1 - v) * ((1 - u) / a + u / b) + v * ((1 - u) / c + u / d)
    return 1 / inverse, True


@njit(**PART)
def meet(row, column, ref, src, src_from_ref, limits):
    """Does a neighbour agree with a reference pixel, and what does it put in its place?

    Args:
        row, column: of a pixel with depth.
        ref, src: `Surface` or `Maps`.
        src_from_ref: (3, 4) float64.
        limits: `Limits`.

    Returns:
        1 where it agrees, 0 where it does not see the point or differs in normal or position, -1 where it contradicts;
        where the point falls in its image (u, v, pixels); its depth there; and its surface's depth on the reference ray
        with its normal (x, y, z), reference frame.
    """
    r = src_from_ref
    t = (r[0, 3], r[1, 3], r[2, 3])
    fx, fy, cx, cy = ref.camera
    sx, sy, scx, scy = src.camera
    height, width = src.depth.shape
    z = ref.depth[row, column]
    rx, ry = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
    # the ray, and the point on it, in the neighbour's frame
    ax = r[0, 0] * rx + r[0, 1] * ry + r[0, 2]
    ay = r[1, 0] * rx + r[1, 1] * ry + r[1, 2]
    az = r[2, 0] * rx + r[2, 1] * ry + r[2, 2]
    px, py, pz = ax * z + t[0], ay * z + t[1], az * z + t[2]
    if pz <= 0:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    px, py = px / pz, py / pz
    u, v = sx * px + scx, sy * py + scy
    if not (0 <= u < width and 0 <= v < height):
        return 0, u, v, 0.0, 0.0, 0.0, 0.0, 0.0
    su, sv = int(u), int(v)
    if src.state[sv, su] & OUTSIDE:
        return -1, u, v, 0.0, 0.0, 0.0, 0.0, 0.0
    seen, smooth = _surface(src.depth, u, v, 0.02)
    if seen <= 0:
        return 0, u, v, 0.0, 0.0, 0.0, 0.0, 0.0
    if abs(seen - pz) > limits.depth * seen:  # further away, the neighbour looks through the point
        return (-1 if seen > pz else 0), u, v, seen, 0.0, 0.0, 0.0, 0.0
    # normals, both in the neighbour's frame
    k = 1 / NORMAL_SCALE
    nx, ny, nz = src.normal[sv, su, 0] * k, src.normal[sv, su, 1] * k, src.normal[sv, su, 2] * k
    mx, my, mz = ref.normal[row, column, 0] * k, ref.normal[row, column, 1] * k, ref.normal[row, column, 2] * k
    qx = r[0, 0] * mx + r[0, 1] * my + r[0, 2] * mz
    qy = r[1, 0] * mx + r[1, 1] * my + r[1, 2] * mz
    qz = r[2, 0] * mx + r[2, 1] * my + r[2, 2] * mz
    if nx * qx + ny * qy + nz * qz < limits.cosine:
        return 0, u, v, seen, 0.0, 0.0, 0.0, 0.0
    if not smooth:  # carry the pixel's depth from its centre to (u, v) along its tangent plane
        along = nx * px + ny * py + nz
        if abs(along) > 0.05:
            seen = seen * (nx * (su + 0.5 - scx) / sx + ny * (sv + 0.5 - scy) / sy + nz) / along
            if abs(seen - pz) > limits.depth * pz:
                return 0, u, v, seen, 0.0, 0.0, 0.0, 0.0
    # the neighbour's point, back in the reference image
    wx, wy, wz = px * seen - t[0], py * seen - t[1], seen - t[2]
    bx = r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz
    by = r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz
    bz = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz
    if bz <= 0:
        return 0, u, v, seen, 0.0, 0.0, 0.0, 0.0
    ex, ey = fx * (bx / bz - rx), fy * (by / bz - ry)
    if ex * ex + ey * ey > limits.reprojection * limits.reprojection:
        return 0, u, v, seen, 0.0, 0.0, 0.0, 0.0
    # the tangent plane through that point (mean of both normals) meets the reference ray
    gx, gy, gz = nx + qx, ny + qy, nz + qz
    facing = gx * ax + gy * ay + gz * az
    if abs(facing) < 0.1 * np.sqrt((ax * ax + ay * ay + az * az) * (gx * gx + gy * gy + gz * gz)):
        depth = bz
    else:
        depth = (gx * wx + gy * wy + gz * wz) / facing
    return (
        1, u, v, seen, depth,
        r[0, 0] * nx + r[1, 0] * ny + r[2, 0] * nz,
        r[0, 1] * nx + r[1, 1] * ny + r[2, 1] * nz,
        r[0, 2] * nx + r[1, 2] * ny + r[2, 2] * nz,
    )  # fmt: skip


@njit(**PART)
def confirmation(distance, x, y, z):
    """exp(-(d / 2 + 5 a)): how well one view's surface confirms another's, 0 to 1.

    Matches that are wrong in the same place for several views (reflections, plain areas) pass a test of depth alone,
    but their normals scatter.

    Args:
        distance: d, between the surfaces, pixel footprints.
        x, y, z: difference of the unit normals; a, radians, is the angle between them, at most 60 degrees.
    """
    gap = 0.5 * (x * x + y * y + z * z)  # 1 - cos a, but exact for small angles
    angle = np.sqrt(2 * gap) * (1 + gap / 12)  # the first terms of arccos: 0.2 % short at 60 degrees
    return np.exp(-(0.5 * abs(distance) + 5 * angle))
