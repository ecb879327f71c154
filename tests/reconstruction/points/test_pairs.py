"""Pairs from cameras alone: near ones first, a number that grows linearly, one connected group, clear refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyview.cameras.poses import look_at
from anyview.errors import SceneError
from anyview.reconstruction.points.features import MASK_CELL, Features
from anyview.reconstruction.points.pairs import choose_pairs
from anyview.reconstruction.points.space import common_space
from anyview.scene import Scene, View
from point_scene import BOUNDS, SIZE, ring_of_views

SAMPLES = np.random.default_rng(0).uniform(BOUNDS[0], BOUNDS[1], (500, 3))
UP = np.array([0.0, 0, 1])
NOTHING = Features(np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8), np.empty((0, 3), np.uint8))


def moved(view: View, name: str, eye: list[float], target: list[float]) -> View:
    return replace(view, name=name, world_from_cam=look_at(np.array(eye, float), np.array(target, float), UP))


def test_neighbours_on_a_ring_are_chosen() -> None:
    pairs = choose_pairs(ring_of_views(36, spread=350), SAMPLES, partners=4)
    steps = np.minimum(pairs[:, 1] - pairs[:, 0], 36 - (pairs[:, 1] - pairs[:, 0]))
    assert steps.max() <= 3  # ten degrees each
    assert len(pairs) <= 4 * 36
    assert (np.bincount(pairs.ravel(), minlength=36) >= 4).all()


@pytest.mark.parametrize("count", [40, 80])
def test_number_of_pairs_is_linear_in_views(count: int) -> None:
    pairs = choose_pairs(ring_of_views(count, spread=350), SAMPLES, partners=8)
    assert 4 * count <= len(pairs) <= 8 * count


def test_exhaustive_is_all_pairs_ascending() -> None:
    pairs = choose_pairs(ring_of_views(6), SAMPLES, exhaustive=True)
    assert pairs.tolist() == [[i, j] for i in range(6) for j in range(i + 1, 6)]


def test_two_close_groups_are_joined() -> None:
    camera = ring_of_views(1)[0]

    def group(name: str, degrees: float) -> list[View]:
        angles = np.radians(degrees + 2.0 * np.arange(6))
        return [
            moved(camera, f"{name}{k}", [4 * np.cos(a), 4 * np.sin(a), 1.0], [0, 0, 0]) for k, a in enumerate(angles)
        ]

    pairs = choose_pairs(group("a", 0) + group("b", 45), SAMPLES, partners=2)
    assert ((pairs[:, 0] < 6) & (pairs[:, 1] >= 6)).any()


def test_a_view_is_not_paired_with_one_that_looks_away_or_from_the_other_side() -> None:
    camera = ring_of_views(1)[0]
    views = [
        moved(camera, "front", [4, 0, 0], [0, 0, 0]),
        moved(camera, "beside", [4, 1, 0], [0, 0, 0]),
        moved(camera, "behind", [-4, 0, 0.2], [0, 0, 0]),
        moved(camera, "away", [4, 0.5, 0], [8, 0, 0]),
    ]
    assert choose_pairs(views, SAMPLES).tolist() == [[0, 1]]


def test_views_that_share_nothing_are_refused() -> None:
    camera = ring_of_views(1)[0]
    views = [moved(camera, "a", [4, 0, 0], [8, 0, 0]), moved(camera, "b", [-4, 0, 0], [-8, 0, 0])]
    with pytest.raises(SceneError, match="no two views share anything"):
        choose_pairs(views, SAMPLES)
    with pytest.raises(SceneError, match="single view"):
        choose_pairs(views[:1], SAMPLES)


def test_space_around_an_object_is_what_the_masks_leave() -> None:
    views = ring_of_views(24, spread=345)
    cells = SIZE // MASK_CELL
    masked = []
    for view in views:  # a ball of radius 0.5 at the origin
        y, x = (np.mgrid[:cells, :cells] + 0.5) * MASK_CELL - SIZE / 2
        reach = view.camera.fx * np.tan(np.arcsin(0.5 / np.linalg.norm(view.center)))
        masked.append(replace(NOTHING, inside=np.hypot(x, y) < reach))
    space = common_space(Scene(views), masked)
    for (near, far), view in zip(space.depths, views, strict=True):
        distance = np.linalg.norm(view.center)
        assert distance - 1.6 < near < distance - 0.5
        assert distance + 0.5 < far < distance + 1.6
    open_space = common_space(Scene(views), [NOTHING] * len(views))
    assert (open_space.depths[:, 1] > space.depths[:, 1]).all()
    bounded = common_space(Scene(views, bounds=BOUNDS), masked)
    corner = max(np.linalg.norm(c) for c in (BOUNDS[0], BOUNDS[1]))
    assert (bounded.depths[:, 1] < np.linalg.norm([v.center for v in views], axis=1) + corner).all()


def test_space_of_parallel_cameras_comes_from_their_baselines() -> None:
    camera = ring_of_views(1)[0]
    views = tuple(moved(camera, f"{k}", [0.1 * k, -4, 0], [0.1 * k, 0, 0]) for k in range(6))
    space = common_space(Scene(views), [NOTHING] * 6)
    assert (space.depths[:, 0] < 1).all()
    assert (space.depths[:, 1] > 30).all()
    assert len(choose_pairs(views, space.samples)) >= 5
    with pytest.raises(SceneError, match="no baseline"):
        common_space(Scene((views[0], replace(views[0], name="copy"))), [NOTHING] * 2)
