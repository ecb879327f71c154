"""Planes where matching found none to rely on: of triangles between pixels that can be relied on.

Where a surface is plain, or shines, matching finds a depth that the other views do not confirm. Around it there are
pixels that they do confirm: of each cell of the image the best confirmed one becomes a vertex, the vertices are joined
by Delaunay's triangulation, and pixels without support take the plane of the triangle that they lie in. Whether it is
right, the views tell one another in fusion: a plane that no other view has is dropped there like any other.
Names as in `window.py`.

Sources: Xu and Tao 2020 (ACMP: planar prior from a triangulation of reliable points), here without the matching that
follows there.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy.spatial import Delaunay, QhullError

from anyview.jit import njit
from anyview.typing import Mask

ALONE = 0.02
"""Pixels with less support (see `support.py`) are filled."""

SUPPORTED = 0.05
"""Pixels with more may become vertices."""

CELL = 6
"""Side of the cells that give one vertex each, pixels."""

FACING = 0.17
"""Least cosine between a plane's normal and the viewing ray: 80 degrees."""

FILLED_COST = 0.6
"""What a filled plane is said to cost, on the scale of matching costs (0 best, 2 worst)."""


def fill_planes(
    planes: Float32[np.ndarray, "3 H W"],
    support: Float32[np.ndarray, "H W"],
    mask: Mask,
    matrix: Float64[np.ndarray, "3 3"],
    longest: float,
) -> tuple[Float32[np.ndarray, "3 H W"], Bool[np.ndarray, "H W"]]:
    """Planes with those of the triangles in place of the ones without support.

    Args:
        planes: rho, gx, gy; rho 0 where there is none.
        support: of each plane by the other views, 0 to 1.
        mask: True on the object; nothing is filled elsewhere.
        matrix: calibration matrix, pixels.
        longest: of a triangle's edges, pixels; larger triangles bridge what nobody knows.

    Returns:
        The planes, and which of them were filled.
    """
    wanted = mask & (support < ALONE)
    filled = np.zeros(mask.shape, bool)
    out = planes.copy()
    vertices = _vertices(support, wanted, longest)
    if len(vertices) < 3 or not wanted.any():
        return out, filled
    corners = np.stack([vertices[:, 1] + 0.5, vertices[:, 0] + 0.5], 1)
    try:
        triangles = Delaunay(corners).simplices
    except QhullError:  # all in one line
        return out, filled
    camera = matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    draw_planes(triangles, corners, planes[0, vertices[:, 0], vertices[:, 1]], camera, longest, wanted, out, filled)
    return out, filled


def _vertices(
    support: Float32[np.ndarray, "H W"], wanted: Bool[np.ndarray, "H W"], longest: float
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Row and column of the pixel with most support in each cell, (N, 2), where something to fill is near."""
    rows, columns = best_of_cells(support)
    # sums over rectangles: whether anything within reach is to be filled
    total = np.pad(wanted.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    reach, (height, width) = int(np.ceil(longest)), wanted.shape
    top, bottom = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, height)
    left, right = np.maximum(columns - reach, 0), np.minimum(columns + reach + 1, width)
    near = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0
    return np.stack([rows[near], columns[near]], 1)


@njit(nogil=True, cache=True, error_model="numpy")
def best_of_cells(support):
    """Row and column of the pixel with most support in each cell of CELL x CELL that has one with SUPPORTED."""
    height, width = support.shape
    rows, columns = np.empty(support.size, np.int64), np.empty(support.size, np.int64)
    count = 0
    for top in range(0, height, CELL):
        for left in range(0, width, CELL):
            best, row, column = np.float32(0), -1, -1
            for y in range(top, min(top + CELL, height)):
                for x in range(left, min(left + CELL, width)):
                    if support[y, x] >= SUPPORTED and support[y, x] > best:
                        best, row, column = support[y, x], y, x
            if row >= 0:
                rows[count], columns[count] = row, column
                count += 1
    return rows[:count].copy(), columns[:count].copy()


@njit(nogil=True, cache=True, error_model="numpy")
def draw_planes(triangles, corners, depths, camera, longest, wanted, planes, filled):
    """Give the wanted pixels whose centres lie in a triangle its plane, where that faces the camera.

    Args:
        triangles: (T, 3) int32, corners of each.
        corners: (N, 2) float64, x and y, the first pixel's centre at (0.5, 0.5).
        depths: (N,) float32, inverse depth there.
        camera: (4,) float64: fx, fy, cx, cy.
        longest: edges longer than this, pixels, leave a triangle out.
        wanted: (H, W) bool.
        planes: (3, H, W) float32, written to.
        filled: (H, W) bool, written to.
    """
    height, width = wanted.shape
    fx, fy, cx, cy = camera
    for t in range(len(triangles)):
        a, b, q = triangles[t]
        (ax, ay), (bx, by), (qx, qy) = corners[a], corners[b], corners[q]
        area = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
        edge = max((bx - ax) ** 2 + (by - ay) ** 2, (qx - bx) ** 2 + (qy - by) ** 2, (ax - qx) ** 2 + (ay - qy) ** 2)
        if edge > longest * longest or abs(area) < 1e-6:
            continue
        # inverse depth is affine: rho = gx x + gy y + start
        to_b, to_q = np.float64(depths[b]) - depths[a], np.float64(depths[q]) - depths[a]
        gx = (to_b * (qy - ay) - to_q * (by - ay)) / area
        gy = (to_q * (bx - ax) - to_b * (qx - ax)) / area
        start = depths[a] - gx * ax - gy * ay
        turn = 1.0 if area > 0 else -1.0
        for y in range(int(min(ay, by, qy) - 0.5), min(int(max(ay, by, qy)) + 1, height)):
            for x in range(int(min(ax, bx, qx) - 0.5), min(int(max(ax, bx, qx)) + 1, width)):
                if not wanted[y, x] or filled[y, x]:
                    continue
                px, py = x + 0.5, y + 0.5
                if (
                    turn * ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) < 0
                    or turn * ((qx - bx) * (py - by) - (qy - by) * (px - bx)) < 0
                    or turn * ((ax - qx) * (py - qy) - (ay - qy) * (px - qx)) < 0
                ):
                    continue
                rho = gx * px + gy * py + start
                nx, ny, nz = gx * fx, gy * fy, rho - gx * (px - cx) - gy * (py - cy)
                rx, ry = (px - cx) / fx, (py - cy) / fy
                size = np.sqrt((nx * nx + ny * ny + nz * nz) * (rx * rx + ry * ry + 1))
                if rho > FACING * size:
                    planes[0, y, x], planes[1, y, x], planes[2, y, x] = rho, gx, gy
                    filled[y, x] = True
