"""Seams made invisible: what two photographs say of the same edge is brought together.

Globally, every corner of the atlas gets a colour to add, so that the two sides of each seam agree and neighbours within
a patch get nearly the same (Lempitsky and Ivanov 2007; Waechter, Moehrle and Goesele 2014, section 5.1). Locally, what
is left is spread into a strip beside the seam by Laplace's equation, which is Poisson editing with the image's own
gradients (Perez, Gangnet and Blake 2003; Waechter et al., section 5.2).

Letters: E seams (an edge between two patches), S samples along them, C corners of the atlas, N texels of the strips.
Side 0 and side 1 of a seam are its two faces. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import splu

from anyview.jit import njit
from anyview.reconstruction.texture.atlas import Layout, Patches

STRIP = 12
"""Width of the strip beside a seam, texels."""

_MOST_SAMPLES = 64  # along one edge
_GRADUAL = 1.0  # weight of differences within a patch; those across a seam have 1
_ANCHOR = 1e-4  # weight of the corrections themselves: nothing drifts
_SWEEPS = 80
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Seams:
    """Edges between patches and points along them.

    Attributes:
        faces: of both sides of each seam.
        corners: of both sides at both ends, [seam, side, end].
        edge: seam of each sample.
        along: where it lies, 0 at the first end, 1 at the second.
        color: of both sides, to be filled from the photographs.
        seen: whether that side's photograph sees the sample, to be filled.
    """

    faces: Int32[np.ndarray, "E 2"]
    corners: Int32[np.ndarray, "E 2 2"]
    edge: Int32[np.ndarray, " S"]
    along: Float64[np.ndarray, " S"]
    color: Float32[np.ndarray, "2 S 3"] = field(repr=False)
    seen: Bool[np.ndarray, "2 S"] = field(repr=False)


def find_seams(
    patches: Patches,
    layout: Layout,
    faces: Int32[np.ndarray, "F 3"],
    pairs: Int32[np.ndarray, "P 2"],
    edges: Int32[np.ndarray, "P 2"],
) -> Seams:
    """Edges whose two faces lie in different patches, with a sample per texel of the longer side."""
    apart = patches.of_face[pairs[:, 0]] != patches.of_face[pairs[:, 1]]
    both, ends = pairs[apart], edges[apart]
    place = (faces[both][:, :, None, :] == ends[:, None, :, None]).argmax(3)
    corners = np.take_along_axis(patches.corners[both], place, 2)
    length = np.linalg.norm(layout.texels[corners[:, :, 1]] - layout.texels[corners[:, :, 0]], axis=2).max(1, initial=0)
    count = np.clip(np.ceil(length), 1, _MOST_SAMPLES).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(both)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    samples = len(edge)
    return Seams(
        both.astype(np.int32),
        corners.astype(np.int32),
        edge.astype(np.int32),
        step / (count[edge] - 1),
        np.zeros((2, samples, 3), np.float32),
        np.zeros((2, samples), bool),
    )


def corrections(seams: Seams, patches: Patches) -> Float32[np.ndarray, "C 3"]:
    """What to add at each corner: the least squares solution of this file's head.

    Difference of a seam at one of its ends: the mean over its samples, those nearer to the end counting more.
    """
    count = len(patches.vertex)
    both = seams.seen.all(0)
    difference = (seams.color[1] - seams.color[0]).astype(np.float64)
    blocks: list[tuple[np.ndarray, np.ndarray, float]] = []
    right = np.zeros((count, 3))
    for end, near in enumerate((1 - seams.along, seams.along)):
        weight = np.where(both, near, 0.0)
        total = np.bincount(seams.edge, weight, len(seams.faces))
        good = total > 1e-9
        sums = np.stack([np.bincount(seams.edge, weight * d, len(seams.faces)) for d in difference.T], 1)
        wanted = sums[good] / total[good, None]
        here, there = seams.corners[good, 0, end], seams.corners[good, 1, end]
        blocks.append((here, there, 1.0))
        np.add.at(right, here, wanted)
        np.add.at(right, there, -wanted)
    sides = np.sort(
        np.concatenate([patches.corners[:, [0, 1]], patches.corners[:, [1, 2]], patches.corners[:, [2, 0]]]), 1
    )
    sides = np.unique(sides, axis=0)
    blocks.append((sides[:, 0], sides[:, 1], _GRADUAL))
    matrix = _ANCHOR * eye_array(count, format="csc")
    for here, there, strength in blocks:
        matrix = matrix + strength * _laplacian(here, there, count)
    solved = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    return np.asarray(solved, np.float32)


def level_locally(
    color: Float32[np.ndarray, "H W 3"],
    patch: Int32[np.ndarray, "H W"],
    seams: Seams,
    patches: Patches,
    layout: Layout,
    added: Float32[np.ndarray, "C 3"],
) -> None:
    """Bring the two sides of each seam to their mean, and their surroundings along; changes `color`.

    Args:
        color: the texture, after the global correction.
        patch: of each texel, -1 where there is none.
        seams, patches, layout: of the mesh.
        added: the global correction.
    """
    t = seams.along[:, None]
    ends = seams.corners[seams.edge]
    fixed, values = [], []
    level = [seams.color[side] + (1 - t) * added[ends[:, side, 0]] + t * added[ends[:, side, 1]] for side in (0, 1)]
    for side in (0, 1):
        place = (1 - t) * layout.texels[ends[:, side, 0]] + t * layout.texels[ends[:, side, 1]]
        column = np.clip(place[:, 0].astype(np.int64), 0, layout.width - 1)
        row = np.clip(place[:, 1].astype(np.int64), 0, layout.height - 1)
        good = seams.seen.all(0) & (patch[row, column] == patches.of_face[seams.faces[seams.edge, side]])
        fixed.append((row * layout.width + column)[good])
        values.append((0.5 * (level[1 - side] - level[side]))[good])
    texel, inverse, count = np.unique(np.concatenate(fixed), return_inverse=True, return_counts=True)
    if not len(texel):
        return
    flat = np.concatenate(values)
    mean = np.stack([np.bincount(inverse, channel, len(texel)) for channel in flat.T], 1) / count[:, None]
    members, neighbours = _strip(texel, patch, STRIP)
    value = np.zeros((len(members), 3), np.float32)
    value[: len(texel)] = mean
    relax(value, neighbours, len(texel), _SWEEPS)
    color.reshape(-1, 3)[members] += value


def relax_plainly(
    value: Float32[np.ndarray, "N 3"], neighbours: Int[np.ndarray, "N 4"], fixed: int, sweeps: int
) -> Float32[np.ndarray, "N 3"]:
    """The twin of `relax` in numpy's words, one texel after the other."""
    value = value.copy()
    for _ in range(sweeps):
        for i in range(fixed, len(value)):
            inside = neighbours[i][neighbours[i] >= 0]
            valid = (neighbours[i] != _NONE).sum()
            value[i] = value[inside].sum(0) / valid
    return value


_NONE, _ZERO = -1, -2  # instead of a neighbour: no texel of this patch; a texel beyond the strip, which stays as it is


@njit(**_OPTIONS)
def relax(value, neighbours, fixed, sweeps):
    """Gauss-Seidel for Laplace's equation: each texel but the first `fixed` becomes the mean of its neighbours.

    Args:
        value: (N, 3) float32, written to.
        neighbours: (N, 4) int32; -1 where there is none, -2 for one whose value is zero.
        fixed: how many come first and keep their value.
        sweeps: over all texels, in their order.
    """
    total = np.empty(3, np.float32)
    for _ in range(sweeps):
        for i in range(fixed, len(value)):
            count = 0
            total[:] = 0
            for k in range(4):
                j = neighbours[i, k]
                count += j != -1
                if j >= 0:
                    for n in range(3):
                        total[n] += value[j, n]
            for n in range(3):
                value[i, n] = total[n] / count


def _strip(
    seeds: Int[np.ndarray, " K"], patch: Int32[np.ndarray, "H W"], width: int
) -> tuple[Int[np.ndarray, " N"], Int32[np.ndarray, "N 4"]]:
    """Texels within so many steps of the seeds inside their patches, seeds first, and the neighbours of each."""
    number = np.full(patch.size, -1, np.int32)
    members = _grow(np.asarray(seeds, np.int64), patch, number, width)
    return members, _neighbours(members, patch, number)


@njit(**_OPTIONS)
def _grow(seeds, patch, number, width):
    height, columns = patch.shape
    flat = patch.reshape(-1)
    members = list(seeds)
    for i in range(len(members)):
        number[members[i]] = i
    first = 0
    for _ in range(width):
        last = len(members)
        for i in range(first, last):
            here = members[i]
            row, column = here // columns, here % columns
            for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
                if 0 <= row + dy < height and 0 <= column + dx < columns:
                    there = here + dy * columns + dx
                    if number[there] < 0 and flat[there] == flat[here]:
                        number[there] = len(members)
                        members.append(there)
        first = last
    return np.array(members)


@njit(**_OPTIONS)
def _neighbours(members, patch, number):
    height, columns = patch.shape
    flat = patch.reshape(-1)
    out = np.full((len(members), 4), -1, np.int32)
    for i in range(len(members)):
        here = members[i]
        row, column = here // columns, here % columns
        for k, (dy, dx) in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):
            if 0 <= row + dy < height and 0 <= column + dx < columns:
                there = here + dy * columns + dx
                if flat[there] == flat[here]:
                    out[i, k] = number[there] if number[there] >= 0 else -2
    return out


def _laplacian(here: Int[np.ndarray, " L"], there: Int[np.ndarray, " L"], count: int) -> coo_array:
    one = np.ones(len(here))
    rows, columns = np.concatenate([here, there, here, there]), np.concatenate([here, there, there, here])
    return coo_array((np.concatenate([one, one, -one, -one]), (rows, columns)), (count, count))
