"""One point from all neighbours' estimates of a pixel's depth: their mean near the weighted median.

Letters: N reference pixels of a piece of work; J neighbours.

Source: Xu et al. 2022, section 5.3 (fewer views suffice where they agree tightly).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.consistency.agreement import KERNEL, NORMAL_SCALE, PART, confirmation

SPREAD = 3.0
"""Estimates further than this from their median stay out of the mean, pixel footprints."""


class Fused(NamedTuple):
    """Points in the order of the pixels; rows where `kept` is False mean nothing."""

    kept: np.ndarray  # (N,) bool
    xyz: np.ndarray  # (N, 3) float32, world
    normal: np.ndarray  # (N, 3) float32, world
    rgb: np.ndarray  # (N, 3) uint8
    member: np.ndarray  # (J + 1, N) bool: the reference first, then the neighbours, that the point was made from


@njit(**KERNEL)
def combine(pixels, ref, world_from_ref, bounds, limits, estimates):
    """One point per pixel on which enough views agree, and agree well.

    A pixel is kept where at least `min_views` agree, its own included, to within `SPREAD` of their weighted median,
    fewer neighbours contradict than agree, and the consensus is high enough: the mean, over the agreeing views, of
    their surfaces' `confirmation` of the point, with distances measured across the surface and angles against the mean
    normal.

    Args:
        pixels: (N,) int32, row-major.
        ref: `Maps`.
        world_from_ref: (3, 4) float64.
        bounds: (2, 3) float64, corners of the box of interest.
        limits: `Limits`.
        estimates: `Estimates` of all neighbours.

    Returns:
        `Fused`.
    """
    neighbours, count = estimates.weight.shape
    kept = np.zeros(count, np.bool_)
    xyz, normals = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    rgb, member = np.zeros((count, 3), np.uint8), np.zeros((neighbours + 1, count), np.bool_)
    depths, weights = np.empty(neighbours + 1), np.empty(neighbours + 1)
    colors, normal = np.empty(neighbours + 1, np.uint8), np.empty(3)
    fx, fy, cx, cy = ref.camera
    width = ref.depth.shape[1]
    for i in range(count):
        row, column = pixels[i] // width, pixels[i] % width
        depths[0], weights[0] = ref.depth[row, column], 1 - ref.cost[row, column] / 300.0
        agree, against = 1, 0
        for j in range(neighbours):
            if estimates.weight[j, i] > 0:
                depths[agree], weights[agree] = estimates.depth[j, i], estimates.weight[j, i]
                agree += 1
            elif estimates.weight[j, i] < 0:
                against += 1
        if agree < limits.min_views or against >= agree:
            continue
        middle = _weighted_median(depths[:agree], weights[:agree])
        reach = SPREAD * middle / fx
        total, depth, close = 0.0, 0.0, 0
        for k in range(agree):
            if abs(depths[k] - middle) <= reach:
                total += weights[k]
                depth += weights[k] * depths[k]
                close += 1
        if close < limits.min_views:
            continue
        depth /= total
        if depth < limits.nearest or depth > limits.farthest:
            continue
        member[0, i] = abs(ref.depth[row, column] - middle) <= reach
        for c in range(3):
            normal[c] = ref.normal[row, column, c] / NORMAL_SCALE
        for j in range(neighbours):
            if estimates.weight[j, i] > 0:
                member[j + 1, i] = abs(estimates.depth[j, i] - middle) <= reach
                for c in range(3):
                    normal[c] += estimates.normal[j, i, c]
        length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        if length < 1e-6:
            continue
        for c in range(3):
            normal[c] /= length
        rx, ry = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
        slant = abs(normal[0] * rx + normal[1] * ry + normal[2])  # across the surface, per unit of depth
        across = slant * fx / depth
        n, unit = ref.normal[row, column], 1 / NORMAL_SCALE
        distance = (ref.depth[row, column] - depth) * across
        consensus = confirmation(distance, normal[0] - n[0] * unit, normal[1] - n[1] * unit, normal[2] - n[2] * unit)
        for j in range(neighbours):
            if estimates.weight[j, i] > 0:
                theirs = estimates.normal[j, i]
                distance = (estimates.depth[j, i] - depth) * across
                consensus += confirmation(distance, normal[0] - theirs[0], normal[1] - theirs[1], normal[2] - theirs[2])
        if consensus < limits.consensus * agree:
            continue
        x, y = rx * depth, ry * depth
        inside = True
        for c in range(3):
            r = world_from_ref[c]
            w = r[0] * x + r[1] * y + r[2] * depth + r[3]
            inside = inside and bounds[0, c] <= w <= bounds[1, c]
            xyz[i, c] = w
            normals[i, c] = r[0] * normal[0] + r[1] * normal[1] + r[2] * normal[2]
        if not inside:
            continue
        for c in range(3):
            seen = 0
            if member[0, i]:
                colors[0] = ref.rgb[row, column, c]
                seen = 1
            for j in range(neighbours):
                if member[j + 1, i]:
                    colors[seen] = estimates.rgb[j, i, c]
                    seen += 1
            rgb[i, c] = _median_color(colors, seen)
        kept[i] = True
    return Fused(kept, xyz, normals, rgb, member)


@njit(**PART)
def _weighted_median(values, weights):
    """The value at which half of the weight is reached; sorts both arrays in place (insertion: they are short)."""
    total = 0.0
    for k in range(len(values)):
        value, weight = values[k], weights[k]
        total += weight
        m = k
        while m > 0 and values[m - 1] > value:
            values[m], weights[m] = values[m - 1], weights[m - 1]
            m -= 1
        values[m], weights[m] = value, weight
    reached = 0.0
    for k in range(len(values)):
        reached += weights[k]
        if reached >= 0.5 * total:
            return values[k]
    return values[-1]


@njit(**PART)
def _median_color(values, count):
    """The lower median of the first `count` values; sorts them in place."""
    for k in range(1, count):
        value, m = values[k], k
        while m > 0 and values[m - 1] > value:
            values[m] = values[m - 1]
            m -= 1
        values[m] = value
    return values[(count - 1) // 2]
