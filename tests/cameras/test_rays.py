"""Projection and its inverse against pycolmap, for every model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, inverse
from anyview.cameras.rays import pixel_centers, project, rays, unproject
from camera_models import MODELS, example

POINTS = np.random.default_rng(0).uniform([-0.5, -0.4, 0.8], [0.5, 0.4, 3], (200, 3))


@pytest.mark.parametrize("name", MODELS)
def test_projection_is_pycolmaps(name: str) -> None:
    camera = example(name)
    theirs = np.array([camera.to_colmap().img_from_cam(point) for point in POINTS])
    np.testing.assert_allclose(project(camera, POINTS), theirs, atol=1e-10)  # measured 1.1e-13


@pytest.mark.parametrize("name", MODELS)
def test_rays_go_through_what_is_seen_at_their_pixels(name: str) -> None:
    camera = example(name)
    directions = unproject(camera, project(camera, POINTS))
    np.testing.assert_allclose(directions * POINTS[:, 2:], POINTS, atol=1e-10)  # measured 5e-12


@pytest.mark.parametrize("name", ["PINHOLE", "OPENCV"])
def test_world_rays_meet_the_point_at_its_depth(name: str) -> None:
    camera = example(name)
    pose = compose(Rotation.from_rotvec([0.4, 1.2, -0.3]).as_matrix(), np.array([3.0, -1, 2]))
    local = POINTS @ pose[:3, :3].T + pose[:3, 3]
    origin, directions = rays(camera, pose, project(camera, POINTS))
    np.testing.assert_allclose(origin + POINTS[:, 2:] * directions, local, atol=1e-10)  # measured 3e-12
    np.testing.assert_allclose(local @ inverse(pose)[:3, :3].T + inverse(pose)[:3, 3], POINTS, atol=1e-13)


def test_behind_and_beyond_are_nan() -> None:
    for camera in (example("PINHOLE"), example("OPENCV")):
        assert np.isnan(project(camera, np.array([[0.1, 0.1, -1.0], [0, 0, 0]]))).all()
    wide = Camera("OPENCV_FISHEYE", 640, 480, (200, 200, 320, 240, 0, 0, 0, 0))
    directions = unproject(wide, np.array([[320.0, 240], [0, 240], [0, 0]]))
    np.testing.assert_allclose(directions[0], [0, 0, 1], atol=1e-12)
    assert np.isnan(directions[1:, :2]).all()  # 1.6 rad and more from the axis: sideways


def test_the_first_centre_is_at_a_half() -> None:
    centers = pixel_centers(3, 2)
    np.testing.assert_array_equal(centers[:4], [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5]])
    middle = unproject(Camera.pinhole(3, 2, 10.0, 10.0, 1.5, 1.0), np.array([[1.5, 1.0]]))
    np.testing.assert_array_equal(middle, [[0, 0, 1]])
