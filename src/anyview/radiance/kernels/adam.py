"""Adam on processors, for tables of which a step touches few entries. The readable form is in
`anyview.radiance.grid.optimizer`.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.jit import njit, prange

f32 = np.float32
_PARTS = 64


@njit(nogil=True, cache=True, parallel=True, error_model="numpy")
def adam(value, grad, mean, square, rate, first, second, scale, eps):
    """One step on flat arrays; `rate` and `scale` have the correction of the averages' bias in them.

    Leaves zeros in `grad`: to clear it here costs less than to make a new one for each step.
    """
    count = value.size
    a, b, r, s, e = f32(1 - first), f32(1 - second), f32(rate), f32(scale), f32(eps)
    for part in prange(_PARTS):
        start, end = count * part // _PARTS, count * (part + 1) // _PARTS
        v, g, m, q = value[start:end], grad[start:end], mean[start:end], square[start:end]
        for i in range(end - start):  # without branches, so that the compiler makes vectors of it
            met, old, older = g[i] != 0, m[i], q[i]
            one = old + (a * (g[i] - old) if met else f32(0))
            two = older + (b * (g[i] * g[i] - older) if met else f32(0))
            m[i], q[i], g[i] = one, two, f32(0)
            v[i] -= r * one / (math.sqrt(two * s) + e) if met else f32(0)
