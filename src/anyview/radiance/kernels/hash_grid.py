"""Multi-resolution hash grid on processors: features at points, and the gradient of the table (Müller et al. 2022,
arXiv 2201.05989, section 3), faded where a sample is wider than a level's cells (Zip-NeRF, arXiv 2304.06706).

Letters: N samples, L levels, F = 2 features per entry. A level is a row (cells per side, first entry, 1 where every
corner has an entry of its own and 0 where corners are hashed, entries - 1). Points lie in the unit cube.
The readable form is `anyview.radiance.grid.encoding.encode_with_torch`.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit, prange

f32 = np.float32
_FAST = {"contract", "nsz", "arcp"}  # nothing that depends on the order of sums
_CHUNK = 2048


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def entry(x, y, z, corners, own, mask):
    """The entry of a grid corner; hashed ones share."""
    if own:
        return x + corners * (y + corners * z)
    mixed = np.uint32(x) ^ (np.uint32(y) * np.uint32(2654435761)) ^ (np.uint32(z) * np.uint32(805459861))
    return np.int64(mixed & np.uint32(mask))


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def cell_of(points, scales, n, cells):
    """Cell, place in it, and the factor by which the level fades for the sample."""
    size = f32(cells)
    px, py, pz = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
    x, y, z = min(np.int64(px), cells - 1), min(np.int64(py), cells - 1), min(np.int64(pz), cells - 1)
    width = f32(2.5066283) * scales[n] * size
    square = width * width
    fade = f32(1) / np.sqrt(np.sqrt(f32(1) + square * square))
    return x, y, z, px - f32(x), py - f32(y), pz - f32(z), fade


@njit(fastmath=_FAST, nogil=True, cache=True)
def _read_level(points, scales, table, cells, first, own, mask, out, column, begin, end):
    corners = cells + 1
    for n in range(begin, end):
        x, y, z, fx, fy, fz, fade = cell_of(points, scales, n, cells)
        a, b = f32(0), f32(0)
        for dz in range(2):
            wz = fz if dz else f32(1) - fz
            for dy in range(2):
                wy = wz * (fy if dy else f32(1) - fy)
                at = entry(x, y + dy, z + dz, corners, own, mask) + first
                w = wy * (f32(1) - fx)
                a += w * table[at, 0]
                b += w * table[at, 1]
                at = entry(x + 1, y + dy, z + dz, corners, own, mask) + first
                w = wy * fx
                a += w * table[at, 0]
                b += w * table[at, 1]
        out[n, column] = a * fade
        out[n, column + 1] = b * fade


@njit(fastmath=_FAST, nogil=True, cache=True)
def _add_level(points, scales, grad, cells, first, own, mask, given, column):
    corners = cells + 1
    for n in range(points.shape[0]):
        if given[n, column] == 0 and given[n, column + 1] == 0:
            continue
        x, y, z, fx, fy, fz, fade = cell_of(points, scales, n, cells)
        a, b = given[n, column] * fade, given[n, column + 1] * fade
        for dz in range(2):
            wz = fz if dz else f32(1) - fz
            for dy in range(2):
                wy = wz * (fy if dy else f32(1) - fy)
                at = entry(x, y + dy, z + dz, corners, own, mask) + first
                w = wy * (f32(1) - fx)
                grad[at, 0] += w * a
                grad[at, 1] += w * b
                at = entry(x + 1, y + dy, z + dz, corners, own, mask) + first
                w = wy * fx
                grad[at, 0] += w * a
                grad[at, 1] += w * b


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def read_grid(points, scales, table, levels, out):
    """Features of all levels into `out` (N, 2L or more); chunks of samples in parallel."""
    count = points.shape[0]
    for chunk in prange((count + _CHUNK - 1) // _CHUNK):
        begin, end = chunk * _CHUNK, min(count, chunk * _CHUNK + _CHUNK)
        for k in range(levels.shape[0]):
            cells, first, own, mask = levels[k, 0], levels[k, 1], levels[k, 2] == 1, levels[k, 3]
            _read_level(points, scales, table, cells, first, own, mask, out, 2 * k, begin, end)


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def add_to_grid(points, scales, grad, levels, given):
    """Add the table's gradient; levels in parallel, samples in order: the sums do not depend on threads."""
    for k in prange(levels.shape[0]):
        cells, first, own, mask = levels[k, 0], levels[k, 1], levels[k, 2] == 1, levels[k, 3]
        _add_level(points, scales, grad, cells, first, own, mask, given, 2 * k)
