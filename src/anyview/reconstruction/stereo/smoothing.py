"""The last step of a depth map: each pixel's plane becomes the mean of those around it that lie in the same surface.

Neighbours' windows overlap, but their noise is not the same; a plane moved to the pixel along itself is right to first
order, so the mean takes noise from depth and above all from normals, and little else.
Letters: H, W rows and columns. Planes are (rho, gx, gy), see `window.py`.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit

f4 = np.float32

REACH = 1.0
"""Neighbours whose plane passes this pixel at a larger distance belong to another surface, pixels of displacement."""


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def smooth_planes(rho, gx, gy, cost, rho_step, radius):
    """Mean planes, (H, W) float32 each, weighted by 1 / (cost + 0.1); where there is none (rho 0) there is none after.

    Args:
        rho, gx, gy, cost: (H, W) float32.
        rho_step: float32, inverse depth per pixel of displacement.
        radius: half the side of the square of neighbours, pixels.
    """
    height, width = rho.shape
    out_rho, out_gx, out_gy = np.zeros_like(rho), np.zeros_like(rho), np.zeros_like(rho)
    weight = np.where(rho > f4(0), f4(1) / (f4(0.1) + cost), f4(0))
    limit = f4(REACH) * rho_step
    total, mean, mean_gx, mean_gy = np.zeros((4, width), f4)
    for y in range(height):
        begin, end = _inside(rho[y])
        if begin == end:
            continue
        total[:], mean[:], mean_gx[:], mean_gy[:] = f4(0), f4(0), f4(0), f4(0)
        for yy in range(max(y - radius, 0), min(y + radius + 1, height)):
            for shift in range(-radius, radius + 1):
                first, last = max(begin, -shift), min(end, width - shift)
                if first >= last:
                    continue
                own, far = slice(first, last), slice(first + shift, last + shift)
                _add_row(
                    rho[y, own], gx[y, own], gy[y, own],
                    rho[yy, far], gx[yy, far], gy[yy, far], weight[yy, far],
                    f4(-shift), f4(y - yy), limit, total[own], mean[own], mean_gx[own], mean_gy[own],
                )  # fmt: skip
        for x in range(begin, end):
            if rho[y, x] > f4(0):
                out_rho[y, x], out_gx[y, x] = mean[x] / total[x], mean_gx[x] / total[x]
                out_gy[y, x] = mean_gy[x] / total[x]
    return out_rho, out_gx, out_gy


@njit(nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _inside(rho):
    """First pixel of a row with a plane, and one past the last."""
    begin, end = 0, len(rho)
    while begin < end and rho[begin] <= f4(0):
        begin += 1
    while end > begin and rho[end - 1] <= f4(0):
        end -= 1
    return begin, end


@njit(nogil=True, fastmath=True, error_model="numpy", forceinline=True)
def _add_row(rho, gx, gy, far_rho, far_gx, far_gy, weight, dx, dy, limit, total, mean, mean_gx, mean_gy):
    """Add a row's neighbours (dx, dy) away to its sums; one row at a time, because that becomes vectors."""
    for x in range(len(rho)):
        moved = far_rho[x] + far_gx[x] * dx + far_gy[x] * dy
        back = rho[x] - gx[x] * dx - gy[x] * dy
        w = weight[x] if abs(moved - rho[x]) < limit and abs(back - far_rho[x]) < limit else f4(0)
        total[x] += w
        mean[x] += w * moved
        mean_gx[x] += w * far_gx[x]
        mean_gy[x] += w * far_gy[x]
