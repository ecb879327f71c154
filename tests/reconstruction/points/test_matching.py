"""Epipolar matching against a plain numpy twin, closed-form geometry, and known correspondences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyview.reconstruction.points.features import Features
from anyview.reconstruction.points.matching import (
    WIDEST,
    MatchRules,
    PairGeometry,
    bucket,
    depth_at,
    depth_interval,
    match_buckets,
    match_pairs,
    pair_geometry,
)
from point_scene import depths_of, make_points, ring_of_views


def twin(first: Features, second: Features, g: PairGeometry, rules: MatchRules) -> np.ndarray:
    """All keypoints against all, in plain arrays: which pairs may match, then mutual best and ratio."""
    p, q = (f.keypoints[:, :2].astype(np.float64) for f in (first, second))
    s, t = (f.keypoints[:, 2].astype(np.float64) for f in (first, second))
    p1, q1 = (np.column_stack([n, np.ones(len(n))]) for n in (p, q))
    line2, line1 = p1 @ g.fundamental.T, q1 @ g.fundamental
    residual = np.abs(p1 @ g.fundamental.T @ q1.T)
    wide = [np.minimum(rules.band + rules.band_per_scale * n, WIDEST * rules.band) for n in (s, t)]
    able = residual <= np.linalg.norm(line2[:, :2], axis=1)[:, None] * wide[1]
    able &= residual <= np.linalg.norm(line1[:, :2], axis=1) * wide[0][:, None]
    for i in range(len(p)):
        ax = g.a @ p1[i]
        near, far = depth_interval(ax, g.b, g.depths)
        if near > far:
            able[i] = False
            continue
        axis = 0 if abs(line2[i, 1]) >= abs(line2[i, 0]) else 1
        start, end = ((ax[axis] * z + g.b[axis]) / (ax[2] * z + g.b[2]) for z in (near, far))
        able[i] &= (q[:, axis] >= min(start, end) - wide[1]) & (q[:, axis] <= max(start, end) + wide[1])
        for j in np.flatnonzero(able[i]):
            z = depth_at(q[j, axis], ax, g.b, axis, near, far, start, end)
            change = t[j] * (ax[2] * z + g.b[2]) / (s[i] * g.zoom * z)
            able[i, j] = 1 / rules.max_scale_change <= change <= rules.max_scale_change
    distance = ((first.descriptors[:, None].astype(np.int64) - second.descriptors[None]) ** 2).sum(2)
    distance = np.where(able, distance, np.iinfo(np.int32).max)
    best1, best2 = distance.argmin(1), distance.argmin(0)
    matches = []
    for i, j in enumerate(best1):
        d = distance[i, j]
        if not able[i, j] or best2[j] != i or d > (rules.max_distance * 512) ** 2:
            continue
        elsewhere2 = np.linalg.norm(q - q[j], axis=1) > rules.apart * t[j]
        elsewhere1 = np.linalg.norm(p - p[i], axis=1) > rules.apart * s[i]
        rivals = np.concatenate([distance[i, elsewhere2], distance[elsewhere1, j]])
        if d < rules.ratio**2 * rivals.min():
            matches.append((i, j))
    return np.array(matches, np.int32).reshape(-1, 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rules", [MatchRules(), MatchRules(band=4, ratio=0.95, max_scale_change=3, apart=8)])
def test_kernel_equals_its_twin(seed: int, rules: MatchRules) -> None:
    made = make_points(count=250, views=5, noise=0.6, clutter=100, seed=seed, dim=120)
    depths = depths_of(made.scene)
    for i, j in ((0, 1), (3, 1), (0, 4)):
        g = pair_geometry(made.scene.views[i], made.scene.views[j], (*depths[i], *depths[j]))
        fast = match_buckets(bucket(made.features[i]), bucket(made.features[j]), g, rules.as_array())
        assert len(fast) > 50
        np.testing.assert_array_equal(fast, twin(made.features[i], made.features[j], g, rules))


def test_finds_the_known_matches_and_hardly_any_other() -> None:
    made = make_points(count=600, views=6, noise=0.3, clutter=300)
    pairs = np.array([[0, 1], [2, 3], [1, 4]])
    found = match_pairs(made.scene.views, made.features, pairs, depths_of(made.scene), MatchRules())
    for (i, j), matches in zip(pairs, found, strict=True):
        one, other = made.point_of[i][matches[:, 0]], made.point_of[j][matches[:, 1]]
        common = len(np.intersect1d(made.point_of[i], made.point_of[j])) - 1
        right = (one == other) & (one >= 0)
        assert right.sum() >= 0.9 * common  # measured: 0.998
        assert (~right).sum() <= 0.01 * len(matches)  # measured: 0


def test_order_of_keypoints_does_not_matter() -> None:
    made = make_points(views=2)
    depths, pairs = depths_of(made.scene), np.array([[0, 1]])
    (before,) = match_pairs(made.scene.views, made.features, pairs, depths, MatchRules())
    shuffled, where = [], []
    for k, f in enumerate(made.features):
        order = np.random.default_rng(k).permutation(len(f))
        shuffled.append(Features(f.keypoints[order], f.descriptors[order], f.colors[order]))
        where.append(order)
    (after,) = match_pairs(made.scene.views, shuffled, pairs, depths, MatchRules())
    translated = np.column_stack([where[0][after[:, 0]], where[1][after[:, 1]]])
    assert {tuple(m) for m in before.tolist()} == {tuple(m) for m in translated.tolist()}


def test_a_twin_place_elsewhere_spoils_the_match_but_a_second_direction_does_not() -> None:
    made = make_points(count=1, views=2, noise=0, clutter=0, dim=0, seed=3)
    depths, pairs = depths_of(made.scene), np.array([[0, 1]])
    first, second = made.features
    assert len(first) == len(second) == 1
    line = pair_geometry(*made.scene.views, (1.0, 9.0, 1.0, 9.0)).fundamental @ [*first.keypoints[0, :2], 1]
    along = np.array([-line[1], line[0]]) / np.hypot(line[0], line[1])

    def matches(shift: float, turn: float) -> int:
        copy = second.keypoints.copy()
        copy[0, :2] += shift * along
        copy[0, 3] += turn
        both = Features(
            np.concatenate([second.keypoints, copy]), second.descriptors.repeat(2, 0), second.colors.repeat(2, 0)
        )
        return len(match_pairs(made.scene.views, [first, both], pairs, depths, MatchRules(max_scale_change=3))[0])

    assert matches(0.0, 1.0) == 1
    assert matches(30.0, 0.0) == 0


@given(st.floats(1.0, 9.0), st.floats(20, 380), st.floats(20, 380))
@settings(max_examples=60, deadline=None)
def test_geometry_of_a_pair_agrees_with_projection(z: float, x: float, y: float) -> None:
    first, second = ring_of_views(5)[1:4:2]
    g = pair_geometry(first, second, (1.0, 9.0, 1.0, 9.0))
    world = first.world_from_cam @ [*(np.linalg.inv(first.camera.matrix) @ [x, y, 1] * z), 1]
    seen = second.camera.matrix @ (second.cam_from_world @ world)[:3]
    np.testing.assert_allclose(g.a @ [x, y, 1] * z + g.b, seen, atol=1e-9)
    if seen[2] > 0.5:
        u, v = seen[:2] / seen[2]
        line = g.fundamental @ [x, y, 1]
        assert abs(line @ [u, v, 1]) / np.hypot(line[0], line[1]) < 1e-8
        near, far = depth_interval(g.a @ [x, y, 1], g.b, g.depths)
        if near < z < far:
            start, end = (((g.a @ [x, y, 1]) * d + g.b) for d in (near, far))
            back = depth_at(u, g.a @ [x, y, 1], g.b, 0, near, far, start[0] / start[2], end[0] / end[2])
            assert back == pytest.approx(z, rel=1e-6)


def test_matches_outside_the_depth_range_are_not_found() -> None:
    made = make_points(views=2, clutter=0)
    pairs, behind = np.array([[0, 1]]), np.array([[9.0, 12.0], [9.0, 12.0]])
    assert len(match_pairs(made.scene.views, made.features, pairs, behind, MatchRules())[0]) == 0


def test_a_view_without_keypoints_matches_nothing() -> None:
    made = make_points(views=2)
    empty = Features(np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8), np.empty((0, 3), np.uint8))
    for features in ([empty, made.features[1]], [made.features[0], empty], [empty, empty]):
        (found,) = match_pairs(made.scene.views, features, np.array([[0, 1]]), depths_of(made.scene), MatchRules())
        assert found.shape == (0, 2)
