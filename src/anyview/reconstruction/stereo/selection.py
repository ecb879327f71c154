"""Which source views a pixel is compared with: those that show it, as costs and neighbours tell.

Names and letters as in `window.py`. Sources: Xu and Tao 2019, section 4.2 (joint view selection, ACMH).
`reference.py` says the same in plain numpy; the tests compare them.
"""

from __future__ import annotations

from math import exp

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.window import PART

f4 = np.float32
u4 = np.uint32

SHARE = 0.2
"""A third source and later ones are selected only with this share of the best one's score."""


@njit(**PART)
def best_views(scores, most):
    """Bits of the `most` largest positive scores."""
    views = u4(0)
    lowest = f4(0)
    for i in range(most):
        best = -1
        top = lowest if i >= 2 else f4(0)
        for j in range(scores.size):
            if not (views >> u4(j)) & u4(1) and scores[j] > top:
                top = scores[j]
                best = j
        if best < 0:
            break
        if i == 0:
            lowest = f4(SHARE) * top
        views |= u4(1) << u4(best)
    return views


@njit(**PART)
def list_views(views, chosen):
    """The sources whose bits are set, in order; returns how many."""
    count = 0
    for j in range(chosen.size):
        if (views >> u4(j)) & u4(1):
            chosen[count] = j
            count += 1
    return count


@njit(**PART)
def neighbour_votes(state, mask, x, y, j):
    """Prior of source j from the four adjacent pixels: 0.9 for each that selected it, 0.1 for each that did not."""
    height, width = state.cost.shape
    prior = f4(0)
    for k in range(4):
        xx = x + (1 if k == 0 else (-1 if k == 1 else 0))
        yy = y + (1 if k == 2 else (-1 if k == 3 else 0))
        if 0 <= xx < width and 0 <= yy < height and mask[yy, xx] > f4(0):
            prior += f4(0.9) if (state.views[yy, xx] >> u4(j)) & u4(1) else f4(0.1)
    return prior


@njit(**PART)
def joint_score(costs, times, j, tau):
    """How well source j shows the pixel, from the candidates' costs there, each counted `times`."""
    good, bad = 0, 0
    acc = f4(0)
    for h in range(times.size):
        if times[h] == 0:
            continue
        m = costs[h, j]
        if m < tau:
            good += times[h]
            acc += f4(times[h]) * exp(-m * m / f4(0.18))
        elif m > f4(1.2):
            bad += times[h]
    if bad >= 3:
        return f4(0)
    return acc / f4(good) if good > 2 else exp(-tau * tau / f4(0.32))


@njit(**PART)
def own_score(m):
    """How well a source shows the pixel, from the own plane's cost there."""
    return exp(-m * m / f4(0.18)) if m < f4(1.2) else f4(0)
