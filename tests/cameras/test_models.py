"""Cameras against pycolmap, and what they refuse."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from anyview.cameras.models import Camera
from anyview.errors import SceneError
from camera_models import MODELS, example


@pytest.mark.parametrize("name", MODELS)
def test_focal_lengths_and_centre_are_pycolmaps(name: str) -> None:
    camera = example(name)
    theirs = pycolmap.Camera(model=name, width=640, height=480, params=camera.params)
    assert (camera.fx, camera.fy) == (theirs.focal_length_x, theirs.focal_length_y)
    assert (camera.cx, camera.cy) == (theirs.principal_point_x, theirs.principal_point_y)
    np.testing.assert_array_equal(camera.matrix, theirs.calibration_matrix())
    assert camera.is_pinhole == (name in ("PINHOLE", "SIMPLE_PINHOLE"))
    assert camera == Camera(name, 640, 480, camera.params)
    assert hash(camera) == hash(Camera(name, 640, 480, camera.params))


@pytest.mark.parametrize("name", MODELS)
def test_resized_sees_the_same_at_scaled_pixels(name: str) -> None:
    camera = example(name)
    half = camera.resized(320, 240)
    points = np.random.default_rng(0).uniform([-0.3, -0.2, 1], [0.3, 0.2, 2], (20, 3))
    whole = camera.to_colmap().img_from_cam(points)
    np.testing.assert_allclose(half.to_colmap().img_from_cam(points), np.array(whole) / 2, atol=1e-10)  # measured 6e-14


def test_pinhole_by_hand() -> None:
    camera = Camera.pinhole(8, 6, 10.0, 12.0, 4.0, 3.0)
    assert (camera.model, camera.params) == ("PINHOLE", (10, 12, 4, 3))
    np.testing.assert_array_equal(camera.matrix, [[10, 0, 4], [0, 12, 3], [0, 0, 1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("LENSBABY", 8, 6, (1, 2)), "unknown camera model: expected one of .*OPENCV.*, found LENSBABY"),
        (("INVALID", 8, 6, (1, 2)), "unknown camera model"),
        (("EQUIRECTANGULAR", 8, 6, (8, 6)), "without a focal length.*found EQUIRECTANGULAR"),
        (("PINHOLE", 8, 6, (1, 2, 3)), "wrong number of parameters for camera model PINHOLE: expected 4, found 3"),
        (("PINHOLE", 0, 6, (1, 2, 3, 4)), "camera without pixels.*found 0x6"),
        (("PINHOLE", 8, 10**300, (1, 2, 3, 4)), "camera with too many pixels: expected .* at most 2147483647"),
        (("PINHOLE", 8, 6, (1, -2, 3, 4)), "positive focal length"),
        (("PINHOLE", 8, 6, (1, float("nan"), 3, 4)), "finite"),
    ],
)
def test_bad_cameras(arguments: tuple[str, int, int, tuple[float, ...]], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        Camera(*arguments)
