"""Camera paths: proper rotations, even steps, what they look at, that they move with the scene, what they refuse."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, inverse, look_at
from anyview.cameras.rays import project
from anyview.errors import OptionError
from anyview.radiance.paths import CameraPath, camera_path, interpolate, orbit, spiral
from anyview.scene.scene import ArrayPixels, Scene, View

UP = np.array([0.0, 0.0, 1.0])
TARGET = np.array([1.0, 2.0, 3.0])
CAMERA = Camera.pinhole(64, 48, 60.0, 61.0, 31.0, 24.5)


def scene(poses: list[np.ndarray], split: str = "train", camera: Camera = CAMERA) -> Scene:
    pixels = ArrayPixels(np.zeros((camera.height, camera.width, 3), np.float32))
    return Scene(tuple(View(f"{split}/{i}", camera, pose, pixels, split) for i, pose in enumerate(poses)))


def ring(seed: int = 0, count: int = 12, span: float = 2 * np.pi) -> Scene:
    """Cameras around the target, unevenly, that aim a little beside it."""
    rng = np.random.default_rng(seed)
    poses = []
    for i in range(count):
        angle = span * (i + rng.uniform(-0.1, 0.1)) / count
        away = np.array([4 * np.cos(angle), 4 * np.sin(angle), rng.uniform(1, 2)]) * rng.uniform(0.9, 1.1)
        poses.append(look_at(TARGET + away, TARGET + rng.uniform(-0.1, 0.1, 3), UP))
    return scene(poses)


def wall(seed: int = 0) -> Scene:
    """Cameras that look along y, within 1 to the sides, 0.5 up and down, 0.2 to and fro."""
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(20):
        eye = TARGET + rng.uniform(-1, 1, 3) * (1, 0.2, 0.5)
        poses.append(look_at(eye, eye + np.array([0, 1, 0]) + rng.normal(0, 0.005, 3), UP))
    return scene(poses)


def moved(scene: Scene, turn: np.ndarray, scale: float, shift: np.ndarray) -> Scene:
    """The scene after p -> scale * turn @ p + shift."""
    return replace(
        scene, views=tuple(replace(v, world_from_cam=similar(v.world_from_cam, turn, scale, shift)) for v in scene)
    )


def similar(pose: np.ndarray, turn: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    return compose(turn @ pose[:3, :3], scale * turn @ pose[:3, 3] + shift)


def steps(path: CameraPath, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Shifts and turns from frame to frame."""
    poses = [pose for _, pose in path]
    pairs = list(zip(poses, poses[1:] + poses[:1], strict=True))[: None if closed else -1]
    turns = [np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)) for a, b in pairs]
    return np.array([np.linalg.norm(a[:3, 3] - b[:3, 3]) for a, b in pairs]), np.array(turns)


CASES = {
    "orbit": (ring, True),
    "spiral": (wall, True),
    "interpolate": (ring, True),
}


@pytest.mark.parametrize("kind", CASES)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_rotations_are_proper_and_steps_even(kind: str, seed: int) -> None:
    make, closed = CASES[kind]
    path = camera_path(make(seed), kind, 60)
    assert len(path) == 60
    for camera, pose in path:
        assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (64, 48, 60, 61, 31, 24.5)
        rotation = pose[:3, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0.999
        np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])
        # the way that the cameras were held
        assert -rotation[:, 1] @ UP > 0.7
    for sizes in steps(path, closed):
        assert sizes.max() < 4 * np.median(sizes)


@pytest.mark.parametrize("kind", CASES)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
@settings(max_examples=10)
def test_paths_turn_shift_and_grow_with_the_scene(kind: str, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    change = Rotation.random(random_state=seed).as_matrix(), scale, rng.normal(size=3) * 10
    before = CASES[kind][0](seed)
    after = camera_path(moved(before, *change), kind, 17)
    for (_, pose), (_, other) in zip(camera_path(before, kind, 17), after, strict=True):
        expected = similar(pose, *change)
        np.testing.assert_allclose(other[:3, :3], expected[:3, :3], atol=1e-6)
        np.testing.assert_allclose(other[:3, 3], expected[:3, 3], atol=1e-5 * scale + 1e-7)


def test_an_orbit_is_a_circle_at_the_cameras_medians() -> None:
    views = ring(3, 40)
    path = orbit(views, 36)
    offsets = np.stack([view.center for view in views]) - TARGET
    eyes = np.stack([pose[:3, 3] for _, pose in path]) - TARGET
    radii = np.hypot(eyes[:, 0], eyes[:, 1])
    np.testing.assert_allclose(radii, np.median(np.hypot(offsets[:, 0], offsets[:, 1])), atol=0.1)
    np.testing.assert_allclose(eyes[:, 2], np.median(offsets[:, 2]), atol=0.1)
    angles = np.unwrap(np.arctan2(eyes[:, 1], eyes[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 36, atol=0.02)  # counterclockwise, evenly
    assert abs(angles[0] - np.arctan2(offsets[0, 1], offsets[0, 0])) < 0.1
    for camera, pose in path:  # the look-at point lies near the image's middle, which is the principal point
        pixel = project(camera, (inverse(pose) @ [*TARGET, 1])[None, :3])[0]
        assert np.linalg.norm(pixel - (camera.cx, camera.cy)) < 2


def test_an_orbits_elevation_in_its_name() -> None:
    for (_, found), (_, wanted) in zip(camera_path(ring(), "orbit:-30", 5), orbit(ring(), 5, -30.0), strict=True):
        assert (found == wanted).all()
    with pytest.raises(OptionError, match=r"no such elevation in path: expected orbit:DEGREES, found orbit:high"):
        camera_path(ring(), "orbit:high", 5)
    with pytest.raises(OptionError, match=r"`elevation` is out of range"):
        camera_path(ring(), "orbit:nan", 5)


@pytest.mark.parametrize("elevation", [-30.0, 0.0, 60.0, 89.0])
def test_an_orbits_elevation(elevation: float) -> None:
    poses = [look_at(TARGET + 5 * np.array([np.cos(t), np.sin(t), 0]), TARGET, UP) for t in range(9)]
    for _, pose in orbit(scene(poses), 10, elevation):
        offset = pose[:3, 3] - TARGET
        assert np.linalg.norm(offset) == pytest.approx(5)
        assert np.degrees(np.arcsin(offset[2] / 5)) == pytest.approx(elevation)


def test_only_training_views_count() -> None:
    far = scene(
        [look_at(TARGET + np.array([0, 50, 9]), TARGET, UP), look_at(TARGET + np.array([60, 0, 9]), TARGET, UP)], "test"
    )
    both = Scene(ring().views + far.views)
    for kind in ("orbit", "interpolate"):
        for (_, a), (_, b) in zip(camera_path(both, kind, 8), camera_path(ring(), kind, 8), strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(orbit(far, 4)) == 4  # without training views, all


def test_a_spiral_stays_among_the_cameras_and_looks_their_way() -> None:
    views = wall()
    centers = np.stack([view.center for view in views])
    path = spiral(views, 80)
    eyes = np.stack([pose[:3, 3] for _, pose in path])
    assert (eyes > centers.min(axis=0) - 0.2).all()
    assert (eyes < centers.max(axis=0) + 0.2).all()
    np.testing.assert_allclose(
        np.ptp(eyes, axis=0), 2 * np.percentile(np.abs(centers - centers.mean(axis=0)), 90, axis=0), rtol=0.05
    )
    assert min(pose[1, 2] for _, pose in path) > 0.99


def looked_at(path: CameraPath) -> np.ndarray:
    """The point nearest to all axes."""
    eyes, axes = np.stack([p[:3, 3] for _, p in path]), np.stack([p[:3, 2] for _, p in path])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    return np.linalg.solve(across.sum(axis=0), np.einsum("vij,vj->i", across, eyes))


def test_what_a_spiral_looks_at() -> None:
    straight = scene([compose(np.eye(3), np.array([x, y, 0.0])) for x in range(3) for y in range(3)])
    points = np.array([[0, 0, 5.0], [1, 1, 7], [2, 2, 8], [0, 0, -3]])
    np.testing.assert_allclose(looked_at(spiral(replace(straight, points=points), 20)), [1, 1, 7], atol=1e-9)
    told = replace(straight, views=tuple(replace(view, near=2.0, far=6.0) for view in straight))
    np.testing.assert_allclose(looked_at(spiral(told, 20)), [1, 1, 3], atol=1e-9)  # amid 1/2 and 1/6
    reach = np.sqrt(2)  # offsets are 0 and 1; 90 % reach 1
    np.testing.assert_allclose(looked_at(spiral(straight, 20)), [1, 1, 10 * reach], atol=1e-9)
    inwards = [
        look_at(np.array([x, y, 0.0]), np.array([1, 1, 4.0]), np.array([0, -1.0, 0]))
        for x in range(3)
        for y in range(3)
    ]
    np.testing.assert_allclose(looked_at(spiral(scene(inwards), 20)), [1, 1, 4], atol=1e-9)


@pytest.mark.parametrize("span", [2 * np.pi, 4.0])
def test_a_path_between_views_meets_each_and_nothing_else(span: float) -> None:
    views = ring(5, span=span)
    path = interpolate(views, 600)
    poses = np.stack([pose for _, pose in path])
    closed = span > 6
    for view in views:
        shift = np.linalg.norm(poses[:, :3, 3] - view.center, axis=1)
        turn = np.linalg.norm(poses[:, :3, :3] - view.world_from_cam[:3, :3], axis=(1, 2))
        assert (shift + turn).min() < 0.05
        assert (shift + turn)[[0, -1]].max() < 15
    np.testing.assert_allclose(poses[0], views.views[0].world_from_cam, atol=1e-9)
    if not closed:
        np.testing.assert_allclose(poses[-1], views.views[-1].world_from_cam, atol=1e-9)
    shifts, turns = steps(path, closed)
    assert shifts.max() < 3 * np.median(shifts)
    assert turns.max() < 3 * np.median(turns)
    second = np.linalg.norm(np.diff(poses[:, :3, 3], n=2, axis=0), axis=1)
    assert second.max() < 0.2 * np.median(shifts)  # no corners
    radii = np.linalg.norm(poses[:, :2, 3] - TARGET[:2], axis=1)
    assert radii.min() > 3
    assert radii.max() < 5


def test_views_that_repeat_do_not_stop_a_path() -> None:
    """Each pose four times, as in a multi-scale scene; the first once more at the end."""
    once = [view.world_from_cam for view in ring()]
    often = [pose for pose in once for _ in range(4)] + once[:1]
    for (_, a), (_, b) in zip(interpolate(scene(often), 30), interpolate(scene(once), 30), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_two_views_and_views_that_turn_far() -> None:
    a, b = (
        compose(np.eye(3), np.zeros(3)),
        compose(Rotation.from_rotvec([0, 1.0, 0]).as_matrix(), np.array([2.0, 0, 0])),
    )
    (_, first), (_, middle), (_, last) = interpolate(scene([a, b]), 3)
    np.testing.assert_allclose(first, a, atol=1e-12)
    np.testing.assert_allclose(last, b, atol=1e-12)
    np.testing.assert_allclose(
        middle, compose(Rotation.from_rotvec([0, 0.5, 0]).as_matrix(), np.array([1.0, 0, 0])), atol=1e-9
    )
    rng = np.random.default_rng(0)
    wild = [compose(Rotation.random(random_state=i).as_matrix(), rng.normal(size=3)) for i in range(8)]
    path = interpolate(scene(wild), 300)
    for shifts in steps(path, False):
        assert shifts.max() < 5 * np.median(shifts)


def test_a_panorama_from_a_tripod() -> None:
    poses = [compose(Rotation.from_rotvec([0, 0.3 * i, 0]).as_matrix(), TARGET) for i in range(5)]
    path = interpolate(scene(poses), 13)
    turns = steps(path, False)[1]
    np.testing.assert_allclose(turns, 0.1, atol=1e-6)
    np.testing.assert_allclose([pose[:3, 3] for _, pose in path], np.tile(TARGET, (13, 1)), atol=1e-12)


@pytest.mark.parametrize("kind", CASES)
def test_sizes_keep_the_horizontal_field_of_view(kind: str) -> None:
    camera = camera_path(CASES[kind][0](), kind, 2, (128, 72))[0][0]
    assert (camera.model, camera.width, camera.height) == ("PINHOLE", 128, 72)
    assert (camera.fx, camera.fy) == (120, 122)
    assert (camera.cx, camera.cy) == (62, 37)  # as far from the middle as before, doubled


def test_a_films_camera_is_a_pinhole() -> None:
    lens = Camera("OPENCV", 64, 48, (60.0, 61.0, 31.0, 24.5, 0.1, 0.0, 0.0, 0.0))
    poses = [view.world_from_cam for view in ring()]
    assert orbit(scene(poses, camera=lens), 3)[0][0] == CAMERA


@pytest.mark.parametrize(
    ("make", "kind", "frames", "message"),
    [
        (
            ring,
            "figure8",
            9,
            r"unknown camera path: expected orbit, spiral, interpolate or a file \*\.json, found figure8",
        ),
        (ring, "orbit", 1, "too few frames: expected 2 or more, found 1"),
        (ring, "spiral", 9, "do not look the same way; choose the path orbit or interpolate"),
        (wall, "orbit", 9, "do not look at one point; choose the path spiral or interpolate"),
        (lambda: scene([np.eye(4)]), "orbit", 9, "do not look at one point"),
        (lambda: scene([np.eye(4)]), "spiral", 9, "stand in one place"),
        (lambda: scene([np.eye(4)]), "interpolate", 9, "nothing to interpolate: expected two or more poses.*found 1"),
        (lambda: scene([np.eye(4)] * 3), "interpolate", 9, "found 1"),
    ],
)
def test_what_is_refused(make: object, kind: str, frames: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        camera_path(make(), kind, frames)  # type: ignore[operator]


def test_options_out_of_range() -> None:
    with pytest.raises(
        OptionError, match=r"`elevation` is out of range: expected between -90 and 90 degrees, found 90"
    ):
        orbit(ring(), 9, 90.0)
    with pytest.raises(OptionError, match=r"frames without pixels.*found 0x9"):
        orbit(ring(), 9, size=(0, 9))
    with pytest.raises(OptionError, match=r"frames are too large: expected at most 16384 pixels a side, found 9x16385"):
        orbit(ring(), 9, size=(9, 16385))
    with pytest.raises(OptionError, match="frames are too large"):
        orbit(ring(), 9, size=(10**400, 10**400))
    with pytest.raises(OptionError, match="too many frames: expected at most 99999"):
        orbit(ring(), 10**30)
    assert list(inspect.signature(camera_path).parameters) == ["scene", "kind", "frames", "size", "elevation"]
