"""What a plane costs at a pixel over several source views: matching cost, and distance from what those found.

Names and letters as in `window.py`. Sources: Schoenberger et al. 2016 (geometric term).
"""

from __future__ import annotations

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.alignment import aligned
from anyview.reconstruction.stereo.hypotheses import WORST, admissible
from anyview.reconstruction.stereo.selection import list_views
from anyview.reconstruction.stereo.window import PART, geometric_error, matching_costs

f4 = np.float32


@njit(**PART)
def costs_of_others(ref, src, window, total, x, y, rho, gx, gy, known, costs, others):
    """Matching cost of a plane against every source whose bit is not set in `known`; returns how many those are.

    `others`, (S,) int32, is work space.
    """
    count = list_views(~known, others)
    for i in range(0, count, 2):
        j, k = others[i], others[min(i + 1, count - 1)]
        costs[j], costs[k] = matching_costs(ref, src, window, total, x, y, j, k, rho, gx, gy)
    return count


@njit(**PART)
def costs_of_all(ref, src, window, total, x, y, rho, gx, gy, costs):
    """Matching cost of a plane against every source."""
    n = costs.size
    for j in range(0, n, 2):
        k = min(j + 1, n - 1)
        costs[j], costs[k] = matching_costs(ref, src, window, total, x, y, j, k, rho, gx, gy)


@njit(**PART)
def geometric_sum(src, x, y, chosen, count, rho, geometric):
    """Weighted forward-backward errors, summed over the selected sources; within one pixel nothing is added.

    A pull inside that pixel would bind planes to the maps' own errors, most of them the coarser scales' smoothing.
    """
    acc = f4(0)
    if geometric > f4(0):
        for i in range(count):
            acc += geometric * max(geometric_error(src, x, y, chosen[i], rho) - f4(1), f4(0))
    return acc


@njit(**PART)
def confirmed(src, x, y, rho, least):
    """Whether so many sources' own depth maps (all, if there are fewer) agree with this depth to within a pixel."""
    count, wanted = 0, min(least, src.offset.size)
    for j in range(src.offset.size):
        if geometric_error(src, x, y, j, rho) < f4(1):
            count += 1
            if count >= wanted:
                return True
    return False


@njit(**PART)
def plane_cost(ref, src, window, total, x, y, rho, gx, gy, chosen, count, geometric, limit):
    """Mean cost over the selected sources, photometric plus weighted geometric; stops early once it exceeds `limit`.

    Returns the mean (or something above `limit`) and the number of windows compared.
    """
    if count == 0 or not admissible(ref, x, y, rho, gx, gy):
        return f4(WORST), 0
    bound = limit * f4(count)
    acc = geometric_sum(src, x, y, chosen, count, rho, geometric)
    compared = 0
    while compared < count and acc <= bound:
        j, k = chosen[compared], chosen[min(compared + 1, count - 1)]
        first, second = matching_costs(ref, src, window, total, x, y, j, k, rho, gx, gy)
        acc += first + (second if compared + 1 < count else f4(0))
        compared = min(compared + 2, count)
    return (acc / f4(count) if acc <= bound else f4(WORST)), compared


@njit(**PART)
def aligned_cost(ref, src, window, total, x, y, rho, gx, gy, chosen, count, geometric, costs):
    """A plane's mean cost as in `plane_cost`, the plane one step of alignment further, and that step's length.

    The selected sources' matching costs go into `costs`, (S,).
    """
    if count == 0 or not admissible(ref, x, y, rho, gx, gy):
        return f4(WORST), rho, gx, gy, f4(0)
    acc, nrho, ngx, ngy, step = aligned(ref, src, window, total, x, y, rho, gx, gy, chosen, count, costs)
    acc += geometric_sum(src, x, y, chosen, count, rho, geometric)
    return acc / f4(count), nrho, ngx, ngy, step
