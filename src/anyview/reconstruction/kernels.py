"""PatchMatch stereo, the compiled part: one plane per pixel, its cost against the sources, and how planes improve.

A plane is written as the inverse depth that it gives the pixel, and that inverse depth's change per pixel: along a
plane 1/z is an affine function of the image coordinates, so (rho, gx, gy) needs no angle, moves to a neighbour by one
multiplication, and maps a window into a source view by the homography M = A + b (gx, gy, .) whose columns are A's plus
multiples of b (A = K_src R K_ref^-1, b = K_src t).

Letters: H, W the reference map's rows and columns; S source views; K window taps; p a pixel (x, y) whose centre is at
(x + 0.5, y + 0.5); rho inverse depth in 1 / scene units; m matching cost in [0, 2].

Sources: Galliani et al. 2015 (checkerboard), Schoenberger et al. 2016 (bilateral NCC, geometric term), Xu and Tao 2019
(adaptive sampling, joint view selection). `reference.py` says the same in plain numpy; the tests compare them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from anyview.reconstruction.hashing import uniform

f4 = np.float32
u4 = np.uint32
i4 = np.int32

TAPS = 32
"""Window taps: a constant, so that LLVM turns the loops over them into whole vectors."""

BAD = 2.0
"""The worst matching cost: opposite contrast, or nothing to compare."""

# Nothing here allocates, so reference counting is switched off: its atomic increments, one for each array that a call
# passes on, would cost more than the window itself.
_OPTIONS = {"nogil": True, "cache": True, "fastmath": True, "error_model": "numpy", "_nrt": False}


class Reference(NamedTuple):
    """The view whose depth is sought, at one scale."""

    grey: np.ndarray  # (H, W) float32, 1..255; 0 where masked out
    focal_x: np.float32  # pixels
    focal_y: np.float32
    center_x: np.float32
    center_y: np.float32
    rho_min: np.float32  # inverse depths searched
    rho_max: np.float32
    rho_step: np.float32  # change of inverse depth that moves a match by about one pixel


class Sources(NamedTuple):
    """The source views at the same scale, laid end to end."""

    pixels: np.ndarray  # packed 2x2 neighbourhoods, see `pack`
    offset: np.ndarray  # (S,) int32, first element of each view in `pixels`
    width: np.ndarray  # (S,) int32
    height: np.ndarray  # (S,) int32
    forward: np.ndarray  # (S * 12,) float32: A by rows, then b
    backward: np.ndarray  # (S * 12,) float32: the same from source to reference, for the geometric cost
    depth: np.ndarray  # depth maps of the earlier pass, end to end; empty without geometric cost
    depth_offset: np.ndarray  # (S,) int32
    depth_width: np.ndarray  # (S,) int32
    depth_height: np.ndarray  # (S,) int32


class Window(NamedTuple):
    """Tap positions, and work space for one pixel's window."""

    dx: np.ndarray  # (K,) float32, pixels from the centre
    dy: np.ndarray
    space: np.ndarray  # (K,) float32: the spatial part of the weight
    color_scale: np.float32  # 1 / (2 sigma^2), grey levels
    weight: np.ndarray  # (K,) float32, the rest is filled by `open_window`
    weighted: np.ndarray  # weight times grey (relative to the centre's)
    squared: np.ndarray  # weight times squared grey
    word: np.ndarray  # (K,) uint32, work space of `matching_cost`: packed samples
    fu: np.ndarray  # (K,) float32, their fractions
    fv: np.ndarray


class Scratch(NamedTuple):
    """Work space of one sweep: candidates of a pixel (8 regions) and their costs against each source."""

    costs: np.ndarray  # (8, S) float32, photometric
    extra: np.ndarray  # (8, S) float32, geometric
    scores: np.ndarray  # (S,) float32
    rho: np.ndarray  # (8,) float32
    gx: np.ndarray
    gy: np.ndarray


class State(NamedTuple):
    """One plane per pixel, (H, W) each."""

    rho: np.ndarray  # float32
    gx: np.ndarray  # float32, per pixel
    gy: np.ndarray
    cost: np.ndarray  # float32, mean over the selected views
    views: np.ndarray  # uint32, bit j set where source j is selected


@njit(**_OPTIONS)
def pack(grey, out, offset):
    """Pack each pixel's 2x2 neighbourhood into 32 bits, so that a bilinear sample is one load.

    Element (y, x) of the (H + 1, W + 1) packed image holds the greys at rows y - 1, y and columns x - 1, x; a byte of 0
    says masked out or outside.
    """
    height, width = grey.shape
    for y in range(height + 1):
        for x in range(width + 1):
            word = u4(0)
            for k in range(4):
                yy, xx = y - 1 + (k >> 1), x - 1 + (k & 1)
                if 0 <= yy < height and 0 <= xx < width:
                    word |= u4(grey[yy, xx]) << u4(8 * k)
            out[offset + y * (width + 1) + x] = word


@njit(**_OPTIONS)
def open_window(ref, window, x, y):
    """Fill the window's weights at pixel (x, y); returns their sum.

    Weight: exp(-distance^2 / 2 sigma_s^2 - difference^2 / 2 sigma_c^2), 0 outside the image or the mask.
    """
    height, width = ref.grey.shape
    middle = ref.grey[y, x]
    total = f4(0)
    for k in range(TAPS):
        xx, yy = x + i4(window.dx[k]), y + i4(window.dy[k])
        w = f4(0)
        r = f4(0)
        if 0 <= xx < width and 0 <= yy < height:
            grey = ref.grey[yy, xx]
            if grey > f4(0):
                r = grey - middle
                w = window.space[k] * np.exp(-r * r * window.color_scale)
        window.weight[k] = w
        window.weighted[k] = w * r
        window.squared[k] = w * r * r
        total += w
    return total


@njit(**_OPTIONS)
def matching_cost(ref, src, window, total, x, y, j, rho, gx, gy):
    """1 - NCC of the window under a plane against source j, in [0, 2].

    The homography is linearised at the window's centre. Taps that fall outside the source or its mask count as
    uncorrelated: the cost moves towards 1 by their share of the weight, and is 2 when that share exceeds one half.
    """
    a = src.forward
    o = 12 * j
    px, py = f4(x) + f4(0.5), f4(y) + f4(0.5)
    mx = a[o] * px + a[o + 1] * py + a[o + 2] + a[o + 9] * rho
    my = a[o + 3] * px + a[o + 4] * py + a[o + 5] + a[o + 10] * rho
    mz = a[o + 6] * px + a[o + 7] * py + a[o + 8] + a[o + 11] * rho
    if mz <= f4(1e-6):
        return f4(BAD)
    inv = f4(1) / mz
    u, v = mx * inv, my * inv
    right, bottom = f4(src.width[j]), f4(src.height[j])
    if not (u >= f4(0) and v >= f4(0) and u <= right and v <= bottom):
        return f4(BAD)
    cz = a[o + 6] + a[o + 11] * gx
    ux, vx = (a[o] + a[o + 9] * gx - u * cz) * inv, (a[o + 3] + a[o + 10] * gx - v * cz) * inv
    cz = a[o + 7] + a[o + 11] * gy
    uy, vy = (a[o + 1] + a[o + 9] * gy - u * cz) * inv, (a[o + 4] + a[o + 10] * gy - v * cz) * inv
    u += f4(0.5)  # the packed image's border
    v += f4(0.5)
    base, stride = src.offset[j], src.width[j] + i4(1)
    middle = ref.grey[y, x]
    sw = f4(0)
    ss = f4(0)
    sss = f4(0)
    sr = f4(0)
    srr = f4(0)
    srs = f4(0)
    for k in range(TAPS):
        dx, dy = window.dx[k], window.dy[k]
        tu = min(max(u + ux * dx + uy * dy, f4(0)), right)
        tv = min(max(v + vx * dx + vy * dy, f4(0)), bottom)
        iu, iv = i4(tu), i4(tv)
        window.fu[k], window.fv[k] = tu - f4(iu), tv - f4(iv)
        window.word[k] = base + iv * stride + iu
    for k in range(TAPS):  # alone: sixteen plain loads are faster than the processor's gather
        window.word[k] = src.pixels[window.word[k]]
    for k in range(TAPS):
        word = window.word[k]
        s00 = f4(i4(word & u4(255)))
        s01 = f4(i4((word >> u4(8)) & u4(255)))
        s10 = f4(i4((word >> u4(16)) & u4(255)))
        s11 = f4(i4(word >> u4(24)))
        top = s00 + window.fu[k] * (s01 - s00)
        low = s10 + window.fu[k] * (s11 - s10)
        s = top + window.fv[k] * (low - top) - middle
        seen = f4(1) if min(min(s00, s01), min(s10, s11)) > f4(0) else f4(0)
        w = window.weight[k] * seen
        wr = window.weighted[k] * seen
        ws = w * s
        sw += w
        sr += wr
        srr += window.squared[k] * seen
        ss += ws
        sss += ws * s
        srs += wr * s
    if sw < f4(0.5) * total:
        return f4(BAD)
    norm = f4(1) / sw
    mean_r, mean_s = sr * norm, ss * norm
    var_r, var_s = srr * norm - mean_r * mean_r, sss * norm - mean_s * mean_s
    if var_r < f4(0.4) or var_s < f4(0.4):
        return f4(BAD)
    ncc = (srs * norm - mean_r * mean_s) / np.sqrt(var_r * var_s)
    return f4(1) - min(max(ncc, f4(-1)), f4(1)) * sw / total


@njit(**_OPTIONS)
def geometric_error(src, x, y, j, rho):
    """Forward-backward distance, pixels, 3 at most: to source j, and back by that view's own depth."""
    a = src.forward
    o = 12 * j
    px, py = f4(x) + f4(0.5), f4(y) + f4(0.5)
    mz = a[o + 6] * px + a[o + 7] * py + a[o + 8] + a[o + 11] * rho
    if mz <= f4(1e-6):
        return f4(3)
    u = (a[o] * px + a[o + 1] * py + a[o + 2] + a[o + 9] * rho) / mz
    v = (a[o + 3] * px + a[o + 4] * py + a[o + 5] + a[o + 10] * rho) / mz
    if not (u >= f4(0) and v >= f4(0) and u < f4(src.width[j]) and v < f4(src.height[j])):
        return f4(3)
    iu = min(i4(u * f4(src.depth_width[j]) / f4(src.width[j])), src.depth_width[j] - i4(1))
    iv = min(i4(v * f4(src.depth_height[j]) / f4(src.height[j])), src.depth_height[j] - i4(1))
    z = src.depth[src.depth_offset[j] + iv * src.depth_width[j] + iu]
    if z <= f4(0):
        return f4(3)
    c = src.backward
    qz = (c[o + 6] * u + c[o + 7] * v + c[o + 8]) * z + c[o + 11]
    if qz <= f4(1e-6):
        return f4(3)
    ex = ((c[o] * u + c[o + 1] * v + c[o + 2]) * z + c[o + 9]) / qz - px
    ey = ((c[o + 3] * u + c[o + 4] * v + c[o + 5]) * z + c[o + 10]) / qz - py
    return min(np.sqrt(ex * ex + ey * ey), f4(3))


@njit(**_OPTIONS)
def admissible(ref, x, y, rho, gx, gy):
    """Whether a plane lies in the depth range and faces the camera within about 80 degrees."""
    if not (rho >= ref.rho_min and rho <= ref.rho_max):
        return False
    rx, ry = (f4(x) + f4(0.5) - ref.center_x) / ref.focal_x, (f4(y) + f4(0.5) - ref.center_y) / ref.focal_y
    nx, ny = gx * ref.focal_x, gy * ref.focal_y
    nz = rho - nx * rx - ny * ry
    return rho * rho > f4(0.03) * (nx * nx + ny * ny + nz * nz) * (rx * rx + ry * ry + f4(1))


@njit(**_OPTIONS)
def random_plane(ref, x, y, key):
    """A plane with uniform inverse depth and a normal within about 60 degrees of the viewing ray."""
    rho = ref.rho_min + (ref.rho_max - ref.rho_min) * uniform(key, 1)
    gx, gy = random_slope(ref, x, y, rho, key)
    return rho, gx, gy


@njit(**_OPTIONS)
def random_slope(ref, x, y, rho, key):
    """Slope of a plane whose normal deviates from the viewing ray by a uniform vector in a disc of radius tan 60."""
    angle = f4(6.2831853) * uniform(key, 2)
    radius = f4(1.2) * np.sqrt(uniform(key, 3))
    rx, ry = (f4(x) + f4(0.5) - ref.center_x) / ref.focal_x, (f4(y) + f4(0.5) - ref.center_y) / ref.focal_y
    norm = f4(1) / np.sqrt(rx * rx + ry * ry + f4(1))
    nx, ny, nz = rx * norm + radius * np.cos(angle), ry * norm + radius * np.sin(angle), norm
    along = nx * rx + ny * ry + nz
    return nx * rho / (ref.focal_x * along), ny * rho / (ref.focal_y * along)


@njit(**_OPTIONS)
def plane_cost(ref, src, window, total, x, y, rho, gx, gy, views, geometric, limit):
    """Mean cost over the selected views, photometric plus weighted geometric; stops early once it exceeds `limit`.

    Returns the mean (or something above `limit`) and the number of windows compared.
    """
    if not admissible(ref, x, y, rho, gx, gy):
        return f4(9), 0
    count = 0
    for j in range(src.offset.size):
        if (views >> u4(j)) & u4(1):
            count += 1
    if count == 0:
        return f4(9), 0
    bound = limit * f4(count)
    acc = f4(0)
    compared = 0
    for j in range(src.offset.size):
        if (views >> u4(j)) & u4(1):
            if geometric > f4(0):
                acc += geometric * geometric_error(src, x, y, j, rho)
                if acc > bound:
                    return f4(9), compared
            acc += matching_cost(ref, src, window, total, x, y, j, rho, gx, gy)
            compared += 1
            if acc > bound:
                return f4(9), compared
    return acc / f4(count), compared


@njit(**_OPTIONS)
def best_views(scores, most):
    """Bits of the `most` largest positive scores."""
    views = u4(0)
    for _ in range(most):
        best = -1
        top = f4(0)
        for j in range(scores.size):
            if not (views >> u4(j)) & u4(1) and scores[j] > top:
                top = scores[j]
                best = j
        if best < 0:
            break
        views |= u4(1) << u4(best)
    return views


@njit(**_OPTIONS)
def start(ref, src, window, state, scratch, most, seed):
    """Random planes, each with the mean of its best `most` views. Returns the number of windows compared."""
    height, width = ref.grey.shape
    scores = scratch.scores
    compared = 0
    for y in range(height):
        for x in range(width):
            if ref.grey[y, x] <= f4(0):
                continue
            total = open_window(ref, window, x, y)
            if state.rho[y, x] <= f4(0):
                rho, gx, gy = random_plane(ref, x, y, u4(seed) + u4(y * width + x))
                state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
            for j in range(scores.size):
                scores[j] = (
                    f4(BAD)
                    + f4(0.1)
                    - matching_cost(ref, src, window, total, x, y, j, state.rho[y, x], state.gx[y, x], state.gy[y, x])
                )
            compared += scores.size
            views = best_views(scores, most)
            acc = f4(0)
            n = 0
            for j in range(scores.size):
                if (views >> u4(j)) & u4(1):
                    acc += f4(BAD) + f4(0.1) - scores[j]
                    n += 1
            state.views[y, x] = views
            state.cost[y, x] = acc / f4(max(n, 1))
    return compared


@njit(**_OPTIONS)
def region_best(state, mask, x, y, region):
    """Index y * W + x of the cheapest pixel in one of the eight regions around (x, y), or -1.

    Regions 0-3 are the near V (0,1) (+-1,2) (+-2,3) (+-3,4) up, down, left, right; 4-7 the far line (0,3), (0,5) ...
    (0,23). All of them hold pixels of the other colour only.
    """
    height, width = state.cost.shape
    best = -1
    lowest = f4(100)
    direction = region & 3
    count = 7 if region < 4 else 11
    for k in range(count):
        if region < 4:
            along = 1 + (k + 1) // 2
            across = (along - 1) * (1 if k & 1 else -1)
        else:
            along = 3 + 2 * k
            across = 0
        if direction == 0:
            xx, yy = x + across, y - along
        elif direction == 1:
            xx, yy = x + across, y + along
        elif direction == 2:
            xx, yy = x - along, y + across
        else:
            xx, yy = x + along, y + across
        if 0 <= xx < width and 0 <= yy < height and mask[yy, xx] > f4(0) and state.cost[yy, xx] < lowest:
            lowest = state.cost[yy, xx]
            best = yy * width + xx
    return best


@njit(**_OPTIONS)
def neighbour_votes(state, mask, x, y, j):
    """Prior of source j from the four adjacent pixels: 0.9 for each that selected it, 0.1 for each that did not."""
    height, width = state.cost.shape
    prior = f4(0)
    for k in range(4):
        xx = x + (1 if k == 0 else (-1 if k == 1 else 0))
        yy = y + (1 if k == 2 else (-1 if k == 3 else 0))
        if 0 <= xx < width and 0 <= yy < height and mask[yy, xx] > f4(0):
            prior += f4(0.9) if (state.views[yy, xx] >> u4(j)) & u4(1) else f4(0.1)
    return prior


@njit(**_OPTIONS)
def perturbed(ref, rho, gx, gy, size, key):
    """The plane shifted and tilted at random, by at most `size` pixels of displacement each."""
    unit = f4(2) * size * ref.rho_step
    return (
        rho + (uniform(key, 1) - f4(0.5)) * unit,
        gx + (uniform(key, 2) - f4(0.5)) * unit * f4(0.2),
        gy + (uniform(key, 3) - f4(0.5)) * unit * f4(0.2),
    )


@njit(**_OPTIONS)
def surrounding_plane(ref, state, x, y, rho):
    """The plane through the four adjacent pixels: their mean inverse depth and its central differences.

    Returns rho = 0 where one is missing, or lies more than two pixels of displacement away from this pixel's plane.
    """
    height, width = state.rho.shape
    if x < 1 or y < 1 or x + 1 >= width or y + 1 >= height:
        return f4(0), f4(0), f4(0)
    left, right = state.rho[y, x - 1], state.rho[y, x + 1]
    up, down = state.rho[y - 1, x], state.rho[y + 1, x]
    if min(min(left, right), min(up, down)) <= f4(0):
        return f4(0), f4(0), f4(0)
    if max(max(left, right), max(up, down)) - min(min(left, right), min(up, down)) > f4(4) * ref.rho_step:
        return f4(0), f4(0), f4(0)
    mean = f4(0.25) * (left + right + up + down)
    if abs(mean - rho) > f4(2) * ref.rho_step:
        return f4(0), f4(0), f4(0)
    return mean, f4(0.5) * (right - left), f4(0.5) * (down - up)


@njit(**_OPTIONS)
def sweep(ref, src, window, state, scratch, color, iteration, joint, select, refinements, span, geometric, most, seed):
    """Improve every pixel of one checkerboard colour from the other colour's planes and from perturbations of its own.

    Args:
        color: 0 or 1, parity of x + y.
        iteration: counts up within a run; tightens what counts as a good match (0.8 exp(-iteration^2 / 90)).
        joint: whether all eight regions' planes are compared with all sources to select views (ACMH's joint selection);
            otherwise the selection is carried over, or remade from the pixel's own plane where `select` is set.
        select: whether views are selected anew.
        refinements: number of perturbed planes tried.
        span: largest perturbation, pixels of match displacement.
        geometric: weight of the forward-backward error per pixel; 0 leaves it out.
        most: number of sources that a pixel's cost is averaged over.
        seed: start of the hash that perturbations are drawn from.

    Returns:
        The number of windows compared.
    """
    height, width = ref.grey.shape
    n_src = src.offset.size
    costs, extra, scores = scratch.costs, scratch.extra, scratch.scores
    prho, pgx, pgy = scratch.rho, scratch.gx, scratch.gy
    compared = 0
    tau = f4(0.8) * np.exp(-f4(iteration * iteration) / f4(90))
    for y in range(height):
        for x in range((y + color) & 1, width, 2):
            if ref.grey[y, x] <= f4(0):
                continue
            total = open_window(ref, window, x, y)
            rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
            key = u4(seed) + u4(iteration) * u4(0x9E3779B9) + u4(y * width + x) * u4(64)

            n = 0
            for region in range(8):
                at = region_best(state, ref.grey, x, y, region)
                if at < 0:
                    continue
                qy, qx = at // width, at % width
                ngx, ngy = state.gx[qy, qx], state.gy[qy, qx]
                nrho = state.rho[qy, qx] + ngx * f4(x - qx) + ngy * f4(y - qy)
                if not admissible(ref, x, y, nrho, ngx, ngy):
                    continue
                if not joint:
                    close = abs(nrho - rho) < f4(0.08) * ref.rho_step
                    if close and abs(ngx - gx) + abs(ngy - gy) < f4(0.025) * ref.rho_step:
                        continue
                prho[n], pgx[n], pgy[n] = nrho, ngx, ngy
                n += 1

            views = state.views[y, x]
            if joint:
                for h in range(n):
                    for j in range(n_src):
                        costs[h, j] = matching_cost(ref, src, window, total, x, y, j, prho[h], pgx[h], pgy[h])
                        extra[h, j] = f4(0)
                        if geometric > f4(0):
                            extra[h, j] = geometric * geometric_error(src, x, y, j, prho[h])
                compared += n * n_src
                for j in range(n_src):
                    good, bad = 0, 0
                    acc = f4(0)
                    for h in range(n):
                        m = costs[h, j]
                        if m < tau:
                            good += 1
                            acc += np.exp(-m * m / f4(0.18))
                        elif m > f4(1.2):
                            bad += 1
                    score = f4(0)
                    if bad < 3:
                        score = acc / f4(good) if good > 2 else np.exp(-tau * tau / f4(0.32))
                    scores[j] = score * neighbour_votes(state, ref.grey, x, y, j)
                chosen = best_views(scores, most)
                if chosen:
                    views = chosen
            elif select:
                for j in range(n_src):
                    m = matching_cost(ref, src, window, total, x, y, j, rho, gx, gy)
                    scores[j] = np.exp(-m * m / f4(0.18)) * neighbour_votes(state, ref.grey, x, y, j)
                    if m >= f4(1.2):
                        scores[j] = f4(0)
                compared += n_src
                chosen = best_views(scores, most)
                if chosen:
                    views = chosen

            cost, more = plane_cost(ref, src, window, total, x, y, rho, gx, gy, views, geometric, f4(9))
            compared += more

            if joint:
                for h in range(n):
                    acc = f4(0)
                    count = 0
                    for j in range(n_src):
                        if (views >> u4(j)) & u4(1):
                            acc += costs[h, j] + extra[h, j]
                            count += 1
                    if count > 0 and acc / f4(count) < cost:
                        cost = acc / f4(count)
                        rho, gx, gy = prho[h], pgx[h], pgy[h]
            else:
                for h in range(n):
                    c, more = plane_cost(ref, src, window, total, x, y, prho[h], pgx[h], pgy[h], views, geometric, cost)
                    compared += more
                    if c < cost:
                        cost = c
                        rho, gx, gy = prho[h], pgx[h], pgy[h]

            if joint:
                c, more = f4(9), 0
                for k in range(3):
                    subkey = key + u4(4 * k)
                    if k == 0:
                        nrho, ngx, ngy = random_plane(ref, x, y, subkey)
                    elif k == 1:
                        ngx, ngy = random_slope(ref, x, y, rho, subkey)
                        nrho = rho
                    else:
                        nrho, ngx, ngy = perturbed(ref, rho, gx, gy, span, subkey)
                    c, more = plane_cost(ref, src, window, total, x, y, nrho, ngx, ngy, views, geometric, cost)
                    compared += more
                    if c < cost:
                        cost = c
                        rho, gx, gy = nrho, ngx, ngy
            else:
                mrho, mgx, mgy = surrounding_plane(ref, state, x, y, rho)
                if mrho > f4(0):
                    for k in range(2):  # the neighbours' slope through this pixel, then through their mean as well
                        nrho = rho if k == 0 else mrho
                        c, more = plane_cost(ref, src, window, total, x, y, nrho, mgx, mgy, views, geometric, cost)
                        compared += more
                        if c < cost:
                            cost = c
                            rho, gx, gy = nrho, mgx, mgy
                for k in range(refinements):
                    size = span * f4(0.5) ** f4(k)
                    nrho, ngx, ngy = perturbed(ref, rho, gx, gy, size, key + u4(4 * k))
                    c, more = plane_cost(ref, src, window, total, x, y, nrho, ngx, ngy, views, geometric, cost)
                    compared += more
                    if c < cost:
                        cost = c
                        rho, gx, gy = nrho, ngx, ngy
                step = f4(0.3) * span * ref.rho_step
                low, more = plane_cost(ref, src, window, total, x, y, rho - step, gx, gy, views, geometric, f4(2))
                compared += more
                high, more = plane_cost(ref, src, window, total, x, y, rho + step, gx, gy, views, geometric, f4(2))
                compared += more
                middle_rho = rho
                bend = low + high - f4(2) * cost
                if low < f4(9) and high < f4(9) and bend > f4(1e-6):  # the parabola's lowest point
                    nrho = rho + min(max(f4(0.5) * (low - high) / bend, f4(-1.5)), f4(1.5)) * step
                    c, more = plane_cost(ref, src, window, total, x, y, nrho, gx, gy, views, geometric, cost)
                    compared += more
                    if c < cost:
                        cost = c
                        rho = nrho
                if min(low, high) < cost:
                    cost = min(low, high)
                    rho = middle_rho - step if low < high else middle_rho + step

            state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
            state.cost[y, x] = cost
            state.views[y, x] = views
    return compared
