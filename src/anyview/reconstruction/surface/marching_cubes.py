"""The zero of values on a grid as triangles: marching cubes (Lorensen and Cline 1987) with cases worked out here.

On a face of a cell whose diagonal corners are inside, the two are cut off one by one; the rule sees the face alone, so
that both cells agree and no crack stays. Letters: K nodes, M vertices, F faces. Corner k of a cell lies at x = k >> 2,
y = k >> 1 & 1, z = k & 1; edge e of a cell runs along axis e // 4.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy.typing import NDArray

from anyview.jit import njit

_MOST = 5  # triangles of a case


def marching_cubes(
    values: Float32[np.ndarray, "K"], node: Int32[np.ndarray, "K 3"], after: Int32[np.ndarray, "K 3"]
) -> tuple[Float64[np.ndarray, "M 3"], Int32[np.ndarray, "F 3"]]:
    """Vertices in the nodes' coordinates, and faces that look to where values are positive.

    Args:
        values: negative inside.
        node: coordinates, whole numbers.
        after: index of the next node along x, y, z, or -1: only cells whose eight corners exist give faces.
    """
    count, triangles, edges = case_table()
    return _march(values, node, after, count, triangles, edges)


@cache
def case_table() -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """Triangles per case (256,), their edges (256, 5, 3), and the two corners of each edge (12, 2), lower first.

    Bit k of a case says that corner k is inside.
    """
    edges = [(k, k | bit) for bit in (4, 2, 1) for k in range(8) if not k & bit]
    faces = [_ring(bit, side) for bit in (4, 2, 1) for side in (0, 1)]
    triangles = [_triangles(case, edges, faces) for case in range(256)]
    table = np.zeros((256, _MOST, 3), np.int8)
    for case, found in enumerate(triangles):
        table[case, : len(found)] = np.array(found).reshape(-1, 3)
    return np.array([len(t) for t in triangles], np.int8), table, np.array(edges, np.int8)


def _ring(bit: int, side: int) -> list[int]:
    """Corners of a face of the cell, counter-clockwise seen from outside."""
    u, v = {4: (2, 1), 2: (1, 4), 1: (4, 2)}[bit]  # axes that, with this one, are right-handed
    ring = [0, u, u | v, v]
    return [k | bit for k in ring] if side else ring[::-1]


def _triangles(case: int, edges: list[tuple[int, int]], faces: list[list[int]]) -> list[tuple[int, int, int]]:
    """Walk along the cuts of the faces; each closed walk is a polygon, and becomes a fan."""
    following: dict[int, int] = {}
    sides: dict[int, set[int]] = {}
    for number, ring in enumerate(faces):
        inside = [bool(case >> k & 1) for k in ring]
        cut = {i: edges.index(tuple(sorted((ring[i], ring[(i + 1) % 4])))) for i in range(4)}  # type: ignore[arg-type]
        for edge in cut.values():
            sides.setdefault(edge, set()).add(number)
        for i in range(4):
            if not inside[i] and inside[(i + 1) % 4]:  # the walk enters here, and leaves where the inside ends
                j = (i + 1) % 4
                while inside[(j + 1) % 4]:
                    j = (j + 1) % 4
                following[cut[i]] = cut[j]
    out: list[tuple[int, int, int]] = []
    while following:
        start = min(following)
        loop = [start]
        while (edge := following.pop(loop[-1])) != start:
            loop.append(edge)
        out += _fan(loop, sides)
    return out


def _fan(loop: list[int], sides: dict[int, set[int]]) -> list[tuple[int, int, int]]:
    """From the corner whose diagonals lie least often within a face, where the next cell's could meet them."""

    def flat(first: int) -> int:
        turned = loop[first:] + loop[:first]
        return sum(bool(sides[turned[0]] & sides[other]) for other in turned[2:-1])

    first = min(range(len(loop)), key=flat)
    turned = loop[first:] + loop[:first]
    return [(turned[0], turned[i], turned[i + 1]) for i in range(1, len(turned) - 1)]


@njit(nogil=True, cache=True)
def _march(
    values: NDArray[np.float32],
    node: NDArray[np.int32],
    after: NDArray[np.int32],
    count: NDArray[np.int8],
    triangles: NDArray[np.int8],
    edges: NDArray[np.int8],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    vertex = np.full((len(values), 3), -1, np.int32)
    vertices = np.empty((1024, 3))
    faces = np.empty((1024, 3), np.int32)
    made, filled = 0, 0
    corner = np.empty(8, np.int32)
    for i in range(len(values)):
        if after[i, 0] < 0 or after[i, 1] < 0 or after[i, 2] < 0:
            continue
        corner[0], corner[4], corner[2], corner[1] = i, after[i, 0], after[i, 1], after[i, 2]
        corner[6], corner[5], corner[3] = after[corner[4], 1], after[corner[4], 2], after[corner[2], 2]
        if corner[6] < 0 or corner[5] < 0 or corner[3] < 0:
            continue
        corner[7] = after[corner[6], 2]
        if corner[7] < 0:
            continue
        case = 0
        for k in range(8):
            if values[corner[k]] < 0:
                case |= 1 << k
        if filled + count[case] > len(faces):
            more = np.empty((2 * len(faces), 3), np.int32)
            more[:filled] = faces[:filled]
            faces = more
        for t in range(count[case]):
            for s in range(3):
                edge = triangles[case, t, s]
                low, high, axis = corner[edges[edge, 0]], corner[edges[edge, 1]], edge // 4
                if vertex[low, axis] < 0:
                    if made == len(vertices):
                        wider = np.empty((2 * made, 3))
                        wider[:made] = vertices
                        vertices = wider
                    for k in range(3):
                        vertices[made, k] = node[low, k]
                    a, b = float(values[low]), float(values[high])
                    vertices[made, axis] += a / (a - b)
                    vertex[low, axis] = made
                    made += 1
                faces[filled, s] = vertex[low, axis]
            filled += 1
    return vertices[:made].copy(), faces[:filled].copy()
