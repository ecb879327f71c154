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
    rho = planes[0, vertices[:, 0], vertices[:, 1]].astype(np.float64)
    fit = _triangle_planes(corners[triangles], rho[triangles], longest)
    camera = matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    draw_planes(corners[triangles], fit, camera, wanted, out, filled)
    return out, filled


def _vertices(
    support: Float32[np.ndarray, "H W"], wanted: Bool[np.ndarray, "H W"], longest: float
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Row and column of the pixel with most support in each cell, (N, 2), where something to fill is near."""
    rows, columns = np.nonzero(support >= SUPPORTED)
    order = np.argsort(-support[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    across = support.shape[1] // CELL + 1
    _, first = np.unique(rows // CELL * across + columns // CELL, return_index=True)
    rows, columns = rows[first], columns[first]
    # sums over rectangles: whether anything within reach is to be filled
    total = np.pad(wanted.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    reach, (height, width) = int(np.ceil(longest)), wanted.shape
    top, bottom = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, height)
    left, right = np.maximum(columns - reach, 0), np.minimum(columns + reach + 1, width)
    near = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0
    return np.stack([rows[near], columns[near]], 1)


def _triangle_planes(
    corners: Float64[np.ndarray, "T 3 2"], rho: Float64[np.ndarray, "T 3"], longest: float
) -> Float64[np.ndarray, "T 3"]:
    """(slope right, slope down, value at the origin) of inverse depth over each triangle; NaN where it is too large."""
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    system = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], 2)
    good = (edges.max(1) <= longest) & (np.abs(np.linalg.det(system)) > 1e-6)
    out = np.full((len(corners), 3), np.nan)
    out[good] = np.linalg.solve(system[good], rho[good][..., None])[..., 0]
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def draw_planes(corners, fit, camera, wanted, planes, filled):
    """Give the wanted pixels whose centres lie in a triangle its plane, where that faces the camera.

    Args:
        corners: (T, 3, 2) float64, x and y, the first pixel's centre at (0.5, 0.5).
        fit: (T, 3) float64, rho = fit . (x, y, 1); NaN for triangles to leave out.
        camera: (4,) float64: fx, fy, cx, cy.
        wanted: (H, W) bool.
        planes: (3, H, W) float32, written to.
        filled: (H, W) bool, written to.
    """
    height, width = wanted.shape
    fx, fy, cx, cy = camera
    for t in range(len(corners)):
        gx, gy, start = fit[t]
        if not np.isfinite(start):
            continue
        (ax, ay), (bx, by), (qx, qy) = corners[t, 0], corners[t, 1], corners[t, 2]
        turn = 1.0 if (bx - ax) * (qy - ay) - (by - ay) * (qx - ax) > 0 else -1.0
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
