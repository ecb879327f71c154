"""Numbers about cameras whose arrangement is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, look_at
from anyview.scene.scene import ArrayPixels, Scene, View
from anyview.scene.statistics import describe
from anyview.typing import Pose

CAMERA = Camera.pinhole(100, 80, 100.0, 100.0, 50.0, 40.0)
UP = np.array([0.0, 0.0, 1.0])


def scene(poses: list[Pose], camera: Camera = CAMERA) -> Scene:
    pixels = ArrayPixels(np.zeros((camera.height, camera.width, 3), np.float32))
    return Scene(tuple(View(f"{i}.png", camera, pose, pixels) for i, pose in enumerate(poses)))


def test_a_ring() -> None:
    count, radius = 12, 5.0
    turns = 2 * np.pi * np.arange(count) / count
    found = describe(scene([look_at(radius * np.array([np.cos(t), np.sin(t), 0]), np.zeros(3), UP) for t in turns]))
    assert found.views == {"train": count}
    assert found.cameras == {"PINHOLE 100x80, focal length 100.0": count}
    assert found.baseline == pytest.approx([2 * radius * np.sin(np.pi / count)] * 3)
    assert found.distance == pytest.approx([radius] * 3)
    assert found.angle == pytest.approx([360 / count] * 3)
    assert found.overlap[0] > 0.7
    assert found.lonely == ()


def test_a_street_of_parallel_cameras() -> None:
    """At depth 10 baselines an image is as wide as 10 baselines: neighbours share 9/10, and so on down."""
    found = describe(scene([compose(np.eye(3), np.array([float(i), 0, 0])) for i in range(20)]))
    assert found.baseline == pytest.approx([1, 1, 1])
    assert found.distance == pytest.approx([10, 10, 10])
    assert found.angle == pytest.approx([np.degrees(np.arctan(0.1))] * 3)
    assert found.overlap == pytest.approx([8 / 9] * 3)  # of 9 columns of samples, the outermost is lost
    assert found.partners == (7, 11.5, 14)


def test_a_view_that_looks_away_is_lonely() -> None:
    poses = [look_at(np.array([5 * np.cos(t), 5 * np.sin(t), 0]), np.zeros(3), UP) for t in (0, 0.2, 0.4, 0.6)]
    poses.append(look_at(np.array([100.0, 0, 0]), np.array([200.0, 0, 50]), UP))
    assert describe(scene(poses)).lonely == ("4.png",)


def test_a_single_view() -> None:
    found = describe(scene([np.eye(4)]))
    assert found.baseline == (0, 0, 0)
    assert found.overlap == (0, 0, 0)
    assert found.lonely == ("0.png",)


def test_known_points_tell_the_depth() -> None:
    """A street at depth 10 by rule, but the points lie at 4: neighbours share 3/4 of an image that is 4 wide."""
    street = scene([compose(np.eye(3), np.array([float(i), 0, 0])) for i in range(20)])
    wall = np.stack([*np.meshgrid(np.linspace(-3, 23, 200), np.linspace(-2, 2, 10)), np.full((10, 200), 4.0)], -1)
    found = describe(replace(street, points=wall.reshape(-1, 3)))
    assert found.distance == pytest.approx([4, 4, 4])
    assert found.overlap == pytest.approx([7 / 9] * 3)  # of 9 columns of samples, two are lost
    few = describe(replace(street, points=wall.reshape(-1, 3)[:5]))
    assert few.distance == pytest.approx([10, 10, 10])
