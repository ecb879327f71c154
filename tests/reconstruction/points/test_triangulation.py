"""Tracks and points: the error of recovered points is known, wrong matches must not spoil them."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from anyview.reconstruction.points.features import MASK_CELL, Features
from anyview.reconstruction.points.matching import MatchRules, match_pairs
from anyview.reconstruction.points.tracks import intersect, polish
from anyview.reconstruction.points.triangulation import Tracks, triangulate
from point_scene import SIZE, PointScene, depths_of, make_points


def true_matches(made: PointScene, pairs: np.ndarray, wrong: float = 0.0, seed: int = 0) -> list[np.ndarray]:
    """The known correspondences, a share of them replaced by random ones."""
    rng = np.random.default_rng(seed)
    out = []
    for i, j in pairs:
        common = np.intersect1d(made.point_of[i], made.point_of[j])
        common = common[common >= 0]
        one = np.array([np.flatnonzero(made.point_of[i] == k)[0] for k in common])
        other = np.array([np.flatnonzero(made.point_of[j] == k)[0] for k in common])
        bad = rng.random(len(common)) < wrong
        other[bad] = rng.integers(0, len(made.point_of[j]), bad.sum())
        out.append(np.column_stack([one, other]).astype(np.int32))
    return out


def all_pairs(count: int) -> np.ndarray:
    return np.argwhere(np.triu(np.ones((count, count), bool), 1))


def errors(made: PointScene, tracks: Tracks) -> np.ndarray:
    """Distance of each point from the true point that most of its keypoints show."""
    starts = np.cumsum(tracks.lengths) - tracks.lengths
    out = []
    for x, start, length in zip(tracks.xyz, starts, tracks.lengths, strict=True):
        shown = [made.point_of[tracks.views[o]][tracks.keypoints[o]] for o in range(start, start + length)]
        values, counts = np.unique(shown, return_counts=True)
        out.append(np.linalg.norm(x - made.xyz[values[counts.argmax()]]))
    return np.array(out)


def test_exact_keypoints_give_exact_points() -> None:
    made = make_points(count=100, noise=0, clutter=0)
    pairs = all_pairs(8)
    tracks = triangulate(made.scene.views, made.features, pairs, true_matches(made, pairs))
    assert len(tracks) == 100
    assert errors(made, tracks).max() < 1e-6  # measured 2.3e-7: keypoints are float32
    assert tracks.error.max() < 1e-4  # measured 1.3e-5


def test_recovered_error_is_that_of_the_noise() -> None:
    made = make_points(count=500, views=8, noise=0.4, clutter=100)
    pairs = all_pairs(8)
    matches = match_pairs(made.scene.views, made.features, pairs, depths_of(made.scene), MatchRules())
    tracks = triangulate(made.scene.views, made.features, pairs, matches)
    assert len(tracks) >= 475  # measured 500
    # 0.4 px at distance 4 and focal 450 is 0.0036 across one ray; seven rays share it
    assert np.median(errors(made, tracks)) < 0.0035  # measured 0.0026
    assert np.percentile(errors(made, tracks), 99) < 0.012  # measured 0.0072
    # mean length of a 2-D Gaussian residual, less the three parameters fitted: 0.4 * 1.2533 * sqrt(1 - 3/14)
    assert tracks.error.mean() == pytest.approx(0.444, abs=0.03)  # measured 0.452


@pytest.mark.parametrize("wrong", [0.1, 0.3])
def test_wrong_matches_do_not_spoil_tracks(wrong: float) -> None:
    made = make_points(count=300, views=8, noise=0.3, clutter=100)
    pairs = all_pairs(8)
    tracks = triangulate(made.scene.views, made.features, pairs, true_matches(made, pairs, wrong))
    off = errors(made, tracks)
    assert (off < 0.02).sum() >= 295  # measured 300
    assert (off > 0.05).mean() < 0.01  # measured 0
    shown = [made.point_of[v][k] for v, k in zip(tracks.views, tracks.keypoints, strict=True)]
    owner = np.repeat(np.arange(len(tracks)), tracks.lengths)
    assert len({*zip(tracks.views.tolist(), owner.tolist(), strict=True)}) == len(shown)  # no view twice in a track


def test_same_place_in_two_directions_is_one_observation() -> None:
    made = make_points(count=60, noise=0.1, clutter=0)
    doubled = [
        Features(f.keypoints.repeat(2, 0), f.descriptors.repeat(2, 0), f.colors.repeat(2, 0)) for f in made.features
    ]
    pairs = all_pairs(8)
    rng = np.random.default_rng(0)
    matches = [2 * m + rng.integers(0, 2, m.shape, np.int32) for m in true_matches(made, pairs)]
    tracks = triangulate(made.scene.views, doubled, pairs, matches)
    plain = triangulate(made.scene.views, made.features, pairs, true_matches(made, pairs))
    assert len(tracks) == len(plain)
    np.testing.assert_array_equal(tracks.xyz, plain.xyz)


def test_points_of_narrow_angle_or_two_views_are_left_out() -> None:
    made = make_points(count=80, views=3, noise=0.05, clutter=0)
    pairs = all_pairs(3)
    matches = true_matches(made, pairs)
    assert len(triangulate(made.scene.views, made.features, pairs, matches)) > 40
    assert len(triangulate(made.scene.views, made.features, pairs, matches, min_angle=170.0)) == 0
    assert len(triangulate(made.scene.views, made.features, pairs[:1], matches[:1])) == 0


def test_points_beside_the_object_are_left_out() -> None:
    made = make_points(count=200, noise=0.1, clutter=0)
    cells = SIZE // MASK_CELL
    inside = np.zeros((cells, cells), bool)
    inside[cells // 4 : 3 * cells // 4, cells // 4 : 3 * cells // 4] = True
    masked = [Features(f.keypoints, f.descriptors, f.colors, inside) for f in made.features]
    pairs = all_pairs(8)
    tracks = triangulate(made.scene.views, masked, pairs, true_matches(made, pairs))
    whole = triangulate(made.scene.views, made.features, pairs, true_matches(made, pairs))
    assert 0 < len(tracks) < len(whole)
    for view in made.scene.views:
        local = tracks.xyz @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        place = local[:, :2] / local[:, 2:] * view.camera.fx + SIZE / 2
        assert ((place > 0.2 * SIZE) & (place < 0.8 * SIZE)).all(1).mean() > 0.85


def test_nothing_matched_gives_nothing() -> None:
    made = make_points(count=10, views=3)
    tracks = triangulate(made.scene.views, made.features, np.empty((0, 2), np.int64), [])
    assert len(tracks) == 0
    assert tracks.rgb.shape == (0, 3)


def test_polished_point_agrees_with_a_plain_minimiser_and_with_colmap() -> None:
    made = make_points(count=1, views=8, noise=1.0, clutter=0, seed=4)
    views = [v for v, f in zip(made.scene.views, made.features, strict=True) if len(f)]
    places = np.concatenate([f.keypoints[:, :2] for f in made.features]).astype(np.float64)
    projections = np.stack([v.camera.matrix @ v.cam_from_world[:3] for v in views])
    centers, inverses = np.stack([v.center for v in views]), np.linalg.inv(projections[:, :, :3])
    members, point = np.arange(len(views)), np.empty(3)
    assert intersect(members, len(views), places, members, centers, inverses, point)
    linear = point.copy()
    polish(members, len(views), places, members, projections, point)

    def cost(x: np.ndarray) -> float:
        w = projections @ np.append(x, 1)
        return float(((w[:, :2] / w[:, 2:] - places) ** 2).sum())

    from scipy.optimize import minimize

    best = minimize(cost, linear, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12})
    assert cost(point) <= cost(linear)
    assert cost(point) == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_allclose(point, best.x, atol=1e-5)
    rays = np.column_stack([(places - SIZE / 2) / views[0].camera.fx, np.ones(len(places))])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    direct = np.ravel(pycolmap.triangulate_multi_view_point([v.cam_from_world[:3] for v in views], rays))
    np.testing.assert_allclose(point, direct, atol=0.01)  # COLMAP's linear estimate, half a pixel's width
