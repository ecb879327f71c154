"""The matching window: what a pixel's surroundings look like under a plane, seen from the source views.

A plane is written as the inverse depth that it gives the pixel, and that inverse depth's change per pixel: along a
plane 1/z is an affine function of the image coordinates, so (rho, gx, gy) needs no angle, moves to a neighbour by one
multiplication, and maps a window into a source view by the homography A + b (gx, gy, .) whose columns are A's plus
multiples of b (A = K_src R K_ref^-1, b = K_src t).

Letters, here and in the other compiled files: H, W the reference map's rows and columns; S source views; K window taps;
p a pixel (x, y) whose centre is at (x + 0.5, y + 0.5); rho inverse depth in 1 / scene units; m matching cost in [0, 2].

Sources: Schoenberger et al. 2016 (bilateral NCC). `reference.py` says the same in plain numpy; the tests compare them.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from anyview.jit import njit

f4 = np.float32
u4 = np.uint32
i4 = np.int32

TAPS = 32
"""Window taps: a constant, so that LLVM turns the loops over them into whole vectors."""

BAD = 2.0
"""The worst matching cost: opposite contrast, or nothing to compare."""

LEAST_VARIANCE = 0.4
"""Windows with less contrast than this have nothing to compare, grey levels squared."""

# Nothing compiled here allocates, so reference counting is off: its atomic increments, one for each array that a call
# passes on, would cost more than a window. Parts are inlined into the kernel that uses them, always: left to itself
# LLVM compiles a part more than once, which of them runs depends on what came from numba's cache, and the last bits of
# the sums with it.
KERNEL = {"nogil": True, "cache": True, "fastmath": True, "error_model": "numpy", "_nrt": False}
PART = {"nogil": True, "fastmath": True, "error_model": "numpy", "_nrt": False, "forceinline": True}


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
    spread: np.float32  # mean squared dx (and dy) under it, pixels squared
    color_scale: np.float32  # 1 / (2 sigma^2), grey levels
    weight: np.ndarray  # (K,) float32, filled by `open_window` like the next two
    weighted: np.ndarray  # weight times grey (relative to the centre's)
    squared: np.ndarray  # weight times squared grey
    word: np.ndarray  # (2 K,) uint32, work space for two source views: packed samples
    fu: np.ndarray  # (2 K,) float32, their fractions
    fv: np.ndarray


@njit(**KERNEL)
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


@njit(**PART)
def falling_exp(t):
    """exp(t) for t <= 0 to within 3e-6, by multiplications alone: exp itself would not become vectors.

    (1 + y + y^2 / 2 + y^3 / 6)^64 with y = t / 64; below t = -16 it stays at 1.1e-7.
    """
    y = max(t, f4(-16)) * f4(1 / 64)
    power = f4(1) + y * (f4(1) + y * (f4(0.5) + y * f4(1 / 6)))
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    return power * power


@njit(**PART)
def open_window(ref, window, x, y):
    """Fill the window's weights at pixel (x, y); returns their sum.

    Weight: exp(-distance^2 / 2 sigma_s^2 - difference^2 / 2 sigma_c^2), 0 outside the image or the mask.
    """
    height, width = ref.grey.shape
    middle = ref.grey[y, x]
    reach = i4(window.dx[TAPS - 5])  # the last row lacks its corner
    within = x >= reach and y >= reach and x + reach < width and y + reach < height
    for k in range(TAPS):
        xx, yy = x + i4(window.dx[k]), y + i4(window.dy[k])
        r = -middle
        if within or (0 <= xx < width and 0 <= yy < height):
            r = ref.grey[u4(yy), u4(xx)] - middle
        window.weighted[k] = r
    total = f4(0)
    for k in range(TAPS):  # alone, so that it becomes vectors
        r = window.weighted[k]
        w = window.space[k] * falling_exp(-r * r * window.color_scale)
        w = w if r > -middle else f4(0)
        window.weight[k] = w
        window.weighted[k] = w * r
        window.squared[k] = w * r * r
        total += w
    return total


@njit(**PART)
def project(src, spread, x, y, j, rho, gx, gy):
    """Where a plane's window falls in source j: its mean position and the Jacobian at its centre.

    The mean is the centre's position plus the homography's second-order term, averaged over the window: without it
    cameras that converge see everything a little too far away.

    Returns whether it is in front of the source and inside its image, then u, v, du/dx, dv/dx, du/dy, dv/dy in pixels.
    """
    a = src.forward
    o = 12 * j
    px, py = f4(x) + f4(0.5), f4(y) + f4(0.5)
    mx = a[o] * px + a[o + 1] * py + a[o + 2] + a[o + 9] * rho
    my = a[o + 3] * px + a[o + 4] * py + a[o + 5] + a[o + 10] * rho
    mz = a[o + 6] * px + a[o + 7] * py + a[o + 8] + a[o + 11] * rho
    front = mz > f4(1e-6)
    inv = f4(1) / (mz if front else f4(1))
    u, v = mx * inv, my * inv
    inside = u >= f4(0) and v >= f4(0) and u <= f4(src.width[j]) and v <= f4(src.height[j])
    if not (front and inside):
        return False, f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
    zx, zy = a[o + 6] + a[o + 11] * gx, a[o + 7] + a[o + 11] * gy
    ux, vx = (a[o] + a[o + 9] * gx - u * zx) * inv, (a[o + 3] + a[o + 10] * gx - v * zx) * inv
    uy, vy = (a[o + 1] + a[o + 9] * gy - u * zy) * inv, (a[o + 4] + a[o + 10] * gy - v * zy) * inv
    bend = spread * inv
    return True, u - bend * (zx * ux + zy * uy), v - bend * (zx * vx + zy * vy), ux, vx, uy, vy


@njit(**PART)
def find_samples(src, window, half, x, y, j, rho, gx, gy):
    """Addresses and fractions of the window's samples in source j; returns whether its centre is inside."""
    inside, u, v, ux, vx, uy, vy = project(src, window.spread, x, y, j, rho, gx, gy)
    u += f4(0.5)  # the packed image's border
    v += f4(0.5)
    right, bottom = f4(src.width[j]), f4(src.height[j])
    base, stride = src.offset[j], src.width[j] + i4(1)
    for k in range(TAPS):
        tu = min(max(u + ux * window.dx[k] + uy * window.dy[k], f4(0)), right)
        tv = min(max(v + vx * window.dx[k] + vy * window.dy[k], f4(0)), bottom)
        iu, iv = i4(tu), i4(tv)
        window.fu[half + k], window.fv[half + k] = tu - f4(iu), tv - f4(iv)
        window.word[half + k] = base + iv * stride + iu
    return inside


@njit(**PART)
def load_samples(src, window):
    """The packed samples of both halves, in place of their addresses; plain loads beat the processor's gather."""
    for i in range(2 * TAPS):
        window.word[i] = src.pixels[window.word[i]]


@njit(**PART)
def sample(window, i):
    """A tap's bilinear grey, its derivatives per pixel to the right and down, and 1 if all four neighbours count."""
    word, fu, fv = window.word[i], window.fu[i], window.fv[i]
    s00 = f4(i4(word & u4(255)))
    s01 = f4(i4((word >> u4(8)) & u4(255)))
    s10 = f4(i4((word >> u4(16)) & u4(255)))
    s11 = f4(i4(word >> u4(24)))
    top = s00 + fu * (s01 - s00)
    low = s10 + fu * (s11 - s10)
    right = (s01 - s00) + fv * ((s11 - s10) - (s01 - s00))
    seen = f4(1) if min(min(s00, s01), min(s10, s11)) > f4(0) else f4(0)
    return top + fv * (low - top), right, low - top, seen


@njit(**PART)
def _correlate(window, half, middle, total):
    """1 - NCC of the samples against the reference's, in [0, 2]; see `matching_costs`."""
    sw = f4(0)
    ss = f4(0)
    sss = f4(0)
    sr = f4(0)
    srr = f4(0)
    srs = f4(0)
    for k in range(TAPS):
        s, _, _, seen = sample(window, half + k)
        s -= middle
        w = window.weight[k] * seen
        wr = window.weighted[k] * seen
        ws = w * s
        sw += w
        sr += wr
        srr += window.squared[k] * seen
        ss += ws
        sss += ws * s
        srs += wr * s
    if sw <= f4(0.5) * total:  # also where no tap has any weight
        return f4(BAD)
    norm = f4(1) / sw
    mean_r, mean_s = sr * norm, ss * norm
    var_r, var_s = srr * norm - mean_r * mean_r, sss * norm - mean_s * mean_s
    if var_r < f4(LEAST_VARIANCE) or var_s < f4(LEAST_VARIANCE):
        return f4(BAD)
    ncc = (srs * norm - mean_r * mean_s) / sqrt(var_r * var_s)
    return f4(1) - min(max(ncc, f4(-1)), f4(1)) * sw / total


@njit(**PART)
def matching_costs(ref, src, window, total, x, y, j, k, rho, gx, gy):
    """1 - NCC of the window under a plane against sources j and k, each in [0, 2].

    The homography is linearised at the window's centre, see `project`. Taps that fall outside the source or its mask
    count as uncorrelated: the cost moves towards 1 by their share of the weight, and is 2 when that exceeds one half.

    Two at a time: what one writes to memory is there by the time that it is read, while the other is worked on. Alone,
    a window takes twice as long.
    """
    inside_j = find_samples(src, window, 0, x, y, j, rho, gx, gy)
    inside_k = find_samples(src, window, TAPS, x, y, k, rho, gx, gy)
    load_samples(src, window)
    middle = ref.grey[y, x]
    cost_j = _correlate(window, 0, middle, total)
    cost_k = _correlate(window, TAPS, middle, total)
    return (cost_j if inside_j else f4(BAD)), (cost_k if inside_k else f4(BAD))


@njit(**PART)
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
    return min(sqrt(ex * ex + ey * ey), f4(3))
