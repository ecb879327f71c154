"""A dense cloud thinned to one oriented point per cell of a grid and main direction of the normal.

Points are cheap to keep and dear to fit: those of one cell that face one way become their mean, weighted by their
confidence. The two sides of a thin wall face opposite ways and stay apart. Letters: N points, M points kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray

from anyview.jit import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing
_BITS = 20  # of a cell's number along an axis


@dataclass(frozen=True, eq=False)
class ThinCloud:
    """Means of points: positions (M, 3) world, unit normals (M, 3), and the summed weights (M,)."""

    xyz: Float64[np.ndarray, "M 3"]
    normals: Float32[np.ndarray, "M 3"]
    weight: Float64[np.ndarray, "M"]


def thin_oriented(
    xyz: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    weight: Float[np.ndarray, "N"],
    origin: Float64[np.ndarray, "3"],
    cell: float,
) -> ThinCloud:
    """One point for each cell and each of the six axis directions that normals in it are nearest to.

    Args:
        xyz: positions, world; all at or above `origin`, and within 2^20 cells of it.
        normals: unit, world.
        weight: positive, of each point in its cell's mean.
        origin: a corner of the grid, world.
        cell: side of a cell, scene units.

    Returns:
        The means, in the order in which their first points come.
    """
    xyz, normals = np.ascontiguousarray(xyz, np.float64), np.ascontiguousarray(normals, np.float32)
    kept, sums = _accumulate(xyz, normals, np.ascontiguousarray(weight, np.float64), origin, float(cell))
    sums = sums[:kept]
    length = np.linalg.norm(sums[:, 3:6], axis=1, keepdims=True)
    unit = (sums[:, 3:6] / np.maximum(length, 1e-30)).astype(np.float32)
    return ThinCloud(sums[:, :3] / sums[:, 6:] + origin, unit, sums[:, 6].copy())


@njit(nogil=True, cache=True)
def _accumulate(
    xyz: NDArray[np.float64],
    normals: NDArray[np.float32],
    weight: NDArray[np.float64],
    origin: NDArray[np.float64],
    cell: float,
) -> tuple[int, NDArray[np.float64]]:
    """How many means there are, and weighted sums of x y z (from the origin), of normals, and of the weights."""
    bits = 12
    table = np.full(1 << bits, -1, np.int32)
    keys = np.empty(1024, np.int64)
    sums = np.zeros((1024, 7))
    count = 0
    for i in range(len(xyz)):
        key = np.int64(0)
        for k in range(3):
            key = (key << _BITS) | np.int64((xyz[i, k] - origin[k]) / cell)
        axis = 0
        for k in range(1, 3):
            if abs(normals[i, k]) > abs(normals[i, axis]):
                axis = k
        key = key * 6 + 2 * axis + (1 if normals[i, axis] < 0 else 0)
        slot = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(64 - bits))
        while table[slot] >= 0 and keys[table[slot]] != key:
            slot = (slot + 1) & ((1 << bits) - 1)
        j = table[slot]
        if j < 0:
            j = count
            table[slot] = j
            if count == len(keys):  # twice the room, and a table that stays at most half full
                more = np.empty(2 * count, np.int64)
                more[:count] = keys
                keys = more
                wider = np.zeros((2 * count, 7))
                wider[:count] = sums
                sums = wider
            keys[j] = key
            count += 1
            if 2 * count > len(table):
                bits += 2
                table = np.full(1 << bits, -1, np.int32)
                for other in range(count):
                    slot = np.int64((np.uint64(keys[other]) * _GOLDEN) >> np.uint64(64 - bits))
                    while table[slot] >= 0:
                        slot = (slot + 1) & ((1 << bits) - 1)
                    table[slot] = other
        w = weight[i]
        for k in range(3):
            sums[j, k] += w * (xyz[i, k] - origin[k])
            sums[j, 3 + k] += w * normals[i, k]
        sums[j, 6] += w
    return count, sums
