"""PatchMatch over one view: planes start at random, and spread and improve in sweeps over a checkerboard.

A sweep visits the pixels of one colour and reads planes of the other colour only, so that the order of the visits does
not matter. Names and letters as in `window.py`.

Sources: Galliani et al. 2015 (checkerboard), Schoenberger et al. 2016 (geometric term), Xu and Tao 2019 (adaptive
sampling, joint view selection). `reference.py` says the same in plain numpy; the tests compare them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from anyview.reconstruction.alignment import aligned
from anyview.reconstruction.hypotheses import (
    admissible,
    perturbed,
    random_plane,
    random_slope,
    region_best,
)
from anyview.reconstruction.window import BAD, KERNEL, PART, geometric_error, matching_costs, open_window

f4 = np.float32
u4 = np.uint32
i4 = np.int32

REGIONS = 8
"""Neighbourhoods that each offer one plane."""

WORST = 9.0
"""Stands for any mean cost above the limit."""

SHARE = 0.2
"""A third source and later ones are selected only with this share of the best one's score."""

AGREE = 3
"""A depth that so many sources' own depths agree with is left alone by geometric passes."""

RANDOM = 3
"""Planes drawn at random per pixel in a joint sweep: a whole one, a slope, a small change of the best."""


class Effort(NamedTuple):
    """What a sweep tries at each pixel."""

    joint: bool  # compare all candidates with all sources and select views from that (ACMH), or select by the own plane
    alignments: int  # least-squares steps, as long as they help
    geometric: np.float32  # weight of the forward-backward error, per pixel; 0 leaves it out
    most: int  # sources that a pixel's cost is averaged over


class Scratch(NamedTuple):
    """Work space of one sweep: a pixel's candidates, and their costs against each source."""

    costs: np.ndarray  # (REGIONS + 1, S) float32, photometric; the last row is the pixel's own plane's
    scores: np.ndarray  # (S,) float32
    chosen: np.ndarray  # (S,) int32, the selected sources
    rho: np.ndarray  # (REGIONS + 1,) float32
    gx: np.ndarray
    gy: np.ndarray


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
def agreeing(src, x, y, rho):
    """How many sources' own depth maps agree with this depth to within a pixel."""
    count = 0
    for j in range(src.offset.size):
        if geometric_error(src, x, y, j, rho) < f4(1):
            count += 1
    return count


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
def joint_score(costs, n, j, tau):
    """How well source j shows the pixel, from the candidates' costs there (Xu and Tao 2019, section 4.2)."""
    good, bad = 0, 0
    acc = f4(0)
    for h in range(n):
        m = costs[h, j]
        if m < tau:
            good += 1
            acc += np.exp(-m * m / f4(0.18))
        elif m > f4(1.2):
            bad += 1
    if bad >= 3:
        return f4(0)
    return acc / f4(good) if good > 2 else np.exp(-tau * tau / f4(0.32))


@njit(**KERNEL)
def start(ref, src, window, state, scratch, most, seed):
    """Random planes, each with the mean of its best `most` views. Returns the number of windows compared."""
    height, width = ref.grey.shape
    costs, scores = scratch.costs[0], scratch.scores
    compared = 0
    for y in range(height):
        for x in range(width):
            if ref.grey[y, x] <= f4(0):
                continue
            total = open_window(ref, window, x, y)
            rho, gx, gy = random_plane(ref, x, y, u4(seed) + u4(y * width + x))
            costs_of_all(ref, src, window, total, x, y, rho, gx, gy, costs)
            compared += scores.size
            for j in range(scores.size):
                scores[j] = f4(BAD) + f4(0.1) - costs[j]
            views = best_views(scores, most)
            count = list_views(views, scratch.chosen)
            acc = f4(0)
            for i in range(count):
                acc += costs[scratch.chosen[i]]
            state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
            state.cost[y, x] = acc / f4(max(count, 1))
            state.views[y, x] = views
    return compared


@njit(**PART)
def collect_candidates(ref, state, scratch, x, y, everything):
    """The regions' planes, moved to this pixel; those next to its own plane are left out unless `everything`.

    Returns how many.
    """
    width = ref.grey.shape[1]
    rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
    n = 0
    for region in range(REGIONS):
        at = region_best(state, ref.grey, x, y, region)
        if at < 0:
            continue
        qy, qx = at // width, at % width
        ngx, ngy = state.gx[qy, qx], state.gy[qy, qx]
        nrho = state.rho[qy, qx] + ngx * f4(x - qx) + ngy * f4(y - qy)
        if not admissible(ref, x, y, nrho, ngx, ngy):
            continue
        tilt = abs(ngx - gx) + abs(ngy - gy)
        if not everything and abs(nrho - rho) < f4(0.08) * ref.rho_step and tilt < f4(0.025) * ref.rho_step:
            continue
        scratch.rho[n], scratch.gx[n], scratch.gy[n] = nrho, ngx, ngy
        n += 1
    return n


@njit(**KERNEL)
def sweep(ref, src, window, state, scratch, effort, color, iteration, seed):
    """Improve every pixel of one checkerboard colour from the other colour's planes and from changes of its own.

    Args:
        color: 0 or 1, parity of x + y.
        iteration: counts up within a run; tightens what counts as a good match (0.8 exp(-iteration^2 / 90)).
        seed: start of the hash that perturbations are drawn from.

    Returns:
        The number of windows compared.
    """
    height, width = ref.grey.shape
    n_src = src.offset.size
    costs, scores, chosen = scratch.costs, scratch.scores, scratch.chosen
    prho, pgx, pgy = scratch.rho, scratch.gx, scratch.gy
    joint, geometric = effort.joint, effort.geometric
    compared = 0
    tau = f4(0.8) * np.exp(-f4(iteration * iteration) / f4(90))
    for y in range(height):
        for x in range((y + color) & 1, width, 2):
            if ref.grey[y, x] <= f4(0):
                continue
            if geometric > f4(0) and agreeing(src, x, y, state.rho[y, x]) >= min(AGREE, n_src):
                continue
            total = open_window(ref, window, x, y)
            rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
            key = u4(seed) + u4(iteration) * u4(0x9E3779B9) + u4(y * width + x) * u4(64)
            n = collect_candidates(ref, state, scratch, x, y, joint)

            # Views, from all the candidates' costs or from the own plane's.
            prho[REGIONS], pgx[REGIONS], pgy[REGIONS] = rho, gx, gy
            for h in range(0 if joint else REGIONS, REGIONS + 1):
                if h < n or h == REGIONS:
                    costs_of_all(ref, src, window, total, x, y, prho[h], pgx[h], pgy[h], costs[h])
                    compared += n_src
            for j in range(n_src):
                m = costs[REGIONS, j]
                score = np.exp(-m * m / f4(0.18)) if m < f4(1.2) else f4(0)
                if joint:
                    score = joint_score(costs, n, j, tau)
                if geometric > f4(0):
                    e = geometric_error(src, x, y, j, rho)
                    score *= np.exp(f4(-0.5) * e * e)
                scores[j] = score * neighbour_votes(state, ref.grey, x, y, j)
            views = best_views(scores, effort.most)
            if views == u4(0):
                views = state.views[y, x]
            count = list_views(views, chosen)

            # What is compared already: the own plane, and the candidates of a joint selection.
            cost = f4(WORST)
            for h in range(REGIONS, -1 if joint else REGIONS - 1, -1):
                if count > 0 and (h < n or h == REGIONS):
                    acc = geometric_sum(src, x, y, chosen, count, prho[h], geometric)
                    for i in range(count):
                        acc += costs[h, chosen[i]]
                    if acc / f4(count) < cost and admissible(ref, x, y, prho[h], pgx[h], pgy[h]):
                        cost = acc / f4(count)
                        rho, gx, gy = prho[h], pgx[h], pgy[h]

            # One by one: candidates not compared yet, random planes, then alignment for as long as it helps.
            known = 0 if joint else n
            drawn = known + (RANDOM if joint else 0)
            for t in range(drawn + effort.alignments):
                nrho, ngx, ngy = rho, gx, gy
                if t < known:
                    nrho, ngx, ngy = prho[t], pgx[t], pgy[t]
                elif t == drawn - 3:
                    nrho, ngx, ngy = random_plane(ref, x, y, key)
                elif t == drawn - 2:
                    ngx, ngy = random_slope(ref, x, y, rho, key + u4(4))
                elif t == drawn - 1:
                    nrho, ngx, ngy = perturbed(ref, rho, gx, gy, f4(1), key + u4(8))
                else:
                    nrho, ngx, ngy = aligned(ref, src, window, total, x, y, rho, gx, gy, chosen, count)
                    compared += count
                c, more = plane_cost(ref, src, window, total, x, y, nrho, ngx, ngy, chosen, count, geometric, cost)
                compared += more
                if c < cost:
                    cost = c
                    rho, gx, gy = nrho, ngx, ngy
                elif t >= drawn:
                    break

            state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
            state.cost[y, x] = cost
            state.views[y, x] = views
    return compared
