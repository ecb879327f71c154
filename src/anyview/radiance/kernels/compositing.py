"""Samples of many rays to pixels, and back: densities by exp, colours by spherical harmonics.

Letters: R rays, N samples, K basis functions. `order` (N) has the samples' rows, one ray after the other from near to
far, `offsets` (R + 1) where each ray begins in it. A row of `raw` is (logarithm of density, K coefficients of red, K of
green, K of blue, padding). A ray's result is (red, green, blue, opacity, depth times opacity, distortion):
the last is mip-NeRF 360's (arXiv 2111.12077, equation 15).
The readable form is `anyview.radiance.grid.compositing.composite_with_torch`.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.jit import njit, prange
from anyview.radiance.kernels.limits import BLOCKED, LARGEST

f32 = np.float32
_FAST = {"contract", "nsz", "arcp"}
_PARTS = 64


@njit(fastmath=_FAST, nogil=True, cache=True, inline="always")
def _sigmoid(x):
    return f32(1) / (f32(1) + math.exp(-x))


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def blend(raw, basis, order, offsets, lengths, spans, middles, result, colors, weights, densities):
    """`result` (R, 6); per sample colours, weights and densities, -1 behind where the ray is blocked.

    `lengths` (R) is the length of each of the ray's intervals in the density's units, `spans` (R) the same in t.
    """
    rays, functions = basis.shape
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            left = f32(1)
            red, green, blue, depth, spread = f32(0), f32(0), f32(0), f32(0), f32(0)
            for k in range(offsets[r], offsets[r + 1]):
                i = order[k]
                if left < f32(BLOCKED):
                    densities[i] = f32(-1)
                    continue
                density = math.exp(min(raw[i, 0], f32(LARGEST)))
                after = left * math.exp(-density * lengths[r])
                a, b, c = f32(0), f32(0), f32(0)
                for j in range(functions):
                    a += basis[r, j] * raw[i, 1 + j]
                    b += basis[r, j] * raw[i, 1 + functions + j]
                    c += basis[r, j] * raw[i, 1 + 2 * functions + j]
                a, b, c = _sigmoid(a), _sigmoid(b), _sigmoid(c)
                weight = left - after
                densities[i], weights[i] = density, weight
                colors[i, 0], colors[i, 1], colors[i, 2] = a, b, c
                red += weight * a
                green += weight * b
                blue += weight * c
                spread += weight * (f32(2) * (middles[i] * (f32(1) - left) - depth) + weight * spans[r] * f32(1 / 3))
                depth += weight * middles[i]
                left = after
            result[r, 0], result[r, 1], result[r, 2] = red, green, blue
            result[r, 3], result[r, 4], result[r, 5] = f32(1) - left, depth, spread


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def blend_back(raw, basis, order, offsets, lengths, spans, middles, result, colors, weights, densities, given, out):
    """The gradient of `raw` (N, columns) from that of `result`, `given` (R, 6); zero behind where a ray is blocked."""
    rays, functions = basis.shape
    for part in prange(_PARTS):
        for r in range(rays * part // _PARTS, rays * (part + 1) // _PARTS):
            g0, g1, g2, g3, g4, g5 = given[r, 0], given[r, 1], given[r, 2], given[r, 3], given[r, 4], given[r, 5]
            depth = result[r, 4]  # of what lies before a sample
            opaque, far = f32(0), f32(0)  # opacity of what lies behind it, and times depth
            left = f32(1) - result[r, 3]
            behind = -left * g3  # what all that lies behind a sample adds to the loss
            for k in range(offsets[r + 1] - 1, offsets[r] - 1, -1):
                i = order[k]
                if densities[i] < 0:
                    for j in range(out.shape[1]):
                        out[i, j] = f32(0)
                    continue
                a, b, c, weight = colors[i, 0], colors[i, 1], colors[i, 2], weights[i]
                here = g0 * a + g1 * b + g2 * c + g4 * middles[i]
                depth -= weight * middles[i]
                before = f32(1) - left - weight
                apart = middles[i] * (before - opaque) - depth + far
                here += g5 * (f32(2) * apart + weight * spans[r] * f32(2 / 3))
                opaque += weight
                far += weight * middles[i]
                slope = lengths[r] * (left * here - behind)
                out[i, 0] = slope * densities[i] if raw[i, 0] < f32(LARGEST) else f32(0)
                behind += weight * here
                left += weight
                a, b, c = weight * g0 * a * (1 - a), weight * g1 * b * (1 - b), weight * g2 * c * (1 - c)
                for j in range(functions):
                    out[i, 1 + j] = a * basis[r, j]
                    out[i, 1 + functions + j] = b * basis[r, j]
                    out[i, 1 + 2 * functions + j] = c * basis[r, j]
                for j in range(1 + 3 * functions, out.shape[1]):
                    out[i, j] = f32(0)
