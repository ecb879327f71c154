"""A network of two hidden layers without biases, and its gradients, in blocks of samples that stay in the cache.

Letters: N samples, I inputs, H hidden features, O outputs, fastest in multiples of 16; weights are (in, out).
Activations are computed again on the way back: that is cheaper than to write and read them.
The readable form is `anyview.radiance.grid.network.network_with_torch`.
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit, prange
from anyview.radiance.kernels.tiles import multiply

f32 = np.float32
BLOCK = 64
PARTS = 16
"""Partial sums of the weights' gradients: a fixed number, so that they do not depend on threads."""
_FAST = {"contract", "nsz", "arcp"}


@njit(nogil=True, cache=True, inline="always")
def _product(a, row, column, rows, count, b, columns, c, add):
    multiply(a, 0, row, column, rows, count, b, 0, columns, columns, c, 0, columns, add)


@njit(fastmath=_FAST, nogil=True, cache=True)
def _rectify(x):
    for i in range(x.size):
        x[i] = max(x[i], f32(0))


@njit(fastmath=_FAST, nogil=True, cache=True)
def _where_positive(gradient, activation):
    for i in range(gradient.size):
        gradient[i] = gradient[i] if activation[i] > 0 else f32(0)


@njit(nogil=True, cache=True)
def _is_zero(row):
    largest = f32(0)
    for k in range(row.size):
        largest = max(largest, abs(row[k]))
    return largest == 0


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def run(x, w1, w2, w3, y):
    """y (N, O) = relu(relu(x w1) w2) w3."""
    count, i = x.shape
    h, o = w3.shape
    blocks = (count + BLOCK - 1) // BLOCK
    v1, v2, v3 = w1.reshape(-1), w2.reshape(-1), w3.reshape(-1)
    for part in prange(PARTS):
        xb, yb = np.zeros(BLOCK * i, f32), np.empty(BLOCK * o, f32)
        h1, h2 = np.empty(BLOCK * h, f32), np.empty(BLOCK * h, f32)
        for block in range(blocks * part // PARTS, blocks * (part + 1) // PARTS):
            a = block * BLOCK
            n = min(BLOCK, count - a)
            xb[: n * i] = x[a : a + n].reshape(-1)
            _product(xb, i, 1, BLOCK, i, v1, h, h1, False)
            _rectify(h1)
            _product(h1, h, 1, BLOCK, h, v2, h, h2, False)
            _rectify(h2)
            _product(h2, h, 1, BLOCK, h, v3, o, yb, False)
            y[a : a + n].reshape(-1)[:] = yb[: n * o]


@njit(fastmath=_FAST, nogil=True, cache=True, parallel=True)
def run_back(x, w1, w2, w3, t1, t2, t3, dy, dx, g1, g2, g3):
    """From dy (N, O): dx (N, I), and the weights' gradients in PARTS partial sums g (PARTS, in, out), added.

    t1, t2, t3 are the weights transposed.
    """
    count, i = x.shape
    h, o = w3.shape
    v1, v2 = w1.reshape(-1), w2.reshape(-1)
    u1, u2, u3 = t1.reshape(-1), t2.reshape(-1), t3.reshape(-1)
    for part in prange(PARTS):
        xb, dxb, dyb = np.zeros(BLOCK * i, f32), np.empty(BLOCK * i, f32), np.zeros(BLOCK * o, f32)
        h1, h2 = np.empty(BLOCK * h, f32), np.empty(BLOCK * h, f32)
        d1, d2 = np.empty(BLOCK * h, f32), np.empty(BLOCK * h, f32)
        s1, s2, s3 = g1[part].reshape(-1), g2[part].reshape(-1), g3[part].reshape(-1)
        rows = np.empty(BLOCK, np.int64)
        a, end = count * part // PARTS, count * (part + 1) // PARTS
        while a < end:
            n = 0
            while n < BLOCK and a < end:  # rows without a gradient, such as those behind a surface, cost nothing
                if _is_zero(dy[a]):
                    dx[a] = f32(0)
                else:
                    xb[n * i : n * i + i] = x[a]
                    dyb[n * o : n * o + o] = dy[a]
                    rows[n] = a
                    n += 1
                a += 1
            dyb[n * o :] = f32(0)
            _product(xb, i, 1, BLOCK, i, v1, h, h1, False)
            _rectify(h1)
            _product(h1, h, 1, BLOCK, h, v2, h, h2, False)
            _rectify(h2)
            _product(h2, 1, h, h, BLOCK, dyb, o, s3, True)
            _product(dyb, o, 1, BLOCK, o, u3, h, d2, False)
            _where_positive(d2, h2)
            _product(h1, 1, h, h, BLOCK, d2, h, s2, True)
            _product(d2, h, 1, BLOCK, h, u2, h, d1, False)
            _where_positive(d1, h1)
            _product(xb, 1, i, i, BLOCK, d1, h, s1, True)
            _product(d1, h, 1, BLOCK, h, u1, i, dxb, False)
            for k in range(n):
                dx[rows[k]] = dxb[k * i : k * i + i]
