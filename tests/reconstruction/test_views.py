"""Which views are matched with which, and how far the search for depth goes, against what the geometry says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import SceneError
from anyview.formats.colmap import ColmapImage, ColmapModel, ColmapPoints
from anyview.reconstruction.views import ViewPlan, plan_views, project
from anyview.scene import ArrayPixels, Scene, View
from camera_ring import ring_scene
from point_scene import BOUNDS, depths_of, make_points, ring_of_views

CAMERA = Camera.pinhole(64, 48, 60.0, 60.0, 32.0, 24.0)
BLANK = ArrayPixels(np.zeros((48, 64, 3), np.float32))


def view(name: str, eye: tuple[float, float, float], target: tuple[float, float, float]) -> View:
    pose = look_at(np.array(eye, float), np.array(target, float), np.array([0, 0, 1.0]))
    return View(name, CAMERA, pose, BLANK)


def sparse_model(scene: Scene, xyz: np.ndarray, seen: np.ndarray) -> ColmapModel:
    """Points (N, 3), and which view sees which (V, N)."""
    images = {i + 1: ColmapImage(i + 1, 1, v.name, np.array([1.0, 0, 0, 0]), np.zeros(3)) for i, v in enumerate(scene)}
    point, image = np.nonzero(seen.T)
    n = len(xyz)
    points = ColmapPoints(
        ids=np.arange(1, n + 1, dtype=ColmapPoints.empty().ids.dtype),
        xyz=xyz,
        rgb=np.zeros((n, 3), np.uint8),
        error=np.zeros(n),
        track_lengths=seen.sum(0).astype(ColmapPoints.empty().track_lengths.dtype),
        image_ids=(image + 1).astype(ColmapPoints.empty().image_ids.dtype),
        point2d_idxs=np.zeros(len(point), ColmapPoints.empty().point2d_idxs.dtype),
    )
    return ColmapModel({}, images, points)


def by_name(plans: list[ViewPlan]) -> dict[str, ViewPlan]:
    return {plan.name: plan for plan in plans}


def test_neighbours_on_a_ring_are_the_nearest_cameras() -> None:
    scene = Scene(ring_of_views(24, spread=345.0))  # 15 degrees apart, all around
    for i, plan in enumerate(plan_views(scene, None, most=4)):
        assert plan.name == scene.views[i].name
        near = {scene.views[(i + k) % 24].name for k in (-2, -1, 1, 2)}
        assert set(plan.sources) == near
        # the best angle first; 30 degrees apart is worse than 15
        assert set(plan.sources[:2]) == {scene.views[(i + k) % 24].name for k in (-1, 1)}


def test_too_small_an_angle_is_worse_than_a_good_one() -> None:
    eyes = {"me": 0.0, "half a degree": 0.5, "ten": 10.0, "sixty": 60.0}
    circle = {n: (4 * np.cos(np.radians(a)), 4 * np.sin(np.radians(a)), 0.0) for n, a in eyes.items()}
    scene = Scene(tuple(view(n, eye, (0, 0, 0)) for n, eye in circle.items()))
    assert by_name(plan_views(scene, None, most=3))["me"].sources[0] == "ten"


def test_cameras_around_an_object_search_all_that_the_narrowest_view_shows() -> None:
    scene = ring_scene(12)
    for plan in plan_views(scene, None, most=8):
        distance = np.linalg.norm(scene[plan.name].center)
        assert plan.depth_min < distance - 1
        assert plan.depth_max > distance + 1
        assert plan.depth_min > 0.05 * distance


def test_cameras_side_by_side_search_plausible_disparities() -> None:
    scene = Scene(tuple(view(str(i), (0.2 * i, 0, 0), (0.2 * i, 1, 0)) for i in range(6)))
    for plan in plan_views(scene, None, most=4):
        baseline = min(np.linalg.norm(scene[plan.name].center - v.center) for v in scene if v.name != plan.name)
        assert CAMERA.fx * baseline / plan.depth_max <= 2  # pixels of disparity at the far end
        assert CAMERA.fx * baseline / plan.depth_min >= 0.1 * CAMERA.width


def test_the_box_of_interest_bounds_the_search() -> None:
    views = ring_of_views(8)
    scene = Scene(views, bounds=BOUNDS)
    for plan, (low, high) in zip(plan_views(scene, None, most=4), depths_of(scene), strict=True):
        assert plan.depth_min == pytest.approx(low)
        assert plan.depth_max == pytest.approx(high)


def test_sparse_points_bound_the_search() -> None:
    points = make_points(count=400, views=8)
    scene = Scene(points.scene.views)
    inside = np.stack([project(v.camera, v.cam_from_world, points.xyz)[2] for v in scene])
    for plan in plan_views(scene, sparse_model(scene, points.xyz, inside), most=4):
        v = scene[plan.name]
        z = (points.xyz @ v.cam_from_world[:3, :3].T + v.cam_from_world[:3, 3])[:, 2]
        low, high = np.quantile(z, [0.005, 0.995])
        assert 0.5 * low < plan.depth_min < low
        assert high < plan.depth_max < high + 0.5 * (high - low)


def test_a_smaller_box_of_interest_cuts_what_sparse_points_say() -> None:
    points = make_points(count=400, views=8)
    free, small = Scene(points.scene.views), Scene(points.scene.views, bounds=0.4 * BOUNDS)
    model = sparse_model(free, points.xyz, np.ones((8, 400), bool))
    wide = plan_views(free, model, most=4)
    boxes = plan_views(small, None, most=4)  # without points, the box is all there is
    for plan, whole, box in zip(plan_views(small, model, most=4), wide, boxes, strict=True):
        assert whole.depth_min < box.depth_min < box.depth_max < whole.depth_max
        assert (plan.depth_min, plan.depth_max) == (box.depth_min, box.depth_max)
    beside = Scene(points.scene.views, bounds=0.1 * BOUNDS + np.array([0, 0, 1.5 * BOUNDS[1, 2]]))  # no point in it
    assert plan_views(beside, model, most=4) == plan_views(beside, None, most=4)


def test_a_few_wild_points_do_not_widen_the_search() -> None:
    points = make_points(count=400, views=8)
    scene = Scene(points.scene.views)
    wild = np.concatenate([points.xyz, [-200 * scene.views[0].center]])  # 800 units behind the object
    seen = np.ones((8, len(wild)), bool)
    plan = plan_views(scene, sparse_model(scene, wild, seen), most=4)[0]
    assert plan.depth_max < 2 * depths_of(points.scene)[0, 1]


def test_shared_tracks_choose_the_sources() -> None:
    """Cameras stand alike; what they share decides. Against the sum over shared points, spelled out."""
    scene, rng = Scene(ring_of_views(8, spread=56.0)), np.random.default_rng(0)  # 8 degrees apart
    xyz = rng.uniform(*BOUNDS, (300, 3))
    group = rng.integers(0, 2, 300)
    seen = np.stack([(group == i % 2) & (rng.random(300) < 0.8) for i in range(8)])
    plans = plan_views(scene, sparse_model(scene, xyz, seen), most=2)
    for i, plan in enumerate(plans):
        scores = np.zeros(8)
        for j, other in enumerate(scene):
            for p in xyz[seen[i] & seen[j]] if j != i else ():
                a, b = scene.views[i].center - p, other.center - p
                angle = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
                scores[j] += np.exp(-((angle - 10) ** 2) / (2 * (5 if angle < 10 else 14) ** 2))
        # further ones share so few of these wide angles that common frusta rank them
        assert [int(s[:3]) for s in plan.sources] == np.argsort(scores)[::-1][:2].tolist()
        assert {int(s[:3]) % 2 for s in plan.sources} == {i % 2}


def test_points_of_images_that_the_scene_lacks_are_ignored() -> None:
    points = make_points(count=100, views=8)
    seen = np.ones((8, 100), bool)
    model = sparse_model(points.scene, points.xyz, seen)
    part = Scene(points.scene.views[:5])
    plans = plan_views(part, model, most=8)
    assert [plan.name for plan in plans] == [v.name for v in part]
    assert all(set(plan.sources) == {v.name for v in part} - {plan.name} for plan in plans)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("limits", [(2.0, 0.0), (0.0, 5.0), (3.0, 4.5)])
def test_a_given_range_is_taken_as_it_is(sparse: bool, limits: tuple[float, float]) -> None:
    points = make_points(count=200, views=8)
    model = sparse_model(points.scene, points.xyz, np.ones((8, 200), bool)) if sparse else None
    free = plan_views(points.scene, model, 4)
    for plan, own in zip(plan_views(points.scene, model, 4, *limits), free, strict=True):
        assert plan.depth_min == (limits[0] or own.depth_min)
        assert plan.depth_max == (limits[1] or own.depth_max)


def test_a_step_of_inverse_depth_moves_the_typical_match_by_a_pixel() -> None:
    scene = Scene(ring_of_views(24, spread=345.0))
    for plan in plan_views(scene, None, most=4):
        v, rho = scene[plan.name], 1 / np.linalg.norm(scene[plan.name].center)
        points = np.array([[0, 0, 1 / r, 1.0] for r in (rho, rho + plan.rho_step)]) @ v.world_from_cam.T
        moved = []
        for name in plan.sources:
            pixels, _, _ = project(scene[name].camera, scene[name].cam_from_world, points[:, :3])
            moved.append(np.linalg.norm(pixels[1] - pixels[0]))
        assert np.median(moved) == pytest.approx(1, abs=0.1)  # measured 0.947 to 0.999


def test_most_limits_the_sources() -> None:
    scene = ring_scene(12)
    assert {len(plan.sources) for plan in plan_views(scene, None, most=3)} == {3}


def test_scale_of_the_world_does_not_matter() -> None:
    scene = Scene(ring_of_views(12))
    poses = [v.world_from_cam.copy() for v in scene]
    for pose in poses:
        pose[:3, 3] *= 1000
    large = Scene(tuple(replace(v, world_from_cam=pose) for v, pose in zip(scene, poses, strict=True)))
    for a, b in zip(plan_views(scene, None, 4), plan_views(large, None, 4), strict=True):
        assert a.sources == b.sources
        assert b.depth_min == pytest.approx(1000 * a.depth_min)
        assert b.depth_max == pytest.approx(1000 * a.depth_max)
        assert b.rho_step == pytest.approx(a.rho_step / 1000)


def test_a_view_that_shares_nothing_is_left_out() -> None:
    scene = ring_scene(6)
    away = view("away", (0, 0, 300), (0.1, 0, 600))
    plans = plan_views(Scene((*scene.views, away), bounds=np.array([[-1.0, -1, -1], [1, 1, 1]])), None, 8)
    assert {plan.name for plan in plans} == {v.name for v in scene}
    assert all("away" not in plan.sources for plan in plans)


def test_one_view_is_too_few() -> None:
    with pytest.raises(SceneError, match="at least two"):
        plan_views(Scene(ring_scene(3).views[:1]), None, 8)


def test_views_back_to_back_share_nothing() -> None:
    scene = Scene((view("a", (1, 0, 0), (2, 0, 0)), view("b", (-1, 0, 0), (-2, 0, 0))))
    with pytest.raises(SceneError, match="share"):
        plan_views(scene, None, 8)


def test_views_in_one_place_have_no_baseline() -> None:
    scene = Scene((view("a", (0, 0, 0), (1, 0, 0)), view("b", (0, 0, 0), (1, 0.1, 0))))
    with pytest.raises(SceneError, match="baseline"):
        plan_views(scene, None, 8)
