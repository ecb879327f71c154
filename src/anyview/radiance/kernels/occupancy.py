"""What samples say about the cells that they lie in."""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.radiance.kernels.limits import SHARE

f32 = np.float32


@njit(nogil=True, cache=True)
def learn(points, densities, cells, mean):
    """Move `mean` of the cells (cells^3, x fastest) towards the samples' densities; -1 is not looked at."""
    for i in range(densities.size):
        if densities[i] >= 0:
            x = min(np.int64(points[i, 0] * cells), cells - 1)
            y = min(np.int64(points[i, 1] * cells), cells - 1)
            z = min(np.int64(points[i, 2] * cells), cells - 1)
            cell = (z * cells + y) * cells + x
            mean[cell] += f32(SHARE) * (densities[i] - mean[cell])
