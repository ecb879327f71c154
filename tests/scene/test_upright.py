"""Which way is up: cameras held level, turned, upside down, in a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, look_at
from anyview.scene.scene import ArrayPixels, Scene, View
from anyview.scene.upright import up_direction

UP = np.array([0.0, 0.0, 1.0])


def scene(poses: list[np.ndarray]) -> Scene:
    camera, pixels = Camera.pinhole(4, 4, 4.0, 4.0, 2.0, 2.0), ArrayPixels(np.zeros((4, 4, 3), np.float32))
    return Scene(tuple(View(f"{i}.png", camera, pose, pixels) for i, pose in enumerate(poses)))


def around(seed: int, count: int = 15, span: float = 2 * np.pi) -> list[np.ndarray]:
    """Level cameras at random azimuths and elevations."""
    rng = np.random.default_rng(seed)
    poses = []
    for azimuth, elevation in zip(rng.uniform(0, span, count), rng.uniform(-0.5, 1.3, count), strict=True):
        away = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        poses.append(look_at(np.array(away) * 4, np.zeros(3), UP))
    return poses


def rolled(pose: np.ndarray, degrees: float) -> np.ndarray:
    return pose @ compose(Rotation.from_euler("z", degrees, degrees=True).as_matrix(), np.zeros(3))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_level_cameras_tell_it_exactly_however_they_are_spread(seed: int, turn: int) -> None:
    world = compose(Rotation.random(random_state=turn).as_matrix(), np.array([3.0, 1, 2]))
    up = up_direction(scene([world @ pose for pose in around(seed, span=2.0)]))
    np.testing.assert_allclose(up, world[:3, :3] @ UP, atol=1e-7)


def test_their_mean_does_not() -> None:
    """Why rows are asked: the mean of the cameras' own ups leans where azimuths are one-sided."""
    mean = np.mean([-pose[:3, 1] for pose in around(0, span=2.0)], axis=0)
    assert mean[2] / np.linalg.norm(mean) < 0.98


@pytest.mark.parametrize("degrees", [90.0, 180.0, -90.0])
def test_a_few_turned_cameras_do_not_matter(degrees: float) -> None:
    poses = around(1)
    poses[::5] = [rolled(pose, degrees) for pose in poses[::5]]
    np.testing.assert_allclose(up_direction(scene(poses)), UP, atol=0.02)


def test_hands_that_shake() -> None:
    rng = np.random.default_rng(0)
    poses = [rolled(pose, rng.normal(0, 5)) for pose in around(2, 40)]
    assert np.degrees(np.arccos(up_direction(scene(poses)) @ UP)) < 3


def test_a_row_of_cameras_before_a_wall() -> None:
    """Rows all but parallel: noise must not choose the direction."""
    rng = np.random.default_rng(0)
    poses = []
    for i in range(12):
        turn = Rotation.from_rotvec([-np.pi / 2, 0, 0]) * Rotation.from_rotvec(rng.normal(0, 0.02, 3))
        poses.append(compose(turn.as_matrix(), np.array([i, 0.0, 0])))
    poses[3] = rolled(poses[3], 180)
    assert np.degrees(np.arccos(up_direction(scene(poses)) @ UP)) < 3


def test_one_camera() -> None:
    np.testing.assert_allclose(up_direction(scene([np.eye(4)])), [0, -1, 0])
