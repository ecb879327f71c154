"""What a sweep reads and writes, and its parts against the readable twins and against geometry written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from anyview.reconstruction.stereo import hypotheses, reference, selection, window
from anyview.reconstruction.stereo.costs import WORST, plane_cost
from anyview.reconstruction.stereo.hypotheses import (
    REGIONS,
    Scratch,
    State,
    admissible,
    between,
    perturbed,
    random_plane,
)
from anyview.reconstruction.stereo.improve import Effort, improve
from anyview.reconstruction.stereo.patch_match import (
    Pass,
    Planes,
    Reference,
    Sources,
    StereoView,
    make_reference,
    make_sources,
    make_window,
    match_view,
    window_taps,
)
from anyview.reconstruction.stereo.search import search
from stereo_scene import MATRIX, POSES, RHO_STEP, SIZE, TexturedPlane, pose

RANGE = (0.15, 0.7)
f4 = np.float32


@njit(**window.KERNEL)
def _votes(state, mask, x, y, j):
    return selection.neighbour_votes(state, mask, x, y, j)


@njit(**window.KERNEL)
def _candidates(ref, state, scratch, x, y):
    return hypotheses.collect_candidates(ref, state, scratch, x, y)


@njit(**window.KERNEL)
def _cheapest(price, n):
    return hypotheses.take_cheapest(price, n)


@njit(**window.KERNEL)
def _plane_cost(ref, src, win, x, y, rho, gx, gy, chosen, count, geometric, limit):
    total = window.open_window(ref, win, x, y)
    return plane_cost(ref, src, win, total, x, y, rho, gx, gy, chosen, count, geometric, limit)


@njit(**window.KERNEL)
def _error(src, x, y, j, rho):
    return window.geometric_error(src, x, y, j, rho)


@njit(**window.KERNEL)
def _admissible(ref, x, y, rho, gx, gy):
    return admissible(ref, x, y, rho, gx, gy)


@njit(**window.KERNEL)
def _drawn(ref, x, y, key):
    return random_plane(ref, x, y, key)


@njit(**window.KERNEL)
def _perturbed(ref, rho, gx, gy, size, key):
    return perturbed(ref, rho, gx, gy, size, key)


def scene(depths: bool = False) -> list[StereoView]:
    """The plane from all poses, with a masked corner; with each source's true depth map at half size, or without."""
    surface, views = TexturedPlane(), []
    for at in POSES:
        view, exact = surface.view(at), surface.depth(at)
        view.grey[:25, 75:] = 0
        half = (exact[::2, ::2] + exact[1::2, 1::2]).astype(f4) / 2
        views.append(replace(view, depth=half if depths else None))
    return views


def random_state(views: list[StereoView], seed: int) -> State:
    """Planes around the true one, any costs, any votes; nothing where masked out."""
    rng = np.random.default_rng(seed)
    inside = views[0].grey > 0
    rho = 1 / TexturedPlane().depth(POSES[0])
    shift, tilt_x, tilt_y = rng.normal(0, RHO_STEP, (3, SIZE, SIZE))
    planes = (rho + shift, rho[0, 1] - rho[0, 0] + 0.05 * tilt_x, rho[1, 0] - rho[0, 0] + 0.05 * tilt_y)
    cost = np.where(inside, rng.uniform(0, 1.5, rho.shape), hypotheses.WORST).astype(f4)
    bits = rng.integers(0, 16, rho.shape).astype(np.uint32)
    return State(
        *(np.where(inside, p, 0).astype(f4) for p in planes), cost, np.where(inside, bits, 0).astype(np.uint32)
    )


def make_scratch(sources: int) -> Scratch:
    rows = REGIONS + 1
    costs, scores, chosen = np.zeros((rows, sources), f4), np.zeros(sources, f4), np.zeros(sources, np.int32)
    rho, gx, gy, price = np.zeros((4, rows), f4)
    return Scratch(costs, scores, chosen, rho, gx, gy, np.full(rows, 99, np.int32), price)


Sweep = Callable[[Reference, Sources, State], object]
"""One kernel's call on a lattice of pixels."""


def searching(color: int) -> Sweep:
    return lambda ref, src, state: search(
        ref, src, make_window(5, 30.0), state, make_scratch(src.offset.size), 3, 1, color, 1, 17, f4(0)
    )


def improving(lattice: int, geometric: float) -> Sweep:
    effort = Effort(2, f4(geometric), 3)
    return lambda ref, src, state: improve(
        ref, src, make_window(5, 30.0), state, make_scratch(src.offset.size), effort, lattice
    )


Y, X = np.mgrid[:SIZE, :SIZE]
LATTICES = [(X % 2 == 0) & (Y % 2 == 0), (X % 2 == 1) & (Y % 2 == 1), (X + Y) % 2 == 1]
SWEEPS = {
    "search 0": (searching(0), (X + Y) % 2 == 0),
    "search 1": (searching(1), (X + Y) % 2 == 1),
    **{f"improve {k}": (improving(k, 0.0), LATTICES[k]) for k in range(3)},
    **{f"geometric {k}": (improving(k, 0.1), LATTICES[k]) for k in range(3)},
}


@pytest.mark.parametrize("name", SWEEPS)
def test_pixels_of_one_lattice_may_be_visited_in_any_order(name: str) -> None:
    """A sweep changes one lattice and of that lattice reads each pixel for itself only: half of them replaced by
    something else altogether leaves the other half's result the same, to the bit."""
    run, mine = SWEEPS[name]
    views = scene(depths=True)
    ref, src = make_reference(views[0], 0, RANGE, RHO_STEP), make_sources(views[0], views[1:], 0)
    first, other = random_state(views, 0), random_state(views, 1)
    replaced = mine & (np.random.default_rng(2).random(mine.shape) < 0.5)
    mixed = State(*(np.where(replaced, b, a) for a, b in zip(first, other, strict=True)))
    one, two = (State(*(a.copy() for a in state)) for state in (first, mixed))
    run(ref, src, one)
    run(ref, src, two)
    changed = np.zeros_like(mine)
    for before, after, again in zip(first, one, two, strict=True):
        assert np.array_equal(before[~mine], after[~mine])
        assert np.array_equal(after[~replaced], again[~replaced])
        assert np.array_equal(after[views[0].grey == 0], before[views[0].grey == 0])
        changed |= before != after
    assert changed[mine].mean() > 0.3


@njit(**window.KERNEL)
def _between(ref, state, x, y, diagonal):
    return between(ref, state, x, y, diagonal)


def test_a_pixel_takes_the_mean_of_four_that_lie_in_one_plane() -> None:
    """Against the planes moved one by one, in plain numpy."""
    views = scene()
    ref, state = make_reference(views[0], 0, RANGE, RHO_STEP), random_state(views, 5)
    rng, inside = np.random.default_rng(0), views[0].grey > 0
    truth = 1 / TexturedPlane().depth(POSES[0])
    noise = rng.normal(0, 0.12 * RHO_STEP, truth.shape)
    noise[48:] *= 4
    state.rho[inside] = (truth + noise)[inside]
    state.gx[inside], state.gy[inside] = truth[0, 1] - truth[0, 0], truth[1, 0] - truth[0, 0]
    for diagonal, steps in ((False, [(1, 0), (-1, 0), (0, 1), (0, -1)]), (True, [(1, 1), (-1, 1), (1, -1), (-1, -1)])):
        taken = {True: 0, False: 0}
        for x, y in rng.integers(0, SIZE, (600, 2)).tolist():
            at = [(x + a, y + b) for a, b in steps]
            usable = all(0 <= p < SIZE and 0 <= q < SIZE and inside[q, p] for p, q in at)
            got = _between(ref, state, x, y, diagonal)
            if not usable:
                assert not got[0]
                continue
            theirs = np.array([[float(plane[q, p]) for plane in state[:4]] for p, q in at])
            moved = [reference.move_plane(tuple(t[:3]), x - p, y - q) for t, (p, q) in zip(theirs, at, strict=True)]
            planes = np.array(moved)
            spread = np.ptp(planes, axis=0).max() / RHO_STEP
            if abs(spread - hypotheses.ONE_PLANE) < 1e-3:
                continue
            assert got[0] == (spread < hypotheses.ONE_PLANE)
            taken[got[0]] += 1
            assert np.allclose(got[1:4], planes.mean(0), rtol=1e-5, atol=1e-8)
            assert got[4] == pytest.approx(theirs[:, 3].mean(), rel=1e-5)
            p, q = at[int(theirs[:, 3].argmin())]
            assert got[5] == state.views[q, p]
        assert min(taken.values()) > 50


def test_votes_are_those_of_the_four_neighbours_inside() -> None:
    rng = np.random.default_rng(0)
    views = rng.integers(0, 64, (12, 15)).astype(np.uint32)
    mask = (rng.random(views.shape) > 0.3).astype(f4)
    zero = np.zeros(views.shape, f4)
    for (y, x), _ in np.ndenumerate(views):
        for j in range(6):
            want = 0.0
            for xx, yy in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
                if 0 <= xx < 15 and 0 <= yy < 12 and mask[yy, xx]:
                    want += 0.9 if views[yy, xx] >> j & 1 else 0.1
            got = _votes(State(zero, zero, zero, zero, views), mask, x, y, j)
            assert got == pytest.approx(want, abs=1e-6)  # measured 2.9e-7


def _alike(one: tuple[float, ...], other: tuple[float, ...], limit: float) -> bool:
    shift, tilt_x, tilt_y = np.abs(np.subtract(one, other))
    return bool(shift < limit and tilt_x + tilt_y < 0.3 * limit)


def test_candidates_are_the_twins_planes_moved_to_the_pixel() -> None:
    views = scene()
    ref, state, scratch = make_reference(views[0], 0, RANGE, RHO_STEP), random_state(views, 3), make_scratch(4)
    state.rho[:] += np.random.default_rng(1).normal(0, 8 * RHO_STEP, state.rho.shape)  # most differ
    state.rho[::7] += f4(0.6)  # some leave the range
    state.rho[40:60, 40:60] = 1 / TexturedPlane().depth(POSES[0])[40:60, 40:60]  # and some agree with each other
    state.gx[40:60, 40:60], state.gy[40:60, 40:60] = (
        np.median(state.gx[ref.grey > 0]),
        np.median(state.gy[ref.grey > 0]),
    )
    full, dropped = 0, 0
    for x, y in np.random.default_rng(0).integers(0, SIZE, (300, 2)).tolist():
        own = tuple(float(p[y, x]) for p in state[:3])
        wanted: list[tuple[float, ...]] = []
        prices, times = [], [0] * (REGIONS + 1)
        for at in reference.candidate_pixels(state.cost, ref.grey, x, y):
            if at is None:
                continue
            theirs = tuple(float(p[at[1], at[0]]) for p in state[:3])
            moved = reference.move_plane((theirs[0], theirs[1], theirs[2]), x - at[0], y - at[1])
            if not _admissible(ref, x, y, *(f4(v) for v in moved)):
                continue
            same = [i for i, plane in enumerate([own, *wanted]) if _alike(moved, plane, hypotheses.NEAR * RHO_STEP)]
            if same:
                dropped += 1
                times[same[0] - 1] += 1  # the own plane's place is the last
            else:
                times[len(wanted)] = 1
                wanted.append(moved)
                prices.append(state.cost[at[1], at[0]])
        n = _candidates(ref, state, scratch, x, y)
        assert n == len(wanted)
        assert scratch.times.tolist() == times
        assert scratch.price[:n].tolist() == prices
        taken = [_cheapest(scratch.price, n) for _ in range(n)]
        assert [prices[t] for t in taken] == sorted(prices)
        full += n == REGIONS
        got = np.stack([scratch.rho[:n], scratch.gx[:n], scratch.gy[:n]], 1)
        assert np.allclose(got, np.reshape(wanted, (-1, 3)), rtol=1e-6, atol=1e-7)  # measured 6e-8
    assert full > 5
    assert dropped > 20


def test_plane_cost_is_the_mean_of_the_twins_and_stops_above_the_limit() -> None:
    views = scene(depths=True)
    ref, src, win = (
        make_reference(views[0], 0, RANGE, RHO_STEP),
        make_sources(views[0], views[1:], 0),
        make_window(5, 30),
    )
    twins = [reference.GreyView(v.grey.astype(np.float64), v.matrix, v.world_from_cam) for v in views]
    taps, state, rng = np.stack(window_taps(5), 1), random_state(views, 4), np.random.default_rng(0)
    worst = 0.0
    for x, y in rng.integers(0, SIZE, (60, 2)).tolist():
        if views[0].grey[y, x] == 0:
            continue
        plane = state.rho[y, x], state.gx[y, x], state.gy[y, x]
        exact = float(plane[0]), float(plane[1]), float(plane[2])
        chosen = rng.permutation(4).astype(np.int32)
        count = int(rng.integers(1, 5))
        costs = []
        for j in chosen[:count]:
            depth = views[1 + j].depth
            assert depth is not None
            away = reference.geometric_error(twins[0], twins[1 + j], depth, x, y, exact[0])
            photo = reference.matching_cost(twins[0], twins[1 + j], x, y, exact, taps, 30.0)
            costs.append(photo + 0.1 * max(away - 1, 0))
        mean = float(np.mean(costs))
        args = (ref, src, win, x, y, *plane, chosen, count, f4(0.1))
        got, compared = _plane_cost(*args, f4(10))
        assert compared == count
        worst = max(worst, abs(got - mean))
        assert _plane_cost(*args, f4(1.01 * mean))[0] == got
        assert _plane_cost(*args, f4(0.99 * mean))[0] > 0.99 * mean
    assert worst < 3e-5  # measured 5e-6
    assert _plane_cost(ref, src, win, 40, 40, f4(0.9), f4(0), f4(0), chosen, 4, f4(0), f4(10)) == (WORST, 0)


def test_what_lies_behind_a_source_has_the_worst_cost_and_error() -> None:
    views = scene()
    back = StereoView(views[1].grey, MATRIX, pose(0.4, 0, np.pi), np.full((SIZE, SIZE), 3, f4))
    ref, src = make_reference(views[0], 0, RANGE, RHO_STEP), make_sources(views[0], [back], 0)
    chosen, win = np.zeros(1, np.int32), make_window(5, 30.0)
    for x, y in ((10, 50), (48, 48), (60, 80)):
        assert _plane_cost(ref, src, win, x, y, f4(0.33), f4(0), f4(0), chosen, 1, f4(0), f4(10))[0] == window.BAD
        assert _error(src, x, y, 0, f4(0.33)) == 3


def test_admissible_is_the_depth_range_and_80_degrees() -> None:
    """The angle, from three points of the plane in space."""
    ref = make_reference(TexturedPlane().view(POSES[0]), 0, RANGE, RHO_STEP)
    rng, accepted, total = np.random.default_rng(0), 0, 0
    back = np.linalg.inv(MATRIX)
    for _ in range(2000):
        x, y = (int(v) for v in rng.integers(0, SIZE, 2))
        rho = float(f4(rng.uniform(0.1, 0.8)))
        gx, gy = (float(f4(v)) for v in rng.normal(0, rho * rng.choice([0.003, 0.02, 0.06]), 2))
        step = 1e-3
        places = np.array([(0, 0), (step, 0), (0, step)])
        points = [back @ [x + 0.5 + dx, y + 0.5 + dy, 1] / (rho + gx * dx + gy * dy) for dx, dy in places]
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        cosine = abs(normal @ points[0]) / np.linalg.norm(normal) / np.linalg.norm(points[0])
        inside = RANGE[0] <= rho <= RANGE[1]
        angle = np.degrees(np.arccos(cosine))
        if abs(angle - 80) < 0.1:
            continue
        total += 1
        accepted += (want := inside and angle < 80)
        assert _admissible(ref, x, y, f4(rho), f4(gx), f4(gy)) == want
    assert 0.2 < accepted / total < 0.8


def test_changes_of_a_plane_are_bounded_and_go_both_ways() -> None:
    ref = make_reference(TexturedPlane().view(POSES[0]), 0, RANGE, RHO_STEP)
    plane = np.array([0.33, 0.001, -0.002], f4)
    change = np.array([_perturbed(ref, *plane, f4(0.7), np.uint32(64 * k)) for k in range(2000)]) - plane
    limit = 0.7 * RHO_STEP * np.array([1, 0.2, 0.2])
    assert (np.abs(change) <= limit * 1.001).all()
    assert (np.abs(change).max(0) > 0.99 * limit).all()
    assert (np.abs(change.mean(0)) < 0.06 * limit).all()  # uniform: 0.013 expected
    drawn = np.array([_drawn(ref, 20, 70, np.uint32(64 * k)) for k in range(2000)])
    assert drawn[:, 0].min() < RANGE[0] + 0.01
    assert drawn[:, 0].max() > RANGE[1] - 0.01
    assert np.abs(np.corrcoef(drawn.T)[0, 1:]).max() < 0.08


@pytest.mark.parametrize(
    ("plan", "margin"),
    [
        (Pass(0, light=1, alignments=1, geometric=0.1), 25),  # what three sources see
        (Pass(0, joint=1, alignments=1, geometric=0.1), 32),  # what all four see
    ],
)
def test_a_geometric_pass_mends_what_views_disagree_on_and_leaves_the_rest_alone(plan: Pass, margin: int) -> None:
    views, surface = scene(depths=True), TexturedPlane()
    truth = 1 / surface.depth(POSES[0])
    rng = np.random.default_rng(0)
    spoiled = np.zeros((SIZE, SIZE), bool)
    spoiled[40:56, 30:50] = True
    inside = views[0].grey > 0
    rho = np.where(spoiled, truth + rng.choice([-6, 6], truth.shape) * RHO_STEP, truth) * inside
    slope = [np.full(rho.shape, v) * inside for v in (truth[0, 1] - truth[0, 0], truth[1, 0] - truth[0, 0])]
    votes = np.full(rho.shape, 15, np.uint32) * inside
    cost = np.where(spoiled, 1.2, 0.02) * inside
    planes = Planes(0, *(a.astype(f4) for a in (rho, *slope, cost)), votes)
    after, _ = match_view(views[0], views[1:], plan, planes, rho_range=RANGE, rho_step=RHO_STEP)
    kept = np.zeros_like(spoiled)
    kept[margin:-margin, margin:-margin] = True
    kept &= ~spoiled
    assert np.array_equal(after.rho[kept], planes.rho[kept])
    assert np.array_equal(after.cost[kept], planes.cost[kept])
    error = np.abs(after.rho - truth)[spoiled] / RHO_STEP
    assert np.median(error) < 0.02  # pixels; measured 0.007 and 0.006
    assert (error < 0.5).mean() > 0.98
