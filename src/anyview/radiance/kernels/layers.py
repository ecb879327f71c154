"""mip-NeRF's layers over panels of samples, forward and backward; `MipMLP` is their readable twin.

Letters: P samples of a panel, all of one ray; K inputs and N outputs of a layer. A panel's features lie in one block,
feature by feature, P samples each: the encoding, then the outputs of the trunk's layers, then those of the head. A
layer is y[n] = relu(sum over k of w[n, k] x[k] + b[n]), its x the layer before and, where `encoded`, the encoding too.

Weights come in strips of R outputs, [N / R][K][R]; their gradients leave in strips of L, [N / L][K][L].
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.radiance.kernels.encoding import FAST, PANEL, encode
from anyview.radiance.kernels.tiles import LANES, make_tile, turn

L = LANES
R = 8 if LANES == 32 else 4
TOGETHER = 4
"""Panels that go through a layer while its weights are in the cache."""

_DEPTH = 64  # terms of a sum that one tile adds: its inputs then stay in the nearest cache
_tile = make_tile(R, L)

# Columns of the table of layers, one row per layer; the head is the last.
INPUT, INPUTS, ENCODED, OUTPUT, OUTPUTS, WEIGHT, BACK, BIAS = range(8)


@njit(**FAST)
def _row(x, start, n):
    """The panel's n-th row: to the compiler, a place with no negative indices, so that loops become vectors."""
    return x[start + n * PANEL : start + (n + 1) * PANEL]


@njit(**FAST)
def _forward_layer(layer, weights, x, start):
    """The sums of one layer, over one panel."""
    known, joined = layer[INPUTS], layer[ENCODED]
    inputs = known + joined
    for lane in range(0, PANEL, L):
        k = 0
        while k < inputs:
            count = min(_DEPTH, (known if k < known else inputs) - k)
            row = layer[INPUT] + k if k < known else k - known
            for n in range(0, layer[OUTPUTS], R):
                w = layer[WEIGHT] + n * inputs + k * R
                y = start + (layer[OUTPUT] + n) * PANEL + lane
                _tile(weights, w, 1, R, x, start + row * PANEL + lane, PANEL, x, y, PANEL, count, k > 0)
            k += count


@njit(**FAST)
def _rectify(x, start, rows, bias, first):
    """relu(x + bias), in place."""
    for n in range(rows):
        b, row = bias[first + n], _row(x, start, n)
        for s in range(PANEL):
            y = row[s] + b
            row[s] = np.float32(0) if y <= 0 else y  # what is not a number stays so


@njit(**FAST)
def _add_rows(weights, x, start, sums):
    """Adds the rows, each times its weight."""
    for k in range(len(weights)):
        row, weight = _row(x, start, k), weights[k]
        for s in range(PANEL):
            sums[s] += weight * row[s]


@njit(**FAST)
def _add_dots(x, start, d, weights):
    """Adds to each row's weight its product with d."""
    for k in range(len(weights)):
        row, total = _row(x, start, k), np.float32(0)
        for s in range(PANEL):
            total += row[s] * d[s]
        weights[k] += total


@njit(**FAST)
def _add_outer(weights, d, rows):
    """Adds d times its weight to each row."""
    for k in range(len(weights)):
        row, weight = _row(rows, 0, k), weights[k]
        for s in range(PANEL):
            row[s] += weight * d[s]


@njit(**FAST)
def forward(mean, variance, seen, weights, biases, density, color, table, degrees, x, keep, out, first, last):
    """Raw density and colour of the panels from `first` up to `last`, without their biases.

    Args:
        mean, variance: (B, S, 3) Gaussians.
        seen: (B, H) what the head adds to its sums for each ray.
        weights, biases: of the trunk and the head, flat, in strips.
        density, color: (W,) and (3, H) weights.
        table: the layers.
        x: features of all panels if `keep`, else of the panels that go together.
        out: (B, S, 4) density and colour.
    """
    samples = mean.shape[1]
    parts = (samples + PANEL - 1) // PANEL
    head = len(table) - 1
    size = (table[head, OUTPUT] + table[head, OUTPUTS]) * PANEL
    for block in range(first, last, TOGETHER):
        end = min(block + TOGETHER, last)
        zero = 0 if keep else block
        for panel in range(block, end):
            begin = panel % parts * PANEL
            ray = panel // parts
            encode(mean[ray], variance[ray], begin, min(PANEL, samples - begin), degrees, x, (panel - zero) * size)
        for i in range(head + 1):
            for panel in range(block, end):
                start = (panel - zero) * size
                _forward_layer(table[i], weights, x, start)
                bias, at = (seen[panel // parts], 0) if i == head else (biases, table[i, BIAS])
                _rectify(x, start + table[i, OUTPUT] * PANEL, table[i, OUTPUTS], bias, at)
        for panel in range(block, end):
            start = (panel - zero) * size
            begin = panel % parts * PANEL
            sums = np.zeros((4, PANEL), np.float32)
            _add_rows(density, x, start + table[head, INPUT] * PANEL, sums[0])
            for c in range(3):
                _add_rows(color[c], x, start + table[head, OUTPUT] * PANEL, sums[1 + c])
            for s in range(min(PANEL, samples - begin)):
                for c in range(4):
                    out[panel // parts, begin + s, c] = sums[c, s]


@njit(**FAST)
def _weight_gradient(layer, x, start, d, turned, gradient, sums):
    """Adds one panel's gradients of a layer's weights and biases; `d` is that of its sums, `turned` work space."""
    known, joined = layer[INPUTS], layer[ENCODED]
    inputs = known + joined
    for n in range(layer[OUTPUTS]):
        row, total = _row(d, 0, n), np.float32(0)
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
            _tile(x, start + row * PANEL, PANEL, 1, turned, n * PANEL, L, gradient, g, L, PANEL, True)


@njit(**FAST)
def _back_through(layer, back, d, before):
    """The gradient of the layer before's outputs from that of this one's sums."""
    outputs = layer[OUTPUTS]
    for lane in range(0, PANEL, L):
        for n in range(0, outputs, _DEPTH):
            count = min(_DEPTH, outputs - n)
            for k in range(0, layer[INPUTS], R):
                w = layer[BACK] + k * outputs + n * R
                _tile(back, w, 1, R, d, n * PANEL + lane, PANEL, before, k * PANEL + lane, PANEL, count, n > 0)


@njit(**FAST)
def _mask(d, x, start):
    """Zero where the rectifier was."""
    y = x[start : start + d.size]
    for s in range(d.size):
        d[s] = np.float32(0) if y[s] <= 0 else d[s]


@njit(**FAST)
def backward(d_out, back, density, color, table, x, size, gradient, bias_gradient, d_density, d_color, d_seen, first,
             last):  # fmt: skip
    """Adds the gradients of the panels from `first` up to `last`.

    Args:
        d_out: (B, S, 4) of raw density and colour.
        back: weights as the way back needs them, flat: [K / R][N][R].
        x: features of all panels, each of `size` numbers.
        gradient, bias_gradient: of weights and biases, flat, in strips.
        d_density, d_color: of their weights.
        d_seen: (panels, H), written.
    """
    samples = d_out.shape[1]
    parts = (samples + PANEL - 1) // PANEL
    head = len(table) - 1
    width, outputs = table[head, INPUTS], table[head, OUTPUTS]
    widest = max(width, outputs) * PANEL
    here, before = np.empty((TOGETHER, widest), np.float32), np.empty((TOGETHER, widest), np.float32)
    turned, d = np.empty(widest, np.float32), np.zeros((TOGETHER, 4, PANEL), np.float32)
    for block in range(first, last, TOGETHER):
        count = min(TOGETHER, last - block)
        for p in range(count):
            ray, begin = (block + p) // parts, (block + p) % parts * PANEL
            seen = min(PANEL, samples - begin)
            d[p] = 0
            for s in range(seen):
                for c in range(4):
                    d[p, c, s] = d_out[ray, begin + s, c]
            start = (block + p) * size + table[head, OUTPUT] * PANEL
            here[p] = 0
            for c in range(3):
                _add_dots(x, start, d[p, 1 + c], d_color[c])
                _add_outer(color[c], d[p, 1 + c], here[p])
            _mask(here[p, : outputs * PANEL], x, start)
            d_seen[block + p] = 0
        for i in range(head, -1, -1):
            layer = table[i]
            for p in range(count):
                start = (block + p) * size
                sums = d_seen[block + p] if i == head else bias_gradient[layer[BIAS] : layer[BIAS] + layer[OUTPUTS]]
                _weight_gradient(layer, x, start, here[p], turned, gradient, sums)
                if i > 0:
                    _back_through(layer, back, here[p], before[p])
                    if i == head:
                        _add_dots(x, start + layer[INPUT] * PANEL, d[p, 0], d_density)
                        _add_outer(density, d[p, 0], before[p])
                    _mask(before[p, : layer[INPUTS] * PANEL], x, start + layer[INPUT] * PANEL)
            here, before = before, here
