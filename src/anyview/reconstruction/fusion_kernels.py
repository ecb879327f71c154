"""Fusion's arithmetic, compiled: which neighbours agree with a pixel, and what point they give together.

A reference pixel's point is looked up in one neighbour at a time (`compare`). The neighbour's surface is read between
its pixels, so that agreement does not depend on where the pixel grid happens to fall, and the surface is carried back
to the reference ray along its tangent plane: every agreeing neighbour gives one estimate of the same depth. `combine`
takes the estimates of all neighbours, keeps those close to their weighted median, and averages them.

Letters: H, W rows and columns; N reference pixels of a piece of work; J neighbours. Frames: ref and src are the cameras
of the reference and of one neighbour. Depths are z, scene units; the first pixel's centre is at (0.5, 0.5).

Sources: Schoenberger et al. 2016, section 5 (consistency in pixels, depth and normals); Xu et al. 2022, section 5.3
(fewer views suffice where they agree tightly).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit

OUTSIDE, USED = 1, 2
"""Bits of a pixel's state: outside the mask; part of an earlier view's point."""

NORMAL_SCALE = np.float32(32767)
"""Normals are held as int16 times this."""

SPREAD = 3.0
"""Estimates further than this from their median stay out of the mean, pixel footprints."""

_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "arcp", "nsz", "reassoc"}}


class Limits(NamedTuple):
    """What counts as agreement."""

    reprojection: float  # pixels
    depth: float  # relative
    cosine: float  # of the angle between normals
    min_views: int  # own view included
    consensus: float  # 0 to 1; see `combine`
    nearest: float  # depth of a point in the view that it comes from, scene units
    farthest: float


class Maps(NamedTuple):
    """One view's maps and camera."""

    depth: np.ndarray  # (H, W) float32, 0 = none
    normal: np.ndarray  # (H, W, 3) int16, camera frame
    cost: np.ndarray  # (H, W) uint8, 0 best
    rgb: np.ndarray  # (H, W, 3) uint8
    state: np.ndarray  # (H, W) uint8
    camera: np.ndarray  # (4,) float64: fx, fy, cx, cy


class Estimates(NamedTuple):
    """What the neighbours say of N pixels; row j belongs to neighbour j."""

    depth: np.ndarray  # (J, N) float32, on the reference ray
    weight: np.ndarray  # (J, N) float32: > 0 agrees, 0 does not see it, < 0 contradicts
    pixel: np.ndarray  # (J, N) int32, row-major index of the neighbour's pixel that this point stands for, or -1
    normal: np.ndarray  # (J, N, 3) float32, reference frame
    rgb: np.ndarray  # (J, N, 3) uint8
    cost: np.ndarray  # (J, N) uint8, the neighbour's own, 0 best


class Fused(NamedTuple):
    """Points in the order of the pixels; rows where `kept` is False mean nothing."""

    kept: np.ndarray  # (N,) bool
    xyz: np.ndarray  # (N, 3) float32, world
    normal: np.ndarray  # (N, 3) float32, world
    rgb: np.ndarray  # (N, 3) uint8
    member: np.ndarray  # (J, N) bool: the neighbours that the point was made from


@njit(**_OPTIONS)
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


@njit(**_OPTIONS, _nrt=False)
def _surface(depth, x, y, tolerance):
    """Depth between pixels: bilinear in 1/z where four pixels lie on one surface, else the nearest pixel's."""
    height, width = depth.shape
    nearest = depth[int(y), int(x)]
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    if nearest <= 0 or left < 0 or top < 0 or left + 1 >= width or top + 1 >= height:
        return nearest, False
    a, b, c, d = depth[top, left], depth[top, left + 1], depth[top + 1, left], depth[top + 1, left + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= 0 or high - low > tolerance * nearest:
        return nearest, False
    u, v = x - 0.5 - left, y - 0.5 - top
    inverse = (1 - v) * ((1 - u) / a + u / b) + v * ((1 - u) / c + u / d)
    return 1 / inverse, True


@njit(**_OPTIONS, _nrt=False)
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
    r = src_from_ref
    t = (r[0, 3], r[1, 3], r[2, 3])
    fx, fy, cx, cy = ref.camera
    sx, sy, scx, scy = src.camera
    height, width = src.depth.shape
    ref_width = ref.depth.shape[1]
    for i in range(len(pixels)):
        estimates.weight[j, i], estimates.pixel[j, i] = 0, -1
        row, column = pixels[i] // ref_width, pixels[i] % ref_width
        z = ref.depth[row, column]
        rx, ry = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
        # the ray, and the point on it, in the neighbour's frame
        ax = r[0, 0] * rx + r[0, 1] * ry + r[0, 2]
        ay = r[1, 0] * rx + r[1, 1] * ry + r[1, 2]
        az = r[2, 0] * rx + r[2, 1] * ry + r[2, 2]
        px, py, pz = ax * z + t[0], ay * z + t[1], az * z + t[2]
        if pz <= 0:
            continue
        px, py = px / pz, py / pz
        u, v = sx * px + scx, sy * py + scy
        if not (0 <= u < width and 0 <= v < height):
            continue
        su, sv = int(u), int(v)
        if src.state[sv, su] & OUTSIDE:
            estimates.weight[j, i] = -1
            continue
        seen, smooth = _surface(src.depth, u, v, 0.02)
        if seen <= 0:
            continue
        difference = abs(seen - pz) / seen
        if difference > limits.depth:
            if seen > pz:  # the neighbour looks through the point
                estimates.weight[j, i] = -1
            continue
        # normals, both in the neighbour's frame
        k = 1 / NORMAL_SCALE
        nx, ny, nz = src.normal[sv, su, 0] * k, src.normal[sv, su, 1] * k, src.normal[sv, su, 2] * k
        mx, my, mz = ref.normal[row, column, 0] * k, ref.normal[row, column, 1] * k, ref.normal[row, column, 2] * k
        qx = r[0, 0] * mx + r[0, 1] * my + r[0, 2] * mz
        qy = r[1, 0] * mx + r[1, 1] * my + r[1, 2] * mz
        qz = r[2, 0] * mx + r[2, 1] * my + r[2, 2] * mz
        cosine = nx * qx + ny * qy + nz * qz
        if cosine < limits.cosine:
            continue
        if not smooth:  # carry the pixel's depth from its centre to (u, v) along its tangent plane
            along = nx * px + ny * py + nz
            if abs(along) > 0.05:
                seen = seen * (nx * (su + 0.5 - scx) / sx + ny * (sv + 0.5 - scy) / sy + nz) / along
                difference = abs(seen - pz) / pz
                if difference > limits.depth:
                    continue
        # the neighbour's point, back in the reference image
        wx, wy, wz = px * seen - t[0], py * seen - t[1], seen - t[2]
        bx = r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz
        by = r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz
        bz = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz
        if bz <= 0:
            continue
        ex, ey = fx * (bx / bz - rx), fy * (by / bz - ry)
        if ex * ex + ey * ey > limits.reprojection * limits.reprojection:
            continue
        # the tangent plane through that point (mean of both normals) meets the reference ray
        gx, gy, gz = nx + qx, ny + qy, nz + qz
        facing = gx * ax + gy * ay + gz * az
        if abs(facing) < 0.1 * np.sqrt((ax * ax + ay * ay + az * az) * (gx * gx + gy * gy + gz * gz)):
            depth = bz
        else:
            depth = (gx * wx + gy * wy + gz * wz) / facing
        scale = (z / fx) / (seen / sx)  # a finer neighbour knows better
        estimates.depth[j, i] = depth
        estimates.weight[j, i] = min(scale * scale, 4.0) * (1 - src.cost[sv, su] / 300.0)
        # only a pixel that the point falls well into has had its say: surfaces stay as dense as their finest view
        if (u - su - 0.5) ** 2 + (v - sv - 0.5) ** 2 < 0.16:
            estimates.pixel[j, i] = sv * width + su
        estimates.normal[j, i, 0] = r[0, 0] * nx + r[1, 0] * ny + r[2, 0] * nz
        estimates.normal[j, i, 1] = r[0, 1] * nx + r[1, 1] * ny + r[2, 1] * nz
        estimates.normal[j, i, 2] = r[0, 2] * nx + r[1, 2] * ny + r[2, 2] * nz
        estimates.cost[j, i] = src.cost[sv, su]
        for c in range(3):
            estimates.rgb[j, i, c] = src.rgb[sv, su, c]


@njit(**_OPTIONS)
def combine(pixels, ref, world_from_ref, bounds, limits, estimates):
    """One point per pixel on which enough views agree, and agree well.

    A pixel is kept where at least `min_views` agree, its own included, fewer neighbours contradict than agree, and the
    consensus is high enough: the mean, over the agreeing views, of exp(-(d / 2 + 5 a)), with d the distance in pixel
    footprints of the view's surface from the point, across the surface, and a the angle in radians of its normal to
    the mean normal. Matches that are wrong in the same place for several views (reflections, plain areas) pass a test
    of depth alone, but their normals scatter.

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
    rgb, member = np.zeros((count, 3), np.uint8), np.zeros((neighbours, count), np.bool_)
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
        total, depth = 0.0, 0.0
        for k in range(agree):
            if abs(depths[k] - middle) <= reach:
                total += weights[k]
                depth += weights[k] * depths[k]
        depth /= total
        if depth < limits.nearest or depth > limits.farthest:
            continue
        for c in range(3):
            normal[c] = ref.normal[row, column, c] / NORMAL_SCALE
        for j in range(neighbours):
            if estimates.weight[j, i] > 0:
                member[j, i] = abs(estimates.depth[j, i] - depth) <= reach
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
        consensus = _agreement(ref.depth[row, column] - depth, across, normal, ref.normal[row, column], NORMAL_SCALE)
        for j in range(neighbours):
            if estimates.weight[j, i] > 0:
                consensus += _agreement(estimates.depth[j, i] - depth, across, normal, estimates.normal[j, i], 1.0)
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
            seen = 1
            colors[0] = ref.rgb[row, column, c]
            for j in range(neighbours):
                if member[j, i]:
                    colors[seen] = estimates.rgb[j, i, c]
                    seen += 1
            rgb[i, c] = _median_color(colors, seen)
        kept[i] = True
    return Fused(kept, xyz, normals, rgb, member)


@njit(**_OPTIONS)
def _agreement(difference, across, mean, normal, scale):
    """exp(-(d / 2 + 5 a)) of one view; see `combine`."""
    cosine = (mean[0] * normal[0] + mean[1] * normal[1] + mean[2] * normal[2]) / scale
    gap = max(1 - cosine, 0.0)
    angle = np.sqrt(2 * gap) * (1 + gap / 12)  # the first terms of arccos: 0.2 % short at 60 degrees
    return np.exp(-(0.5 * abs(difference) * across + 5 * angle))


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def _median_color(values, count):
    """The lower median of the first `count` values; sorts them in place."""
    for k in range(1, count):
        value, m = values[k], k
        while m > 0 and values[m - 1] > value:
            values[m] = values[m - 1]
            m -= 1
        values[m] = value
    return values[(count - 1) // 2]


@njit(**_OPTIONS)
def mark(state, pixels, kept):
    """Set `USED` at a neighbour's pixels that points stand for."""
    flat = state.reshape(-1)
    for i in range(len(pixels)):
        if kept[i] and pixels[i] >= 0:
            flat[pixels[i]] |= USED
