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
    limit = f4(REACH) * rho_step
    for y in range(height):
        for x in range(width):
            own = rho[y, x]
            if own <= f4(0):
                continue
            total, acc, accx, accy = f4(0), f4(0), f4(0), f4(0)
            for yy in range(max(y - radius, 0), min(y + radius + 1, height)):
                for xx in range(max(x - radius, 0), min(x + radius + 1, width)):
                    dx, dy = f4(x - xx), f4(y - yy)
                    there = rho[yy, xx]
                    moved = there + gx[yy, xx] * dx + gy[yy, xx] * dy
                    back = own - gx[y, x] * dx - gy[y, x] * dy
                    if there > f4(0) and abs(moved - own) < limit and abs(back - there) < limit:
                        w = f4(1) / (f4(0.1) + cost[yy, xx])
                        total += w
                        acc += w * moved
                        accx += w * gx[yy, xx]
                        accy += w * gy[yy, xx]
            out_rho[y, x], out_gx[y, x], out_gy[y, x] = acc / total, accx / total, accy / total
    return out_rho, out_gx, out_gy
