"""PatchMatch's global search at a coarse scale: planes start at random, spread over a checkerboard, and are refined.

A sweep visits the pixels of one colour and reads planes of the other colour only, so that the order of the visits does
not matter. Names and letters as in `window.py`.

Sources: Galliani et al. 2015 (checkerboard), Xu and Tao 2019 (adaptive sampling, joint view selection).
"""

from __future__ import annotations

from math import exp

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.alignment import aligned
from anyview.reconstruction.stereo.costs import confirmed, costs_of_all, plane_cost
from anyview.reconstruction.stereo.hypotheses import (
    REGIONS,
    WORST,
    admissible,
    collect_candidates,
    perturbed,
    random_plane,
    random_slope,
)
from anyview.reconstruction.stereo.selection import best_views, joint_score, list_views, neighbour_votes
from anyview.reconstruction.stereo.window import BAD, KERNEL, PART, open_window

f4 = np.float32
u4 = np.uint32

AGREE = 5
"""A depth that so many sources' own depths agree with is not searched again."""

RANDOM = 3
"""Planes drawn at random per pixel and sweep: a whole one, a slope, a small change of the best."""


@njit(**PART)
def start_pixel(ref, src, window, state, scratch, most, seed, x, y):
    """A random plane with the mean cost of its best `most` views. Returns the number of windows compared."""
    costs, scores = scratch.costs[0], scratch.scores
    total = open_window(ref, window, x, y)
    rho, gx, gy = random_plane(ref, x, y, u4(seed) + u4(y * ref.grey.shape[1] + x))
    costs_of_all(ref, src, window, total, x, y, rho, gx, gy, costs)
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
    return scores.size


@njit(**PART)
def search_pixel(ref, src, window, state, scratch, most, alignments, iteration, seed, geometric, x, y):
    """The best of its own plane, the surroundings' and random ones; from the sources that all of these together favour.

    Args:
        most: sources that the cost is averaged over.
        alignments: least-squares steps, as long as they help.
        iteration: counts up within a run; tightens what counts as a good match (0.8 exp(-iteration^2 / 90)).
        seed: start of the hash that random planes are drawn from.
        geometric: above 0, pixels that other views' depth maps confirm are left alone.

    Returns:
        The number of windows compared.
    """
    if geometric > f4(0) and confirmed(src, x, y, state.rho[y, x], AGREE):
        return 0
    n_src = src.offset.size
    costs, scores, chosen = scratch.costs, scratch.scores, scratch.chosen
    prho, pgx, pgy = scratch.rho, scratch.gx, scratch.gy
    tau = f4(0.8) * exp(-f4(iteration * iteration) / f4(90))
    total = open_window(ref, window, x, y)
    rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
    key = u4(seed) + u4(iteration) * u4(0x9E3779B9) + u4(y * ref.grey.shape[1] + x) * u4(64)
    n = collect_candidates(ref, state, scratch, x, y)
    compared = 0

    # All candidates against all sources; the views that these costs favour; the cheapest there.
    prho[REGIONS], pgx[REGIONS], pgy[REGIONS] = rho, gx, gy
    for h in range(REGIONS + 1):
        if h < n or h == REGIONS:
            costs_of_all(ref, src, window, total, x, y, prho[h], pgx[h], pgy[h], costs[h])
            compared += n_src
    for j in range(n_src):
        scores[j] = joint_score(costs, scratch.times, j, tau) * neighbour_votes(state, ref.grey, x, y, j)
    views = best_views(scores, most)
    if views == u4(0):
        views = state.views[y, x]
    count = list_views(views, chosen)
    cost = f4(WORST)
    for h in range(REGIONS, -1, -1):
        if count > 0 and (h < n or h == REGIONS):
            acc = f4(0)
            for i in range(count):
                acc += costs[h, chosen[i]]
            if acc / f4(count) < cost and admissible(ref, x, y, prho[h], pgx[h], pgy[h]):
                cost = acc / f4(count)
                rho, gx, gy = prho[h], pgx[h], pgy[h]

    # One by one: random planes, then alignment for as long as it helps.
    for t in range(RANDOM + alignments):
        nrho, ngx, ngy = rho, gx, gy
        if t == 0:
            nrho, ngx, ngy = random_plane(ref, x, y, key)
        elif t == 1:
            ngx, ngy = random_slope(ref, x, y, rho, key + u4(4))
        elif t == 2:
            nrho, ngx, ngy = perturbed(ref, rho, gx, gy, f4(1), key + u4(8))
        else:
            _, nrho, ngx, ngy, _ = aligned(ref, src, window, total, x, y, rho, gx, gy, chosen, count, costs[0])
            compared += count
        c, more = plane_cost(ref, src, window, total, x, y, nrho, ngx, ngy, chosen, count, f4(0), cost)
        compared += more
        if c < cost:
            cost = c
            rho, gx, gy = nrho, ngx, ngy
        elif t >= RANDOM:
            break

    state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
    state.cost[y, x] = cost
    state.views[y, x] = views
    return compared


@njit(**KERNEL)
def start(ref, src, window, state, scratch, most, seed):
    """Random planes everywhere. Returns the number of windows compared."""
    height, width = ref.grey.shape
    compared = 0
    for y in range(height):
        for x in range(width):
            if ref.grey[y, x] > f4(0):
                compared += start_pixel(ref, src, window, state, scratch, most, seed, x, y)
    return compared


@njit(**KERNEL)
def search(ref, src, window, state, scratch, most, alignments, color, iteration, seed, geometric):
    """One sweep over the pixels with x + y of parity `color`. Returns the number of windows compared."""
    height, width = ref.grey.shape
    compared = 0
    for y in range(height):
        for x in range((y + color) & 1, width, 2):
            if ref.grey[y, x] > f4(0):
                compared += search_pixel(
                    ref, src, window, state, scratch, most, alignments, iteration, seed, geometric, x, y
                )
    return compared
