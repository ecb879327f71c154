"""A grid that exists only near points: the nodes within two cells of each, and means of the points around each node.

Nodes are kept in bricks of 4 x 4 x 4 that a hash finds, so that a point looks up at most eight of them.
Letters: M points, K nodes. A node's coordinates are whole numbers of cells from the grid's origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy.typing import NDArray

from anyview.jit import njit

REACH = 2  # cells, along each axis, up to which a point is felt
_DOUBT = np.float32(0.2)  # weight at which a normal fades to half; within a sheet of points it is (4 / 3)^2
_BITS = 20  # of a brick's number along an axis
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Band:
    """The nodes near the points, and what the points say there. Lengths in cells.

    Attributes:
        node: coordinates (K, 3).
        after: index of the next node along x, y, z (K, 3), or -1.
        corner: for each point the nodes of the cell around it (M, 8), x slowest, z fastest; all of them exist.
        distance: signed distance to the tangent planes of the points around, weighted mean; positive outside.
        normal: of the points around, weighted mean, not unit: opposite sides cancel, and it fades where weight is
            little, so that the surface is not drawn on beyond a rim and a thin plate's sheets meet around its edge.
    """

    node: Int32[np.ndarray, "K 3"]
    after: Int32[np.ndarray, "K 3"]
    corner: Int32[np.ndarray, "M 8"]
    distance: Float32[np.ndarray, "K"]
    normal: Float32[np.ndarray, "K 3"]


def build_band(
    points: Float64[np.ndarray, "M 3"], normals: Float32[np.ndarray, "M 3"], weight: Float32[np.ndarray, "M"]
) -> Band:
    """The nodes within `REACH` of any point.

    A node's means weigh each point with its own weight and with the product over the axes of (1 - |offset| / REACH)^2.

    Args:
        points: in cells from the grid's origin; at least 4, below 2^20.
        normals: unit.
        weight: positive.
    """
    points = np.ascontiguousarray(points)
    brick_of, bricks = _find_bricks(points)
    sums = _splat(points, normals, weight, brick_of, len(bricks))
    used = np.flatnonzero(sums[:, 0] > 0)
    number = np.full(len(sums), -1, np.int32)
    number[used] = np.arange(len(used), dtype=np.int32)
    node, after = _connect(used, number, bricks, _neighbours(bricks))
    corner = _corners(points, brick_of, number)
    weight = sums[used, :1]
    normal = sums[used, 2:] / (weight + _DOUBT)
    return Band(node, after, corner, sums[used, 1] / weight[:, 0], normal)


@njit(nogil=True, cache=True)
def _slot(key: int | np.int64, table: NDArray[np.int32], keys: NDArray[np.int64], bits: int) -> np.int64:
    """Where the key is, or where it would go."""
    slot = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(64 - bits))
    while table[slot] >= 0 and keys[table[slot]] != key:
        slot = (slot + 1) & ((1 << bits) - 1)
    return slot


@njit(nogil=True, cache=True)
def _find_bricks(points: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For each point the bricks (M, 8) that hold the nodes around it, and all bricks' coordinates."""
    bits = 12
    table = np.full(1 << bits, -1, np.int32)
    keys = np.empty(1024, np.int64)
    count = 0
    out = np.empty((len(points), 8), np.int32)
    for i in range(len(points)):
        x, y, z = (np.int64(points[i, 0]) - 1, np.int64(points[i, 1]) - 1, np.int64(points[i, 2]) - 1)
        for part in range(8):
            # the nodes from -1 to +2 around a point reach into two bricks per axis at most
            bx, by, bz = (x + 3 * (part >> 2)) >> 2, (y + 3 * (part >> 1 & 1)) >> 2, (z + 3 * (part & 1)) >> 2
            key = (bx << (2 * _BITS)) | (by << _BITS) | bz
            slot = _slot(key, table, keys, bits)
            if table[slot] < 0:
                if count == len(keys):
                    more = np.empty(2 * count, np.int64)
                    more[:count] = keys
                    keys = more
                table[slot] = count
                keys[count] = key
                count += 1
                out[i, part] = count - 1
                if 2 * count > len(table):
                    bits += 2
                    table = np.full(1 << bits, -1, np.int32)
                    for other in range(count):
                        table[_slot(keys[other], table, keys, bits)] = other
            else:
                out[i, part] = table[slot]
    bricks = np.empty((count, 3), np.int32)
    for j in range(count):
        bricks[j, 0], bricks[j, 1] = keys[j] >> (2 * _BITS), (keys[j] >> _BITS) & ((1 << _BITS) - 1)
        bricks[j, 2] = keys[j] & ((1 << _BITS) - 1)
    return out, bricks


@njit(nogil=True, cache=True)
def _neighbours(bricks: NDArray[np.int32]) -> NDArray[np.int32]:
    """The next brick along x, y, z (B, 3), or -1."""
    bits = 4
    while (1 << bits) < 2 * len(bricks):
        bits += 1
    table = np.full(1 << bits, -1, np.int32)
    keys = np.empty(len(bricks), np.int64)
    for j in range(len(bricks)):
        keys[j] = (np.int64(bricks[j, 0]) << (2 * _BITS)) | (np.int64(bricks[j, 1]) << _BITS) | np.int64(bricks[j, 2])
        table[_slot(keys[j], table, keys, bits)] = j
    out = np.empty((len(bricks), 3), np.int32)
    for j in range(len(bricks)):
        for axis in range(3):
            out[j, axis] = table[_slot(keys[j] + (np.int64(1) << ((2 - axis) * _BITS)), table, keys, bits)]
    return out


@njit(nogil=True, cache=True)
def _splat(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    weight: NDArray[np.float32],
    brick_of: NDArray[np.int32],
    bricks: int,
) -> NDArray[np.float32]:
    """Sums of weight, distance, normal over the points around each place of each brick."""
    sums = np.zeros((bricks * 64, 5), np.float32)
    share = np.empty((3, 4))
    for i in range(len(points)):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        fx, fy, fz = np.int64(px) - 1, np.int64(py) - 1, np.int64(pz) - 1
        for k in range(4):
            share[0, k] = (1 - abs(fx + k - px) / REACH) ** 2
            share[1, k] = (1 - abs(fy + k - py) / REACH) ** 2
            share[2, k] = (1 - abs(fz + k - pz) / REACH) ** 2
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        for a in range(4):
            x = fx + a
            for b in range(4):
                y = fy + b
                across = weight[i] * share[0, a] * share[1, b]
                part = 4 * ((x >> 2) - (fx >> 2)) + 2 * ((y >> 2) - (fy >> 2))
                row = ((x & 3) * 4 + (y & 3)) * 4
                plane = (x - px) * nx + (y - py) * ny
                for c in range(4):
                    z = fz + c
                    place = np.int64(brick_of[i, part + (z >> 2) - (fz >> 2)]) * 64 + row + (z & 3)
                    w = across * share[2, c]
                    sums[place, 0] += w
                    sums[place, 1] += w * (plane + (z - pz) * nz)
                    sums[place, 2] += w * nx
                    sums[place, 3] += w * ny
                    sums[place, 4] += w * nz
    return sums


@njit(nogil=True, cache=True)
def _connect(
    used: NDArray[np.int64], number: NDArray[np.int32], bricks: NDArray[np.int32], beyond: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    node = np.empty((len(used), 3), np.int32)
    after = np.empty((len(used), 3), np.int32)
    for i in range(len(used)):
        brick, place = used[i] >> 6, used[i] & 63
        for axis in range(3):
            step = 4 - 2 * axis  # bits below this axis's two
            inside = (place >> step) & 3
            node[i, axis] = bricks[brick, axis] * 4 + inside
            if inside < 3:
                after[i, axis] = number[used[i] + (1 << step)]
            elif beyond[brick, axis] >= 0:
                after[i, axis] = number[np.int64(beyond[brick, axis]) * 64 + place - (3 << step)]
            else:
                after[i, axis] = -1
    return node, after


@njit(nogil=True, cache=True)
def _corners(points: NDArray[np.float64], brick_of: NDArray[np.int32], number: NDArray[np.int32]) -> NDArray[np.int32]:
    out = np.empty((len(points), 8), np.int32)
    for i in range(len(points)):
        fx, fy, fz = np.int64(points[i, 0]), np.int64(points[i, 1]), np.int64(points[i, 2])
        for k in range(8):
            x, y, z = fx + (k >> 2), fy + (k >> 1 & 1), fz + (k & 1)
            part = 4 * ((x >> 2) - ((fx - 1) >> 2)) + 2 * ((y >> 2) - ((fy - 1) >> 2)) + (z >> 2) - ((fz - 1) >> 2)
            out[i, k] = number[np.int64(brick_of[i, part]) * 64 + ((x & 3) * 4 + (y & 3)) * 4 + (z & 3)]
    return out
