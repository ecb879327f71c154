"""Random numbers without state: a hash of what and where, the same on every machine, thread and order of work."""

from __future__ import annotations

import numpy as np

from anyview.jit import njit

u4 = np.uint32


@njit(nogil=True, cache=True, _nrt=False)
def uniform(key, draw):
    """Uniform float32 in [0, 1) from a 32-bit key and the number of the draw (PCG hash, Jarzynski and Olano 2020)."""
    # numba widens uint32 arithmetic to 64 bits; each step is cut back
    state = u4(u4(u4(key) ^ u4(u4(draw) * u4(0x85EBCA6B))) * u4(747796405) + u4(2891336453))
    word = u4(u4(u4(state >> u4(u4(state >> u4(28)) + u4(4))) ^ state) * u4(277803737))
    word = u4(u4(word >> u4(22)) ^ word)
    return np.float32(np.int32(word >> u4(8))) * np.float32(1.0 / 16777216.0)
