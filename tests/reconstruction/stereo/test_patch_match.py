"""The dense kernels against their readable twins, and against a scene known in closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba import njit

from anyview.reconstruction.stereo import reference, selection, window
from anyview.reconstruction.stereo.alignment import aligned, epipolar_direction, normal_equations, solve_damped
from anyview.reconstruction.stereo.costs import plane_cost
from anyview.reconstruction.stereo.hypotheses import WORST, admissible, perturbed, random_plane, region_best
from anyview.reconstruction.stereo.patch_match import (
    Pass,
    Planes,
    StereoView,
    make_reference,
    make_sources,
    make_window,
    match_view,
    window_taps,
)
from stereo_scene import MATRIX, POSES, RHO_STEP, SIZE, TexturedPlane

OPTIONS = window.KERNEL  # the cache's folder changes with the kernels' source, see conftest.py
RANGE = (0.15, 0.7)
f4 = np.float32


@njit(**OPTIONS)
def _costs(ref, src, win, x, y, rho, gx, gy):
    total = window.open_window(ref, win, x, y)
    return window.matching_costs(ref, src, win, total, x, y, 0, 1, rho, gx, gy)


@njit(**OPTIONS)
def _geometric(src, x, y, j, rho):
    return window.geometric_error(src, x, y, j, rho)


@njit(**OPTIONS)
def _gradient(ref, src, win, x, y, j, rho, gx, gy, out):
    total = window.open_window(ref, win, x, y)
    window.find_samples(src, win, 0, x, y, j, rho, gx, gy)
    window.find_samples(src, win, window.TAPS, x, y, j, rho, gx, gy)
    window.load_samples(src, win)
    ex, ey = epipolar_direction(src, x, y, j, rho, ref.rho_step)
    n, _ = normal_equations(win, 0, True, ex, ey, ref.grey[y, x], total)
    out[0], out[1], out[2], out[3], out[4], out[5] = n[0], n[1], n[2], n[3], n[4], n[5]
    out[6], out[7], out[8] = n[6], n[7], n[8]


@njit(**OPTIONS)
def _solve(n):
    return solve_damped((n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]))


@njit(**OPTIONS)
def _aligned(ref, src, win, x, y, rho, gx, gy, chosen, count, costs):
    total = window.open_window(ref, win, x, y)
    cost, nrho, ngx, ngy, step = aligned(ref, src, win, total, x, y, rho, gx, gy, chosen, count, costs)
    same, _ = plane_cost(ref, src, win, total, x, y, rho, gx, gy, chosen, count, f4(0), f4(10))
    return nrho, ngx, ngy, cost / f4(count), same, step


@njit(**OPTIONS)
def _region(cost, x, y, region):
    return region_best(cost, x, y, region)


@njit(**OPTIONS)
def _score(costs, times, j, tau):
    return selection.joint_score(costs, times, j, tau)


@njit(**OPTIONS)
def _best(scores, most):
    return selection.best_views(scores, most)


@njit(**OPTIONS)
def _admissible(ref, x, y, rho, gx, gy):
    return admissible(ref, x, y, rho, gx, gy)


@njit(**OPTIONS)
def _drawn(ref, x, y, key):
    return random_plane(ref, x, y, key)


@njit(**OPTIONS)
def _perturbed(ref, rho, gx, gy, size, key):
    return perturbed(ref, rho, gx, gy, size, key)


def masked_views() -> list[StereoView]:
    """The plane from all poses; part of each image is masked out."""
    views = [TexturedPlane().view(pose) for pose in POSES]
    for view in views:
        view.grey[:20, 70:] = 0
        view.grey[60:64, 10:30] = 0
    return views


def twin(view: StereoView) -> reference.GreyView:
    return reference.GreyView(view.grey.astype(np.float64), view.matrix, view.world_from_cam)


def true_plane(x: int, y: int, surface: TexturedPlane | None = None) -> tuple[float, float, float]:
    """In the first view."""
    surface = TexturedPlane() if surface is None else surface
    rho = 1 / surface.depth(POSES[0])
    return float(rho[y, x]), float(rho[0, 1] - rho[0, 0]), float(rho[1, 0] - rho[0, 0])


def random_cases(count: int, near: float, seed: int = 0) -> list[tuple[int, int, tuple[float, float, float]]]:
    """Pixels anywhere, planes around the true one: within `near` pixels of displacement, and tilted."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        x, y = (int(v) for v in rng.integers(0, SIZE, 2))
        rho, gx, gy = true_plane(x, y)
        shift, tilt_x, tilt_y = rng.uniform(-1, 1, 3) * near * RHO_STEP
        exact = rho + shift, gx + 0.1 * tilt_x, gy + 0.1 * tilt_y
        cases.append((x, y, (float(f4(exact[0])), float(f4(exact[1])), float(f4(exact[2])))))
    return cases


def test_matching_cost_is_the_twins() -> None:
    views = masked_views()
    ref, src = make_reference(views[0], 0, RANGE, RHO_STEP), make_sources(views[0], views[1:3], 0)
    win, taps = make_window(5, 30.0), np.stack(window_taps(5), 1)
    worst, bad, partial, either = 0.0, 0, 0, 0
    for x, y, plane in random_cases(400, 6.0):
        if views[0].grey[y, x] == 0:
            continue
        got = _costs(ref, src, win, x, y, *(f4(v) for v in plane))
        want = [reference.matching_cost(twin(views[0]), twin(v), x, y, plane, taps, 30.0) for v in views[1:3]]
        for g, w in zip(got, want, strict=True):
            bad += w == 2.0
            partial += 0 < w < 2
            if (g == 2.0) != (w == 2.0):  # a tap on the border of what counts: float32 against float64
                either += 1
                continue
            worst = max(worst, abs(g - w))
    assert bad > 20, "images' borders and masks are part of the cases"
    assert partial > 200
    assert either <= 2  # measured 0
    assert worst < 3e-5, worst  # measured 7.9e-6; without the window's second-order term 4e-2


def test_geometric_error_is_the_twins() -> None:
    views = [TexturedPlane().view(pose) for pose in POSES[:2]]
    depth = TexturedPlane().depth(POSES[1]).astype(np.float32) * 1.01
    depth[:, :20] = 0
    src = make_sources(views[0], [replace(views[1], depth=depth)], 0)
    errors = []
    for x, y, plane in random_cases(300, 2.0, seed=1):
        want = reference.geometric_error(twin(views[0]), twin(views[1]), depth, x, y, plane[0])
        got = float(_geometric(src, x, y, 0, f4(plane[0])))
        errors.append(abs(got - want))
    # measured 1.4e-5 at most; a source position on the border of two pixels may fall either way
    assert np.quantile(errors, 0.99) < 5e-5
    assert 0.0 < np.median(errors) < 1e-5  # measured 2.0e-6


def test_gradient_is_the_correlations_derivative() -> None:
    views = [TexturedPlane().view(pose) for pose in POSES[:2]]
    ref, src = make_reference(views[0], 0, RANGE, RHO_STEP), make_sources(views[0], views[1:], 0)
    win, taps = make_window(5, 30.0), np.stack(window_taps(5), 1)
    out, found, wanted = np.zeros(9, f4), [], []
    for x, y, plane in random_cases(60, 1.0, seed=2):
        if not (12 < x < SIZE - 12 and 12 < y < SIZE - 12):
            continue
        _gradient(ref, src, win, x, y, 0, *(f4(v) for v in plane), out)
        cost = lambda p, x=x, y=y: -reference.matching_cost(twin(views[0]), twin(views[1]), x, y, p, taps, 30.0)  # noqa: E731
        wanted.append(reference.correlation_gradient(cost, plane, RHO_STEP))
        found.append(out[6:].copy())
    error = np.linalg.norm(np.array(found) - wanted, axis=0) / np.linalg.norm(wanted, axis=0)
    assert len(found) > 20
    # the twin's window also turns as the plane does, and bilinear samples have kinks; measured 0.004, 0.009, 0.016
    assert (error < (0.01, 0.02, 0.03)).all(), error


def test_solve_is_numpys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a = rng.normal(size=(5, 3))
        n, g = a.T @ a, rng.normal(size=3)
        packed = np.array([n[0, 0], n[0, 1], n[0, 2], n[1, 1], n[1, 2], n[2, 2], *g], f4)
        want = np.linalg.solve(n + 0.02 * np.diag(np.diag(n)), g)
        assert np.allclose(_solve(packed), want, rtol=2e-3, atol=1e-4 * np.abs(want).max())
    assert _solve(np.zeros(9, f4)) == (0, 0, 0)


@njit(**OPTIONS)
def _falling(t):
    return window.falling_exp(t)


def test_the_weights_exponential() -> None:
    for t in np.linspace(-90, 0, 1000).astype(f4):
        assert _falling(t) == pytest.approx(np.exp(np.float64(t)), abs=3.5e-6)  # measured 2.6e-6: rounding


def test_one_step_comes_nearer_to_the_truth() -> None:
    views = [TexturedPlane().view(pose) for pose in POSES]
    ref, src = make_reference(views[0], 0, RANGE, RHO_STEP), make_sources(views[0], views[1:], 0)
    win, chosen = make_window(5, 30.0), np.arange(4, dtype=np.int32)
    before, after = [], []
    for x, y, plane in random_cases(100, 0.7, seed=3):
        if 12 < x < SIZE - 12 and 12 < y < SIZE - 12:
            rho = true_plane(x, y)[0]
            costs = np.zeros(4, f4)
            moved = _aligned(ref, src, win, x, y, *(f4(v) for v in plane), chosen, 4, costs)
            before.append(abs(plane[0] - rho) / RHO_STEP)
            after.append(abs(moved[0] - rho) / RHO_STEP)
            assert moved[3] == pytest.approx(moved[4], abs=1e-5)  # the step comes with the cost before it
            assert costs.mean() == pytest.approx(moved[3], abs=1e-6)  # and with every source's
            long = np.abs(np.subtract(moved[:3], plane)) / RHO_STEP
            assert moved[5] == pytest.approx(max(long[0], 5 * (long[1] + long[2])), rel=1e-3, abs=2e-4)
    assert np.median(before) > 0.25  # pixels of displacement
    assert np.median(after) < 0.02, np.median(after)  # measured 0.010


def test_candidates_are_the_twins_and_of_the_other_colour() -> None:
    rng = np.random.default_rng(0)
    cost = rng.uniform(0, 2, (40, 50)).astype(f4)
    mask = (rng.uniform(size=cost.shape) > 0.3).astype(f4)
    cost[mask == 0] = WORST
    for x, y in rng.integers(0, 40, (100, 2)):
        for region, want in enumerate(reference.candidate_pixels(cost, mask, int(x), int(y))):
            got = _region(cost, int(x), int(y), region)
            assert got == (-1 if want is None else want[1] * 50 + want[0])
            if want is not None:
                assert (sum(want) - x - y) % 2 == 1


def test_view_selection_is_the_twins() -> None:
    rng = np.random.default_rng(0)
    for trial in range(100):
        costs = rng.uniform(0, 1.6, (8, 6)).astype(f4) * rng.uniform(0.2, 1)
        iteration = trial % 4
        tau = f4(0.8 * np.exp(-(iteration**2) / 90))
        times = rng.integers(0, 3, 8).astype(np.int32) if trial % 2 else np.ones(8, np.int32)
        scores = np.array([_score(costs, times, j, tau) for j in range(6)], f4)
        each = np.repeat(costs, times, 0)
        wanted = [reference.joint_score(each[:, j].tolist(), iteration) for j in range(6)]
        assert np.allclose(scores, wanted, rtol=1e-5)
        for most in (1, 3, 6):
            bits = _best(scores, most)
            assert {j for j in range(6) if bits >> j & 1} == reference.select_views(scores.tolist(), most)


def test_drawn_planes_are_admissible_and_small_changes_small() -> None:
    ref = make_reference(TexturedPlane().view(POSES[0]), 0, RANGE, RHO_STEP)
    for key in range(200):
        x, y = key % SIZE, key * 7 % SIZE
        plane = _drawn(ref, x, y, np.uint32(key))
        assert _admissible(ref, x, y, *plane)
        assert RANGE[0] <= plane[0] <= RANGE[1]
        moved = _perturbed(ref, *plane, f4(0.5), np.uint32(key))
        assert abs(moved[0] - plane[0]) <= 0.5 * RHO_STEP * 1.001
    assert not _admissible(ref, 48, 48, f4(RANGE[1] * 1.01), f4(0), f4(0))
    assert not _admissible(ref, 48, 48, f4(0.3), f4(0.1), f4(0))  # seen from its edge


def solve(views: list[StereoView], **changes: Any) -> Planes:
    """The first view's planes after the usual schedule without geometric passes."""
    planes = None
    settings: dict[str, Any] = {"rho_range": RANGE, "rho_step": RHO_STEP, "most": 4, "seed": 0, **changes}
    for plan in (Pass(2, joint=3, alignments=1), Pass(1, light=1, alignments=2), Pass(0, light=1, alignments=2)):
        planes, compared = match_view(views[0], views[1:], plan, planes, **settings)
        assert compared > 0
    assert planes is not None
    return planes


def test_no_half_pixel_bias() -> None:
    for surface in (TexturedPlane(), TexturedPlane((0, 0, 1), 3.0, 1), TexturedPlane((-0.5, 0.3, 1), 2.8, 2)):
        rho = solve([surface.view(pose) for pose in POSES]).rho
        depth = surface.depth(POSES[0])
        error = ((1 / rho - depth) / depth * MATRIX[0, 0])[8:-8, 8:-8]  # pixel footprints
        # measured 0.009 at most; 0.06 without the window's second-order term; wrong centres would be more than 1
        assert abs(np.median(error)) < 0.02
        assert abs(error[np.abs(error) < 4].mean()) < 0.02
        assert (np.abs(error) < 1).mean() > 0.97


def test_what_is_masked_out_has_no_plane_and_no_influence() -> None:
    views = [TexturedPlane().view(pose) for pose in POSES]
    masks = [np.ones((SIZE, SIZE), bool) for _ in views]
    for mask in masks:
        mask[30:50, 40:60] = mask[80:, :33] = False
    plain = [replace(v, grey=np.where(m, v.grey, 0).astype(np.uint8)) for v, m in zip(views, masks, strict=True)]
    rho = solve(plain).rho
    assert (rho[~masks[0]] == 0).all()
    assert (rho[masks[0]] > 0).all()
    depth = TexturedPlane().depth(POSES[0])
    beside = np.zeros_like(masks[0])
    beside[26:54, 36:64] = True
    error = np.abs(1 / rho[beside & masks[0]] - depth[beside & masks[0]]) / depth[beside & masks[0]] * MATRIX[0, 0]
    assert np.median(error) < 0.15  # windows that lose half of their taps still find the plane


@pytest.mark.parametrize("limits", [(0.25, 0.3), (0.33, 0.36)])
def test_the_depth_range_is_kept(limits: tuple[float, float]) -> None:
    planes = solve([TexturedPlane().view(pose) for pose in POSES], rho_range=limits)
    kept = planes.rho[planes.cost <= 2]  # what lies outside has the worst cost, and gives no depth
    assert kept.size > 500
    assert f4(limits[0]) <= kept.min() <= kept.max() <= f4(limits[1])


def test_same_seed_same_bytes() -> None:
    views = [TexturedPlane().view(pose) for pose in POSES]
    first = solve(views).rho.tobytes()
    assert solve(views).rho.tobytes() == first
    assert solve(views, seed=5).rho.tobytes() != first


def test_any_window_radius() -> None:
    for radius in (3, 4, 7, 12):
        dx, dy = window_taps(radius)
        assert len(dx) == window.TAPS
        assert len({*zip(dx.tolist(), dy.tolist(), strict=True)}) == window.TAPS
        assert max(dx) == -min(dx) == radius
    rho = solve([TexturedPlane().view(pose) for pose in POSES], radius=7).rho
    depth = TexturedPlane().depth(POSES[0])
    assert (np.abs(1 / rho - depth) / depth * MATRIX[0, 0] < 1).mean() > 0.9
