"""What mip-NeRF's layers do between their matrix products when features are bfloat16, sample by sample.

Letters: N samples, W features of a layer, H of the head, E of the encoding, B rays. Features are uint16 (N, W), one
row per sample, widths in multiples of 16. Sums are float32. The readable twin is `MipMLP`.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.kernels.bfloat16 import LANES, narrow, widen
from anyview.radiance.kernels.encoding import FAST, PANEL, encode


@njit(**FAST)
def _read(x, row):
    for k in range(0, len(x), LANES):
        widen(x, k, row, k)


@njit(**FAST)
def _write(row, x):
    for k in range(0, len(x), LANES):
        narrow(row, k, x, k)


@njit(**FAST)
def encode_rows(mean, variance, degrees, x):
    """The integrated encoding of N Gaussians.

    Args:
        mean, variance: (N, 3), float32.
        degrees: E / 6.
        x: (N, E), written.
    """
    size = 6 * degrees
    panel, row = np.empty(size * PANEL, np.float32), np.empty(size, np.float32)
    for first in range(0, len(x), PANEL):
        count = min(PANEL, len(x) - first)
        encode(mean, variance, first, count, degrees, panel, 0)
        for s in range(count):
            for k in range(size):
                row[k] = panel[k * PANEL + s]
            _write(row, x[first + s])


@njit(**FAST)
def rectify(x, bias, first, per_row):
    """x = relu(x + bias), in place.

    Args:
        x: (N, W), or more columns, which stay.
        bias: (R, W): each for `per_row` samples, counted from `first` samples before x.
        first, per_row: see `bias`.
    """
    row = np.empty(bias.shape[1], np.float32)
    for i in range(len(x)):
        b = bias[(first + i) // per_row]
        _read(x[i, : len(row)], row)
        for k in range(len(row)):
            y = row[k] + b[k]
            row[k] = np.float32(0) if y <= 0 else y  # what is not a number stays so
        _write(row, x[i, : len(row)])


@njit(**FAST)
def _dot(weights, row):
    total = np.float32(0)
    for k in range(len(row)):
        total += weights[k] * row[k]
    return total


@njit(**FAST)
def answers(last, head, density, color, out):
    """Raw density and colour, without their biases.

    Args:
        last: (N, W) of the trunk.
        head: (N, H).
        density, color: (W,) and (3, H) weights.
        out: (N, 4), written.
    """
    wide, low = np.empty(last.shape[1], np.float32), np.empty(head.shape[1], np.float32)
    for i in range(len(out)):
        _read(last[i], wide)
        out[i, 0] = _dot(density, wide)
        _read(head[i], low)
        for c in range(3):
            out[i, 1 + c] = _dot(color[c], low)


@njit(**FAST)
def back_to_head(d_out, rays, head, color, d_head, d_color, d_seen):
    """The gradient of the head's sums, from that of the colours.

    Args:
        d_out: (N, 4) of raw density and colour.
        rays: (N,) the row of `d_seen` that each sample belongs to.
        head: (N, H) features.
        color: (3, H) weights.
        d_head: (N, H), written.
        d_color: (3, H), added to.
        d_seen: (B, H) of what was added to the head's sums, added to.
    """
    row, d = np.empty(head.shape[1], np.float32), np.empty(head.shape[1], np.float32)
    for i in range(len(d_head)):
        _read(head[i], row)
        red, green, blue, ray = d_out[i, 1], d_out[i, 2], d_out[i, 3], d_seen[rays[i]]
        for k in range(len(row)):
            one = red * color[0, k] + green * color[1, k] + blue * color[2, k]
            d[k] = np.float32(0) if row[k] <= 0 else one
            ray[k] += d[k]
        for c in range(3):
            weight, sums = d_out[i, 1 + c], d_color[c]
            for k in range(len(row)):
                sums[k] += weight * row[k]
        _write(d, d_head[i])


@njit(**FAST)
def add_density(d_out, last, density, d, d_density):
    """Adds the gradient that comes by way of the density.

    Args:
        d_out: (N, 4) of raw density and colour.
        last: (N, W) features of the trunk.
        density: (W,) weights.
        d: (N, W) of the features, added to.
        d_density: (W,), added to.
    """
    row, sums = np.empty(last.shape[1], np.float32), np.empty(last.shape[1], np.float32)
    for i in range(len(d)):
        _read(last[i], row)
        _read(d[i], sums)
        one = d_out[i, 0]
        for k in range(len(row)):
            d_density[k] += one * row[k]
            sums[k] += one * density[k]
        _write(sums, d[i])


@njit(**FAST)
def back_through(d, x, d_bias):
    """Zero where the rectifier was, in place.

    Args:
        d: (N, W) the gradient of a layer's features, then of its sums.
        x: (N, W) its features, or more columns.
        d_bias: (W,), added to.
    """
    row, sums = np.empty(d.shape[1], np.float32), np.empty(d.shape[1], np.float32)
    for i in range(len(d)):
        _read(x[i, : len(row)], row)
        _read(d[i], sums)
        for k in range(len(row)):
            sums[k] = np.float32(0) if row[k] <= 0 else sums[k]
            d_bias[k] += sums[k]
        _write(sums, d[i])
