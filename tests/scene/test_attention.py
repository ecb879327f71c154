"""The point that cameras look at, against a general solver and in arrangements that have none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, look_at
from anyview.scene.attention import converging_axes
from anyview.scene.scene import ArrayPixels, Scene, View

UP = np.array([0.0, 0.0, 1.0])


def scene(poses: list[np.ndarray]) -> Scene:
    camera, pixels = Camera.pinhole(4, 4, 4.0, 4.0, 2.0, 2.0), ArrayPixels(np.zeros((4, 4, 3), np.float32))
    return Scene(tuple(View(f"{i}.png", camera, pose, pixels) for i, pose in enumerate(poses)))


def around(target: np.ndarray, aim: float, seed: int) -> Scene:
    """Ten cameras 4 to 6 from the target, each of which misses it by up to `aim`."""
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(10):
        away = rng.normal(size=3)
        away = away / np.linalg.norm(away) * rng.uniform(4, 6)
        poses.append(look_at(target + away, target + rng.uniform(-aim, aim, 3), UP))
    return scene(poses)


@given(st.tuples(*[st.floats(-50, 50)] * 3).map(np.array), st.integers(0, 1000))
def test_cameras_aimed_at_a_point_find_it(target: np.ndarray, seed: int) -> None:
    point, converging = converging_axes(around(target, 0.0, seed))
    assert converging
    np.testing.assert_allclose(point, target, atol=1e-10)  # measured 3e-13


@given(st.integers(0, 1000))
def test_the_point_is_the_nearest_to_all_axes(seed: int) -> None:
    views = around(np.array([1.0, 2, 3]), 0.3, seed)
    point, converging = converging_axes(views)
    assert converging

    def misses(p: np.ndarray) -> np.ndarray:
        return np.concatenate([np.cross(p - v.center, v.world_from_cam[:3, 2]) for v in views])

    found = least_squares(misses, np.zeros(3), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    np.testing.assert_allclose(point, found, atol=1e-7)  # measured 6e-9


def test_arrangements_without_a_point() -> None:
    street = scene([compose(np.eye(3), np.array([float(i), 0, 0])) for i in range(8)])
    assert not converging_axes(street)[1]
    outwards = [
        look_at(np.array([np.cos(t), np.sin(t), 0]), 2 * np.array([np.cos(t), np.sin(t), 0]), UP) for t in range(6)
    ]
    assert not converging_axes(scene(outwards))[1]
    assert not converging_axes(scene([np.eye(4)]))[1]
    astray = around(np.zeros(3), 4.0, 0)
    assert not converging_axes(astray)[1]
