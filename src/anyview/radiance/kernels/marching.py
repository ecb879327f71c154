"""Where rays look at a grid field: even steps through the occupied cells of a coarse grid.

Letters: R rays, N samples of all rays one after the other, G cells per side. Origins, directions and distances are in
the unit cube's coordinates; t is the parameter along the directions as given. Source: Müller et al. 2022 (arXiv
2201.05989), appendix C.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit, prange

f32 = np.float32
_FAST = {"contract", "nsz", "arcp"}
_PARTS = 64


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def _cell(x, cells):
    return min(max(np.int64(x), 0), cells - 1)


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def march(origins, directions, begins, far, step, open_, density, cells, limit, starts, counts):
    """Starts of the intervals of length `step` that lie in open cells: `starts` (R, most), `counts` (R).

    A ray stops where the optical depth of what it has passed by the cells' `density`, per t, exceeds `limit`; where it
    can go on is then in `begins`.
    """
    most = starts.shape[1]
    size = f32(cells)
    rays = origins.shape[0]
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            ox, oy, oz = origins[r, 0] * size, origins[r, 1] * size, origins[r, 2] * size
            dx, dy, dz = directions[r, 0] * size, directions[r, 1] * size, directions[r, 2] * size
            ix = f32(1) / dx if dx != 0 else f32(1e30)
            iy = f32(1) / dy if dy != 0 else f32(1e30)
            iz = f32(1) / dz if dz != 0 else f32(1e30)
            t, end, passed, k = begins[r], far[r], f32(0), 0
            while t < end and k < most:
                middle = t + f32(0.5) * step
                x, y, z = ox + dx * middle, oy + dy * middle, oz + dz * middle
                cx, cy, cz = _cell(x, cells), _cell(y, cells), _cell(z, cells)
                cell = (cz * cells + cy) * cells + cx
                if open_[cell]:
                    starts[r, k] = t
                    k += 1
                    t += step
                    passed += density[cell] * step
                    if passed > limit:
                        break
                else:  # on by whole steps to the first one whose middle lies beyond this cell
                    ex = (f32(cx + (dx > 0)) - x) * ix
                    ey = (f32(cy + (dy > 0)) - y) * iy
                    ez = (f32(cz + (dz > 0)) - z) * iz
                    t += step * max(f32(1), np.ceil(min(ex, min(ey, ez)) / step))
            counts[r], begins[r] = k, t


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def place(origins, directions, radii, step, starts, offsets, points, scales, middles):
    """Middles of the intervals and the width of the cone's Gaussian there.

    `offsets` (R + 1) says where each ray's samples begin; `scales` (N) is the root of the mean of the Gaussian's three
    variances, `middles` (N) their t.
    """
    rays = origins.shape[0]
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
            along = step * step * (dx * dx + dy * dy + dz * dz) * f32(1 / 12)
            for i in range(offsets[r], offsets[r + 1]):
                t = starts[r, i - offsets[r]] + f32(0.5) * step
                middles[i] = t
                points[i, 0] = min(max(origins[r, 0] + dx * t, f32(0)), f32(1))
                points[i, 1] = min(max(origins[r, 1] + dy * t, f32(0)), f32(1))
                points[i, 2] = min(max(origins[r, 2] + dz * t, f32(0)), f32(1))
                radius = radii[r] * t
                scales[i] = np.sqrt((f32(0.5) * radius * radius + along) * f32(1 / 3))
