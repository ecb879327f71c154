"""Least-squares alignment: the small change of a plane that makes its window correlate best with the sources.

With r and s the reference's and a source's samples, weighted by w and normalised to mean 0 and variance 1, the plane's
change t = (t0, t1, t2), in pixels of match displacement at the window's centre and its change per pixel, moves tap
(dx, dy) along the epipolar line by t . (1, dx, dy), and s by J t, where J = d (1, dx, dy) and d is the source's
derivative along that line over its standard deviation. To first order the correlation is best at

    N t = g,   N = sum over sources of <J' J'>,   g = sum over sources of <J' r>,

where < > is the weighted mean and J' is J without its mean and its part along s, since gain and offset are free. g is
also the gradient of the correlation. (Gruen 1985, least squares matching; here one plane for all sources at once.)
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.window import BAD, LEAST_VARIANCE, PART, TAPS, find_samples, load_samples, sample

f4 = np.float32

DAMPING = 0.02
"""Added to N's diagonal, as a share of it (Levenberg)."""

LONGEST = 1.0
"""Longest step that a plane takes at the window's centre or its rim, pixels."""


@njit(**PART)
def epipolar_direction(src, x, y, j, rho, rho_step):
    """Displacement in source j, pixels, for one `rho_step` of the window's centre."""
    a = src.forward
    o = 12 * j
    px, py = f4(x) + f4(0.5), f4(y) + f4(0.5)
    mz = a[o + 6] * px + a[o + 7] * py + a[o + 8] + a[o + 11] * rho
    inv = f4(1) / (mz if mz > f4(1e-6) else f4(1))
    u = (a[o] * px + a[o + 1] * py + a[o + 2] + a[o + 9] * rho) * inv
    v = (a[o + 3] * px + a[o + 4] * py + a[o + 5] + a[o + 10] * rho) * inv
    scale = rho_step * inv
    return (a[o + 9] - u * a[o + 11]) * scale, (a[o + 10] - v * a[o + 11]) * scale


@njit(**PART)
def normal_equations(window, half, inside, ex, ey, middle, total):
    """One source's N (00 01 02 11 12 22) with g, and its cost; zeros and BAD where there is nothing to compare."""
    sw = f4(0)
    sr = f4(0)
    srr = f4(0)
    ss = f4(0)
    sss = f4(0)
    srs = f4(0)
    d0 = f4(0)
    d1 = f4(0)
    d2 = f4(0)
    r0 = f4(0)
    r1 = f4(0)
    r2 = f4(0)
    s0 = f4(0)
    s1 = f4(0)
    s2 = f4(0)
    n00 = f4(0)
    n01 = f4(0)
    n02 = f4(0)
    n11 = f4(0)
    n12 = f4(0)
    n22 = f4(0)
    for k in range(TAPS):
        s, right, down, seen = sample(window, half + k)
        s -= middle
        d = ex * right + ey * down
        w = window.weight[k] * seen
        wr = window.weighted[k] * seen
        dx, dy = window.dx[k], window.dy[k]
        ws, wd, dr, ds = w * s, w * d, wr * d, w * s * d
        dd = wd * d
        sw += w
        sr += wr
        srr += window.squared[k] * seen
        ss += ws
        sss += ws * s
        srs += wr * s
        d0 += wd
        d1 += wd * dx
        d2 += wd * dy
        r0 += dr
        r1 += dr * dx
        r2 += dr * dy
        s0 += ds
        s1 += ds * dx
        s2 += ds * dy
        n00 += dd
        n01 += dd * dx
        n02 += dd * dy
        n11 += dd * dx * dx
        n12 += dd * dx * dy
        n22 += dd * dy * dy
    zero = f4(0)
    nothing = (zero, zero, zero, zero, zero, zero, zero, zero, zero)
    if not inside or sw <= f4(0.5) * total:
        return nothing, f4(BAD)
    norm = f4(1) / sw
    mean_r, mean_s = sr * norm, ss * norm
    var_r, var_s = srr * norm - mean_r * mean_r, sss * norm - mean_s * mean_s
    if var_r < f4(LEAST_VARIANCE) or var_s < f4(LEAST_VARIANCE):
        return nothing, f4(BAD)
    inv_s, inv_rs = norm / var_s, norm / sqrt(var_r * var_s)
    ncc = (srs - mean_s * sr) * inv_rs
    p0, p1, p2 = (s0 - mean_s * d0) * inv_s, (s1 - mean_s * d1) * inv_s, (s2 - mean_s * d2) * inv_s
    m0, m1, m2 = d0 * norm, d1 * norm, d2 * norm
    equations = (
        (n00 - d0 * m0) * inv_s - p0 * p0,
        (n01 - d0 * m1) * inv_s - p0 * p1,
        (n02 - d0 * m2) * inv_s - p0 * p2,
        (n11 - d1 * m1) * inv_s - p1 * p1,
        (n12 - d1 * m2) * inv_s - p1 * p2,
        (n22 - d2 * m2) * inv_s - p2 * p2,
        (r0 - mean_r * d0) * inv_rs - ncc * p0,
        (r1 - mean_r * d1) * inv_rs - ncc * p1,
        (r2 - mean_r * d2) * inv_rs - ncc * p2,
    )
    return equations, f4(1) - min(max(ncc, f4(-1)), f4(1)) * sw / total


@njit(**PART)
def _sum(one, other):
    a, b, c, d, e, f, u, v, w = one
    k, m, n, o, p, q, r, s, t = other
    return a + k, b + m, c + n, d + o, e + p, f + q, u + r, v + s, w + t


@njit(**PART)
def solve_damped(equations):
    """N t = g by Cholesky, N's diagonal raised by DAMPING; zeros where N says nothing.

    Args:
        equations: N (00 01 02 11 12 22) and g (0 1 2), nine numbers.
    """
    n00, n01, n02, n11, n12, n22, g0, g1, g2 = equations
    a = n00 * f4(1 + DAMPING) + f4(1e-9)
    d = n11 * f4(1 + DAMPING) + f4(1e-9)
    f = n22 * f4(1 + DAMPING) + f4(1e-9)
    if not (a > f4(1e-8) and d > f4(1e-8) and f > f4(1e-8)):
        return f4(0), f4(0), f4(0)
    l10, l20 = n01 / a, n02 / a
    d11 = d - l10 * n01
    d21 = n12 - l20 * n01
    if not d11 > f4(1e-4) * d:
        return f4(0), f4(0), f4(0)
    l21 = d21 / d11
    d22 = f - l20 * n02 - l21 * d21
    if not d22 > f4(1e-4) * f:
        return f4(0), f4(0), f4(0)
    y1 = g1 - l10 * g0
    y2 = g2 - l20 * g0 - l21 * y1
    t2 = y2 / d22
    t1 = y1 / d11 - l21 * t2
    t0 = g0 / a - l10 * t1 - l20 * t2
    return t0, t1, t2


@njit(**PART)
def aligned(ref, src, window, total, x, y, rho, gx, gy, chosen, count, costs):
    """One damped Gauss-Newton step over the selected sources, as long as LONGEST allows.

    Returns the matching cost before it, summed over the sources, the plane after it, and the step's length: the largest
    displacement of the window's centre or rim, pixels. The sources' own costs before it go into `costs`, (S,).
    """
    zero = f4(0)
    equations = (zero, zero, zero, zero, zero, zero, zero, zero, zero)
    cost = zero
    middle = ref.grey[y, x]
    for i in range(0, count, 2):
        j, k = chosen[i], chosen[min(i + 1, count - 1)]
        inside_j = find_samples(src, window, 0, x, y, j, rho, gx, gy)
        inside_k = find_samples(src, window, TAPS, x, y, k, rho, gx, gy)
        load_samples(src, window)
        # each half's place is written out: where it is a variable, LLVM takes the samples one by one
        ex, ey = epipolar_direction(src, x, y, j, rho, ref.rho_step)
        more, m = normal_equations(window, 0, inside_j, ex, ey, middle, total)
        equations, costs[j], cost = _sum(equations, more), m, cost + m
        if i + 1 < count:
            ex, ey = epipolar_direction(src, x, y, k, rho, ref.rho_step)
            more, m = normal_equations(window, TAPS, inside_k, ex, ey, middle, total)
            equations, costs[k], cost = _sum(equations, more), m, cost + m
    t0, t1, t2 = solve_damped(equations)
    long = max(abs(t0), (abs(t1) + abs(t2)) * window.dy[TAPS - 1])
    scale = ref.rho_step * (f4(LONGEST) / long if long > f4(LONGEST) else f4(1))
    return cost, rho + t0 * scale, gx + t1 * scale, gy + t2 * scale, min(long, f4(LONGEST))
