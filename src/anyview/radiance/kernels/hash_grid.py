"""Multi-resolution hash grid on processors: features at points, and the gradient of the table (Müller et al. 2022,
arXiv 2201.05989, section 3), faded where a sample is wider than a level's cells (Zip-NeRF, arXiv 2304.06706).

Letters: N samples, L levels, F = 2 features per entry. A level is a row (cells per side, first entry, 1 where every
corner has an entry of its own and 0 where corners are hashed, entries - 1). Points lie in the unit cube.
The readable form is `anyview.radiance.grid.encoding.encode_with_torch`.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit, prange
from anyview.radiance.kernels.gather import CORNERS, LANES, gather

f32, i32, u32 = np.float32, np.int32, np.uint32
_KERNEL = {
    "nogil": True, "cache": True, "error_model": "numpy",  # loops with a check for division by zero stay scalar
    "fastmath": {"contract", "nsz", "arcp"},  # nothing that depends on the order of sums
}  # fmt: skip
_BLOCK = 128  # samples whose corners lie in the nearest cache
_CHUNK = 2048
_PRIMES = (u32(2654435761), u32(805459861))


@njit(**_KERNEL)
def _take(points, scales, begin, count, x, y, z, s):
    """Coordinates of a block of samples, each kind in a row of its own."""
    for n in range(count):
        x[n], y[n], z[n], s[n] = points[begin + n, 0], points[begin + n, 1], points[begin + n, 2], scales[begin + n]


@njit(**_KERNEL)
def _corners(x, y, z, s, level, index, weight):
    """Entries and weights of the eight corners around each sample of a block, (8, _BLOCK), x fastest, then y.

    The level's fading is in the weights.
    """
    cells, first, own, mask = level[0], u32(level[1]), level[2] == 1, u32(level[3])
    size, last, one = f32(cells), f32(cells - 1), f32(1)
    up = u32(cells + 1) if own else _PRIMES[0]
    deep = u32(up * up) if own else _PRIMES[1]
    for n in range(_BLOCK):
        px, py, pz = x[n] * size, y[n] * size, z[n] * size
        cx, cy, cz = min(np.floor(px), last), min(np.floor(py), last), min(np.floor(pz), last)
        fx, fy, fz = px - cx, py - cy, pz - cz
        width = f32(2.5066283) * s[n] * size
        square = width * width
        fade = one / np.sqrt(np.sqrt(one + square * square))
        gx, gy, gz, fz = one - fx, one - fy, (one - fz) * fade, fz * fade
        x0, y0, z0 = u32(i32(cx)), u32(u32(i32(cy)) * up), u32(u32(i32(cz)) * deep)
        x1, y1, z1 = u32(x0 + u32(1)), u32(y0 + up), u32(z0 + deep)
        for k in range(4):
            ky, kz = y1 if k & 1 else y0, z1 if k & 2 else z0
            at = u32(ky + kz) if own else u32(ky ^ kz)
            index[2 * k * _BLOCK + n] = (u32(x0 + at) if own else u32(x0 ^ at) & mask) + first
            index[(2 * k + 1) * _BLOCK + n] = (u32(x1 + at) if own else u32(x1 ^ at) & mask) + first
            share = (fy if k & 1 else gy) * (fz if k & 2 else gz)
            weight[2 * k * _BLOCK + n], weight[(2 * k + 1) * _BLOCK + n] = gx * share, fx * share


@njit(parallel=True, **_KERNEL)
def read_grid(points, scales, table, levels, out):
    """Features of all levels into `out` (N, 2L or more); chunks of samples in parallel."""
    count, columns = points.shape[0], 2 * levels.shape[0]
    flat = table.reshape(-1)
    for chunk in prange((count + _CHUNK - 1) // _CHUNK):
        index, weight = np.zeros(CORNERS * _BLOCK, u32), np.zeros(CORNERS * _BLOCK, f32)
        x, y, z, s = np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32)
        found = np.empty(columns * _BLOCK, f32)
        for begin in range(chunk * _CHUNK, min(count, chunk * _CHUNK + _CHUNK), _BLOCK):
            size = min(_BLOCK, count - begin)
            _take(points, scales, begin, size, x, y, z, s)
            for k in range(levels.shape[0]):
                _corners(x, y, z, s, levels[k], index, weight)
                for n in range(0, size, LANES):
                    gather(flat, index, weight, n, _BLOCK, found, 2 * k * _BLOCK + n, (2 * k + 1) * _BLOCK + n)
            for n in range(size):
                for f in range(columns):
                    out[begin + n, f] = found[f * _BLOCK + n]


@njit(**_KERNEL)
def _add_level(points, scales, grad, level, given, column):
    index, weight = np.zeros(CORNERS * _BLOCK, u32), np.zeros(CORNERS * _BLOCK, f32)
    x, y, z, s = np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32), np.zeros(_BLOCK, f32)
    for begin in range(0, points.shape[0], _BLOCK):
        size = min(_BLOCK, points.shape[0] - begin)
        _take(points, scales, begin, size, x, y, z, s)
        _corners(x, y, z, s, level, index, weight)
        for n in range(size):
            a, b = given[begin + n, column], given[begin + n, column + 1]
            if a == 0 and b == 0:
                continue
            for k in range(CORNERS):
                at, w = index[k * _BLOCK + n], weight[k * _BLOCK + n]
                grad[at, 0] += w * a
                grad[at, 1] += w * b


@njit(parallel=True, **_KERNEL)
def add_to_grid(points, scales, grad, levels, given):
    """Add the table's gradient; levels in parallel, samples in order: the sums do not depend on threads."""
    for k in prange(levels.shape[0]):
        _add_level(points, scales, grad, levels[k], given, 2 * k)
