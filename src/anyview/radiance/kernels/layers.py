"""mip-NeRF's layers over panels of samples; `MipMLP` is their readable twin, `gradients.py` has the way back.

Letters: P samples of a panel, all of one ray; K inputs and N outputs of a layer. A panel's features lie in one block,
feature by feature, P samples each: the encoding, then the outputs of the trunk's layers, then those of the head. A
layer is y[n] = relu(sum over k of w[n, k] x[k] + b[n]), its x the layer before and, where `encoded`, the encoding too.

Weights come in strips of R outputs, [N / R][K][R]; their gradients leave in strips of L, [N / L][K][L].
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.radiance.kernels.encoding import FAST, PANEL, encode
from anyview.radiance.kernels.tiles import LANES, make_tile

L = LANES
R = 8 if LANES == 32 else 4
TOGETHER = 4
"""Panels that go through a layer while its weights are in the cache."""

DEPTH = 64  # terms of a sum that one tile adds: its inputs then stay in the nearest cache
sum_tile = make_tile(R, L)

# Columns of the table of layers, one row per layer; the head is the last.
INPUT, INPUTS, ENCODED, OUTPUT, OUTPUTS, WEIGHT, BACK, BIAS = range(8)


@njit(**FAST)
def row_of(x, start, n):
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
            count = min(DEPTH, (known if k < known else inputs) - k)
            row = layer[INPUT] + k if k < known else k - known
            for n in range(0, layer[OUTPUTS], R):
                w = layer[WEIGHT] + n * inputs + k * R
                y = start + (layer[OUTPUT] + n) * PANEL + lane
                sum_tile(weights, w, 1, R, x, start + row * PANEL + lane, PANEL, x, y, PANEL, count, k > 0)
            k += count


@njit(**FAST)
def _rectify(x, start, rows, bias, first):
    """relu(x + bias), in place."""
    for n in range(rows):
        b, row = bias[first + n], row_of(x, start, n)
        for s in range(PANEL):
            y = row[s] + b
            row[s] = np.float32(0) if y <= 0 else y  # what is not a number stays so


@njit(**FAST)
def _add_rows(weights, x, start, sums):
    """Adds the rows, each times its weight."""
    for k in range(len(weights)):
        row, weight = row_of(x, start, k), weights[k]
        for s in range(PANEL):
            sums[s] += weight * row[s]


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
