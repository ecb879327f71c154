"""The way back through mip-NeRF's layers: gradients of the weights. Letters and layouts as in `layers.py`."""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.radiance.kernels.encoding import FAST, PANEL
from anyview.radiance.kernels.layers import (
    BACK,
    BIAS,
    DEPTH,
    ENCODED,
    INPUT,
    INPUTS,
    OUTPUT,
    OUTPUTS,
    TOGETHER,
    WEIGHT,
    L,
    R,
    row_of,
    sum_tile,
)  # fmt: skip
from anyview.radiance.kernels.tiles import turn


@njit(**FAST)
def _add_dots(x, start, d, weights):
    """Adds to each row's weight its product with d."""
    for k in range(len(weights)):
        row, total = row_of(x, start, k), np.float32(0)
        for s in range(PANEL):
            total += row[s] * d[s]
        weights[k] += total


@njit(**FAST)
def _add_outer(weights, d, rows):
    """Adds d times its weight to each row."""
    for k in range(len(weights)):
        row, weight = row_of(rows, 0, k), weights[k]
        for s in range(PANEL):
            row[s] += weight * d[s]


@njit(**FAST)
def _weight_gradient(layer, x, start, d, turned, gradient, sums):
    """Adds one panel's gradients of a layer's weights and biases; `d` is that of its sums, `turned` work space."""
    known, joined = layer[INPUTS], layer[ENCODED]
    inputs = known + joined
    for n in range(layer[OUTPUTS]):
        row, total = row_of(d, 0, n), np.float32(0)
        for s in range(PANEL):
            total += row[s]
        sums[n] += total
    for n in range(0, layer[OUTPUTS], 16):
        for s in range(0, PANEL, 16):
            turn(d, n * PANEL + s, PANEL, turned, n // L * L * PANEL + s * L + n % L, L)
    for n in range(0, layer[OUTPUTS], L):
        for k in range(0, inputs, R):
            row = layer[INPUT] + k if k < known else k - known
            g = layer[WEIGHT] + n * inputs + k * L
            sum_tile(x, start + row * PANEL, PANEL, 1, turned, n * PANEL, L, gradient, g, L, PANEL, True)


@njit(**FAST)
def _back_through(layer, back, d, before):
    """The gradient of the layer before's outputs from that of this one's sums."""
    outputs = layer[OUTPUTS]
    for lane in range(0, PANEL, L):
        for n in range(0, outputs, DEPTH):
            count = min(DEPTH, outputs - n)
            for k in range(0, layer[INPUTS], R):
                w = layer[BACK] + k * outputs + n * R
                sum_tile(back, w, 1, R, d, n * PANEL + lane, PANEL, before, k * PANEL + lane, PANEL, count, n > 0)


@njit(**FAST)
def _mask(d, x, start):
    """Zero where the rectifier was."""
    y = x[start : start + d.size]
    for s in range(d.size):
        d[s] = np.float32(0) if y[s] <= 0 else d[s]


@njit(**FAST)
def _gather(samples, per_ray, x, size, out, start):
    """Copies the features of 64 samples from wherever they lie into one panel."""
    parts = (per_ray + PANEL - 1) // PANEL
    places = np.zeros(PANEL, np.int64)
    for s in range(PANEL):
        if samples[s] >= 0:
            ray, place = samples[s] // per_ray, samples[s] % per_ray
            places[s] = (ray * parts + place // PANEL) * size + place % PANEL
    for f in range(0, size, PANEL):
        row = out[start + f : start + f + PANEL]
        for s in range(PANEL):
            row[s] = x[places[s] + f]


@njit(**FAST)
def _add_to_rays(samples, per_ray, turned, d_seen):
    """Adds the gradients of the head's sums to their rays."""
    for s in range(PANEL):
        if samples[s] < 0:
            continue
        ray = d_seen[samples[s] // per_ray]
        for n in range(0, len(ray), L):
            row, strip = ray[n : n + L], turned[n * PANEL + s * L : n * PANEL + (s + 1) * L]
            for lane in range(L):
                row[lane] += strip[lane]


@njit(**FAST)
def backward(d_out, per_ray, samples, gathered, back, density, color, table, x, size, gradient, bias_gradient,
             d_density, d_color, d_seen):  # fmt: skip
    """Adds the gradients of some panels of samples.

    Args:
        d_out: (B S, 4) of raw density and colour.
        per_ray: S.
        samples: (panels, P) which samples these are, -1 for none.
        gathered: their features lie anywhere in x; else x is that of these panels.
        back: weights as the way back needs them, flat: [K / R][N][R].
        x, size: features of panels, each of `size` numbers.
        gradient, bias_gradient: of weights and biases, flat, in strips.
        d_density, d_color: of their weights.
        d_seen: (B, H) of what the head added.
    """
    head = len(table) - 1
    width, outputs = table[head, INPUTS], table[head, OUTPUTS]
    widest = max(width, outputs) * PANEL
    here, before = np.empty((TOGETHER, widest), np.float32), np.empty((TOGETHER, widest), np.float32)
    turned, d = np.empty(widest, np.float32), np.zeros((TOGETHER, 4, PANEL), np.float32)
    copies, unused = np.empty(TOGETHER * size if gathered else 0, np.float32), np.zeros(outputs, np.float32)
    for block in range(0, len(samples), TOGETHER):
        count = min(TOGETHER, len(samples) - block)
        zero = block if gathered else 0
        features = copies if gathered else x
        for p in range(count):
            d[p] = 0
            for s in range(PANEL):
                if samples[block + p, s] >= 0:
                    for c in range(4):
                        d[p, c, s] = d_out[samples[block + p, s], c]
            if gathered:
                _gather(samples[block + p], per_ray, x, size, copies, p * size)
            start = (block - zero + p) * size + table[head, OUTPUT] * PANEL
            here[p] = 0
            for c in range(3):
                _add_dots(features, start, d[p, 1 + c], d_color[c])
                _add_outer(color[c], d[p, 1 + c], here[p])
            _mask(here[p, : outputs * PANEL], features, start)
        for i in range(head, -1, -1):
            layer = table[i]
            for p in range(count):
                start = (block - zero + p) * size
                sums = unused if i == head else bias_gradient[layer[BIAS] : layer[BIAS] + layer[OUTPUTS]]
                _weight_gradient(layer, features, start, here[p], turned, gradient, sums)
                if i == head:
                    _add_to_rays(samples[block + p], per_ray, turned, d_seen)
                if i > 0:
                    _back_through(layer, back, here[p], before[p])
                    if i == head:
                        _add_dots(features, start + layer[INPUT] * PANEL, d[p, 0], d_density)
                        _add_outer(density, d[p, 0], before[p])
                    _mask(before[p, : layer[INPUTS] * PANEL], features, start + layer[INPUT] * PANEL)
            here, before = before, here
