"""What the neighbours say of a piece of a reference view's pixels, one row of numbers per neighbour.

Letters: N reference pixels of a piece of work; J neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.consistency.agreement import KERNEL, USED, meet


class Estimates(NamedTuple):
    """What the neighbours say of N pixels; row j belongs to neighbour j."""

    depth: np.ndarray  # (J, N) float32, on the reference ray
    weight: np.ndarray  # (J, N) float32: > 0 agrees, 0 does not see it, < 0 contradicts
    pixel: np.ndarray  # (J, N) int32, row-major index of the neighbour's pixel that this point stands for, or -1
    normal: np.ndarray  # (J, N, 3) float32, reference frame
    rgb: np.ndarray  # (J, N, 3) uint8
    cost: np.ndarray  # (J, N) uint8, the neighbour's own, 0 best


@njit(**KERNEL)
def candidates(maps, first, last):
    """Row-major indices of the pixels in rows first .. last - 1 that have depth and are free, (N,) int32."""
    width = maps.depth.shape[1]
    out = np.empty((last - first) * width, np.int32)
    count = 0
    for y in range(first, last):
        for x in range(width):
            if maps.depth[y, x] > 0 and not maps.state[y, x]:
                out[count] = y * width + x
                count += 1
    return out[:count].copy()


@njit(**KERNEL, _nrt=False)
def compare(pixels, ref, src, src_from_ref, limits, estimates, j):
    """Fill row j of the estimates: does neighbour `src` agree with the reference pixels, and where does it put them?

    Args:
        pixels: (N,) int32, row-major.
        ref, src: `Maps`.
        src_from_ref: (3, 4) float64.
        limits: `Limits`.
        estimates: `Estimates`, written to.
        j: the row.
    """
    width, ref_width = src.depth.shape[1], ref.depth.shape[1]
    for i in range(len(pixels)):
        row, column = pixels[i] // ref_width, pixels[i] % ref_width
        verdict, u, v, seen, depth, nx, ny, nz = meet(row, column, ref, src, src_from_ref, limits)
        estimates.weight[j, i], estimates.pixel[j, i] = verdict, -1
        if verdict <= 0:
            continue
        su, sv = int(u), int(v)
        scale = (ref.depth[row, column] / ref.camera[0]) / (seen / src.camera[0])  # a finer neighbour knows better
        estimates.depth[j, i] = depth
        estimates.weight[j, i] = min(scale * scale, 4.0) * (1 - src.cost[sv, su] / 300.0)
        # only a pixel that the point falls well into has had its say: surfaces stay as dense as their finest view
        if (u - su - 0.5) ** 2 + (v - sv - 0.5) ** 2 < 0.16:
            estimates.pixel[j, i] = sv * width + su
        estimates.normal[j, i, 0], estimates.normal[j, i, 1], estimates.normal[j, i, 2] = nx, ny, nz
        estimates.cost[j, i] = src.cost[sv, su]
        for c in range(3):
            estimates.rgb[j, i, c] = src.rgb[sv, su, c]


@njit(**KERNEL)
def mark(state, pixels, kept):
    """Set `USED` at a neighbour's pixels that points stand for."""
    flat = state.reshape(-1)
    for i in range(len(pixels)):
        if kept[i] and pixels[i] >= 0:
            flat[pixels[i]] |= USED
