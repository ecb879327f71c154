"""PatchMatch at the finer scales: the planes of the scale above are aligned, or replaced by the surroundings'.

A sweep visits three lattices of pixels: those with even x and y, those with odd x and y, and the rest. On the last two
a pixel takes the mean of the four around it that were visited before, where these lie in one plane; only elsewhere are
windows compared. What a visit to a lattice writes it does not read elsewhere, so that the order does not matter.
Names and letters as in `window.py`.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.costs import aligned_cost, confirmed, costs_of_others, geometric_sum, plane_cost
from anyview.reconstruction.stereo.hypotheses import WORST, admissible, between, collect_candidates, take_cheapest
from anyview.reconstruction.stereo.selection import best_views, list_views, neighbour_votes, own_score
from anyview.reconstruction.stereo.window import KERNEL, PART, geometric_error, open_window

f4 = np.float32
u4 = np.uint32

AGREE = 3
"""A depth that so many sources' own depths agree with is left alone by geometric passes."""

TRIED = 4
"""So many of the candidates are tried, the cheapest where they come from."""

STILL = 0.03
"""Shorter steps of alignment are not worth a comparison, pixels."""

TRUSTED = 0.5
"""Planes with a higher mean cost are not interpolated."""


class Effort(NamedTuple):
    """What a sweep tries at each pixel."""

    alignments: int  # least-squares steps, as long as they help
    geometric: np.float32  # weight of the forward-backward error, per pixel; 0 leaves it out
    most: int  # sources that a pixel's cost is averaged over


@njit(**PART)
def select_again(ref, src, window, total, state, scratch, effort, x, y, rho, gx, gy, known, costs):
    """Views from all sources' costs under the plane.

    Those whose bits are set in `known` stand in `costs`, (S,); the others are put there.

    Returns the views' bits, their number, the plane's mean cost there, and the number of windows compared.
    """
    scores, chosen = scratch.scores, scratch.chosen
    compared = costs_of_others(ref, src, window, total, x, y, rho, gx, gy, known, costs, chosen)
    for j in range(scores.size):
        score = own_score(costs[j])
        if effort.geometric > f4(0):
            e = geometric_error(src, x, y, j, rho)
            score *= exp(f4(-0.5) * e * e)
        scores[j] = score * neighbour_votes(state, ref.grey, x, y, j)
    views = best_views(scores, effort.most)
    if views == u4(0):
        views = state.views[y, x]
    count = list_views(views, chosen)
    acc = geometric_sum(src, x, y, chosen, count, rho, effort.geometric)
    for i in range(count):
        acc += costs[chosen[i]]
    usable = count > 0 and admissible(ref, x, y, rho, gx, gy)
    return views, count, (acc / f4(count) if usable else f4(WORST)), compared


@njit(**PART)
def improve_pixel(ref, src, window, state, scratch, effort, x, y):
    """The own plane, aligned, or a better one of the surroundings, aligned in turn. Returns the windows compared."""
    chosen, geometric = scratch.chosen, effort.geometric
    total = open_window(ref, window, x, y)
    rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
    views = state.views[y, x]
    count = list_views(views, chosen)
    left = effort.alignments

    # A step of alignment comes with the cost of the plane that it starts from; `step` is the length of the next.
    cost, nrho, ngx, ngy, step = aligned_cost(
        ref, src, window, total, x, y, rho, gx, gy, chosen, count, geometric, scratch.costs[0]
    )
    compared, row = count, 0
    if left > 0 and step > f4(STILL):
        c, mrho, mgx, mgy, long = aligned_cost(
            ref, src, window, total, x, y, nrho, ngx, ngy, chosen, count, geometric, scratch.costs[1]
        )
        compared += count
        left -= 1
        step = f4(0)
        if c < cost:
            cost, step, row = c, long, 1
            rho, gx, gy = nrho, ngx, ngy
            nrho, ngx, ngy = mrho, mgx, mgy
    known = views if cost < f4(WORST) else u4(0)
    views, count, cost, more = select_again(
        ref, src, window, total, state, scratch, effort, x, y, rho, gx, gy, known, scratch.costs[row]
    )
    compared += more

    state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
    n = collect_candidates(ref, state, scratch, x, y)
    fresh = False  # whether the next step of alignment is still to be found
    for _ in range(min(n, TRIED)):
        t = take_cheapest(scratch.price, n)
        crho, cgx, cgy = scratch.rho[t], scratch.gx[t], scratch.gy[t]
        c, more = plane_cost(ref, src, window, total, x, y, crho, cgx, cgy, chosen, count, geometric, cost)
        compared += more
        if c < cost:
            cost, rho, gx, gy = c, crho, cgx, cgy
            fresh, left = True, effort.alignments

    while left > 0:
        if fresh:
            _, nrho, ngx, ngy, step = aligned_cost(
                ref, src, window, total, x, y, rho, gx, gy, chosen, count, geometric, scratch.costs[0]
            )
            compared += count
        if step < f4(STILL):
            break
        c, more = plane_cost(ref, src, window, total, x, y, nrho, ngx, ngy, chosen, count, geometric, cost)
        compared += more
        left -= 1
        if not c < cost:
            break
        cost, rho, gx, gy = c, nrho, ngx, ngy
        fresh = True

    state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
    state.cost[y, x] = cost
    state.views[y, x] = views
    return compared


@njit(**PART)
def visit(ref, src, window, state, scratch, effort, lattice, x, y):
    """Interpolate, improve or leave alone one pixel. Returns the number of windows compared."""
    if effort.geometric > f4(0):
        if confirmed(src, x, y, state.rho[y, x], AGREE):
            return 0
    elif lattice > 0:
        same, rho, gx, gy, cost, views = between(ref, state, x, y, lattice == 1)
        if same and cost < f4(TRUSTED) and admissible(ref, x, y, rho, gx, gy):
            state.rho[y, x], state.gx[y, x], state.gy[y, x] = rho, gx, gy
            state.cost[y, x] = cost
            state.views[y, x] = views
            return 0
    return improve_pixel(ref, src, window, state, scratch, effort, x, y)


@njit(**KERNEL)
def improve(ref, src, window, state, scratch, effort, lattice):
    """One sweep over a lattice: 0 even x and y, 1 odd x and y, 2 the rest. Returns the number of windows compared."""
    height, width = ref.grey.shape
    compared = 0
    for y in range(1 if lattice == 1 else 0, height, 1 if lattice == 2 else 2):
        for x in range((y + (1 if lattice == 2 else 0)) & 1, width, 2):
            if ref.grey[y, x] > f4(0):
                compared += visit(ref, src, window, state, scratch, effort, lattice, x, y)
    return compared
