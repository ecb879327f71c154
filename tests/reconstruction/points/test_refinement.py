"""Bundle adjustment: disturbed poses come back, and the world's frame stays where it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anyview.cameras.poses import compose, rotation_from_quaternion
from anyview.reconstruction.points.matching import MatchRules, match_pairs
from anyview.reconstruction.points.refinement import PoseChange, refine_poses
from anyview.reconstruction.points.triangulation import triangulate
from anyview.reconstruction.sparse import build_model
from anyview.scene import View
from point_scene import PointScene, depths_of, make_points


def disturbed(views: tuple[View, ...], turn: float, shift: float) -> list[View]:
    """Every pose turned by about `turn` radians and shifted by about `shift`, about each axis."""
    rng = np.random.default_rng(0)
    out = []
    for view in views:
        rotation = rotation_from_quaternion(np.array([1, *rng.normal(0, turn / 2, 3)]))
        pose = compose(rotation @ view.world_from_cam[:3, :3], view.center + rng.normal(0, shift, 3))
        out.append(replace(view, world_from_cam=pose))
    return out


def refine(made: PointScene, views: list[View]) -> tuple[list[View], PoseChange]:
    pairs = np.argwhere(np.triu(np.ones((len(views), len(views)), bool), 1))
    matches = match_pairs(views, made.features, pairs, depths_of(made.scene), MatchRules(band=4))
    tracks = triangulate(views, made.features, pairs, matches, max_error=4)
    return refine_poses(views, build_model(views, made.features, tracks))


def relative_turn(made: PointScene, views: list[View]) -> float:
    """Mean error of the rotation between neighbours, degrees: free of the world's frame."""
    errors = []
    for k in range(len(views) - 1):
        want, got = (v[k].cam_from_world[:3, :3] @ v[k + 1].world_from_cam[:3, :3] for v in (made.scene.views, views))
        errors.append(np.degrees(np.linalg.norm(got - want) / np.sqrt(2)))
    return float(np.mean(errors))


def test_disturbed_poses_come_back() -> None:
    made = make_points(count=500, views=8, noise=0.2, clutter=50)
    before = disturbed(made.scene.views, turn=0.003, shift=0.01)
    after, change = refine(made, before)
    assert relative_turn(made, before) > 0.3
    assert relative_turn(made, after) < 0.05  # measured 0.017, from 0.385
    assert 0 < change.moved_mean <= change.moved_max < 0.1
    assert 0 < change.turned_mean <= change.turned_max < 1
    np.testing.assert_allclose(
        np.mean([v.center for v in after], axis=0), np.mean([v.center for v in before], axis=0), atol=1e-9
    )
    again, _ = refine(made, before)
    for one, other in zip(after, again, strict=True):
        np.testing.assert_array_equal(one.world_from_cam, other.world_from_cam)


def test_right_poses_hardly_move() -> None:
    made = make_points(count=500, views=8, noise=0.2, clutter=50)
    _, change = refine(made, list(made.scene.views))
    assert change.turned_max < 0.05  # measured 0.018
    assert change.moved_max < 0.004  # measured 0.0014
