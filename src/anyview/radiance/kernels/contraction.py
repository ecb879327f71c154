"""Where rays look at a grid field of all space: even steps in s through the open cells of contracted space.

As `kernels.marching`, which is for bounded scenes; the readable forms of the contraction and of s are in
`anyview.radiance.contraction`. Letters: R rays, N samples of all rays one after the other, G cells per side. Origins
and directions are such that the inner cube is [-1, 1]^3.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.jit import njit, prange

f32 = np.float32
_FAST = {"contract", "nsz", "arcp"}
_PARTS = 64
_SHORTEST = 1000.0**-0.5  # of contraction.HORIZON


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def _root(s, enter, leave, scale):
    outside = max(s - leave, f32(0)) + max(enter - s, f32(0))
    return max(f32(1) - f32(0.5) * outside / scale, f32(_SHORTEST))


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def _distance(s, root, enter, leave, scale):
    further = scale * (f32(1) / (root * root) - f32(1))
    return leave + further if s > leave else enter - further if s < enter else s


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def _cell(x, cells):
    return min(max(np.int64(x), 0), cells - 1)


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def march(
    origins, directions, begins, far, enter, leave, scale, step, open_, density, cells, limit, starts, counts
):  # fmt: skip
    """Starts, in s, of the intervals of length `step` with middles in open cells: `starts` (R, most), `counts` (R).

    Inside the inner cube closed cells are passed over as a whole; outside, where rays are bent, step by step. A ray
    stops where the optical depth of what it has passed by the cells' `density`, per s, exceeds `limit`; where it can go
    on is then in `begins`.
    """
    most = starts.shape[1]
    quarter = f32(0.25) * f32(cells)
    rays = origins.shape[0]
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
            first, last, size = enter[r], leave[r], scale[r]
            s, end, passed, k = begins[r], far[r], f32(0), 0
            while s < end and k < most:
                middle = s + f32(0.5) * step
                t = _distance(middle, _root(middle, first, last, size), first, last, size)
                x, y, z = origins[r, 0] + dx * t, origins[r, 1] + dy * t, origins[r, 2] + dz * t
                m = max(f32(1), max(abs(x), max(abs(y), abs(z))))
                g = (f32(2) - f32(1) / m) / m
                x, y, z = (x * g + f32(2)) * quarter, (y * g + f32(2)) * quarter, (z * g + f32(2)) * quarter
                cx, cy, cz = _cell(x, cells), _cell(y, cells), _cell(z, cells)
                cell = (cz * cells + cy) * cells + cx
                if open_[cell]:
                    starts[r, k] = s
                    k += 1
                    s += step
                    passed += density[cell] * step
                    if passed > limit:
                        break
                elif first < middle < last:  # on to the first step beyond this cell, or beyond the inner cube
                    ex = (f32(cx + (dx > 0)) - x) / (dx * quarter) if dx != 0 else f32(1e30)
                    ey = (f32(cy + (dy > 0)) - y) / (dy * quarter) if dy != 0 else f32(1e30)
                    ez = (f32(cz + (dz > 0)) - z) / (dz * quarter) if dz != 0 else f32(1e30)
                    inside = min(min(ex, last - middle), min(ey, ez))
                    s += step * max(f32(1), np.ceil(inside / step))
                else:
                    s += step
            counts[r], begins[r] = k, s


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def place(origins, directions, radii, enter, leave, scale, step, starts, offsets, points, scales, middles):
    """Middles of the intervals in the unit cube, and the width of the cone's Gaussian there, contracted.

    `offsets` (R + 1) says where each ray's samples begin; `scales` (N) is the root of the mean of the Gaussian's three
    variances, times the cube root of the contraction's determinant (Zip-NeRF); `middles` (N) are in s.
    """
    rays = origins.shape[0]
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
            along = step * step * (dx * dx + dy * dy + dz * dz) * f32(1 / 12)
            first, last, size = enter[r], leave[r], scale[r]
            for i in range(offsets[r], offsets[r + 1]):
                s = starts[r, i - offsets[r]] + f32(0.5) * step
                root = _root(s, first, last, size)
                t = _distance(s, root, first, last, size)
                x, y, z = origins[r, 0] + dx * t, origins[r, 1] + dy * t, origins[r, 2] + dz * t
                m = max(f32(1), max(abs(x), max(abs(y), abs(z))))
                g = (f32(2) - f32(1) / m) / m
                middles[i] = s
                points[i, 0] = min(max(f32(0.25) * (x * g + f32(2)), f32(0)), f32(1))
                points[i, 1] = min(max(f32(0.25) * (y * g + f32(2)), f32(0)), f32(1))
                points[i, 2] = min(max(f32(0.25) * (z * g + f32(2)), f32(0)), f32(1))
                radius, stretch = radii[r] * t, f32(1) / (root * root * root)
                shrink = math.pow((f32(2) * m - f32(1)) / (m * m * m), f32(2 / 3))
                wide = np.sqrt((f32(0.5) * radius * radius + along * stretch * stretch) * f32(1 / 3))
                scales[i] = f32(0.25) * wide * shrink
