"""Undistortion of every model: the picture of known things, seen through the lens, becomes a pinhole's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from anyview import View
from anyview.cameras.models import Camera
from anyview.cameras.rays import pixel_centers, project, unproject
from anyview.errors import SceneError
from anyview.formats.images import read_image, write_image
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import ArrayPixels
from anyview.scene.undistort import undistort_view, undistorted_camera, warp
from camera_models import MODELS

DISTORTED = [name for name in MODELS if "PINHOLE" not in name]
STRENGTH = {"FOV": [0.6], "EUCM": [0.6, 1.1], "DIVISION": [-0.15], "SIMPLE_DIVISION": [-0.15]}


def lens(name: str) -> Camera:
    """A lens that bends lines by several pixels: barrel distortion, unequal focal lengths where the model has them."""
    theirs = pycolmap.Camera.create_from_model_name(1, name, 120.0, 160, 120)
    params = np.array(theirs.params)
    params[theirs.focal_length_idxs()] += np.arange(len(theirs.focal_length_idxs()))
    params[theirs.principal_point_idxs()] += (3.0, -2.0)
    extra = theirs.extra_params_idxs()
    params[extra] = STRENGTH.get(name, [-0.12, 0.03, 0.004, -0.006] + [0.002] * 12)[: len(extra)]
    return Camera(name, 160, 120, tuple(params))


def world(rays: np.ndarray) -> np.ndarray:
    """A smooth colour for every direction, so that interpolation costs little."""
    x, y = rays[:, 0], rays[:, 1]
    return np.stack([0.5 + 0.4 * np.sin(6 * x), 0.5 + 0.4 * np.cos(5 * y), 0.5 + 0.3 * np.sin(4 * (x + y))], 1)


def photograph(camera: Camera) -> np.ndarray:
    """What the camera sees of `world`; its rays come point by point from pycolmap."""
    theirs = camera.to_colmap()
    rays = np.array([theirs.cam_from_img(pixel) for pixel in pixel_centers(camera.width, camera.height)])
    return world(rays).reshape(camera.height, camera.width, 3).astype(np.float32)


@pytest.mark.parametrize("name", DISTORTED)
def test_what_was_bent_is_straight(name: str) -> None:
    camera = lens(name)
    corner = unproject(camera, np.array([[1.0, 1.0]]))
    assert np.abs(corner[0, :2] * (camera.fx, camera.fy) + (camera.cx, camera.cy) - 1).max() > 2  # pixels: it is bent
    target = undistorted_camera(camera)
    assert target.model == "PINHOLE"
    rgb, mask = warp(photograph(camera), None, camera, target)
    expected = world(unproject(target, pixel_centers(target.width, target.height)))
    seen = np.ones(len(expected), bool) if mask is None else mask.ravel()
    assert seen.mean() > 0.99  # COLMAP's new camera leaves no blank border
    error = np.abs(rgb.reshape(-1, 3) - expected)[seen]
    assert error.max() < 1.5e-3  # bilinear; measured 7e-4, where half a pixel of shift gives 1e-2
    assert np.median(error) < 1e-4  # measured 6e-5


@pytest.mark.parametrize("name", ["OPENCV", "OPENCV_FISHEYE"])
def test_the_same_as_pycolmaps_own_warp(name: str) -> None:
    camera = lens(name)
    pixels = np.rint(photograph(camera) * 255).astype(np.uint8)
    bitmap, made = pycolmap.undistort_image(
        pycolmap.UndistortCameraOptions(), pycolmap.Bitmap.from_array(pixels), camera.to_colmap()
    )
    target = undistorted_camera(camera)
    assert (made.width, made.height, *made.params) == (target.width, target.height, *target.params)
    ours, _ = warp((pixels / np.float32(255)).astype(np.float32), None, camera, target)
    difference = np.abs(ours * 255 - np.asarray(bitmap.to_array()))
    assert difference.max() < 0.51  # theirs is rounded to bytes; measured 0.5


def view_of(camera: Camera, rgb: np.ndarray, mask: np.ndarray | None = None, name: str = "a/b.jpg") -> View:
    return View(name, camera, np.eye(4), ArrayPixels(rgb, mask), "val")


def test_masks_stay_masks_and_do_not_bleed(tmp_path: Path) -> None:
    """A red disc on blue rubbish: no blue comes in, and the disc keeps its place."""
    camera = lens("OPENCV")
    rays = unproject(camera, pixel_centers(160, 120))
    disc = (np.hypot(rays[:, 0], rays[:, 1]) < 0.3).reshape(120, 160)
    rgb = np.where(disc[..., None], [1.0, 0, 0], [0, 0, 1.0]).astype(np.float32)
    view = undistort_view(view_of(camera, rgb, disc), tmp_path)
    assert view.path == tmp_path / "a" / "b.jpg.png"
    assert (view.name, view.split, view.camera.model) == ("a/b.jpg", "val", "PINHOLE")
    image, mask = view.read()
    assert mask is not None
    expected = unproject(view.camera, pixel_centers(view.camera.width, view.camera.height))
    radius = np.hypot(expected[:, 0], expected[:, 1]).reshape(mask.shape)
    wrong = mask != (radius < 0.3)
    assert np.abs(radius[wrong] - 0.3).max() * view.camera.fx < 1.0  # nearest pixel: only on the rim; measured 0.4
    np.testing.assert_array_equal(image[mask], np.broadcast_to([1, 0, 0], (mask.sum(), 3)))


def test_what_lies_outside_is_masked_out() -> None:
    camera = lens("OPENCV")
    wide = Camera.pinhole(400, 300, 100.0, 100.0, 200.0, 150.0)
    rgb, mask = warp(photograph(camera), None, camera, wide)
    assert mask is not None
    at = project(camera, unproject(wide, pixel_centers(400, 300)))
    outside = ((at < 0) | (at > (160, 120))).any(axis=1).reshape(300, 400)
    np.testing.assert_array_equal(mask, ~outside)
    assert not rgb[~mask].any()


def test_a_lens_without_distortion_keeps_its_file(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).random((120, 160, 3)).astype(np.float32)
    write_image(tmp_path / "a.png", rgb)
    camera = Camera("OPENCV", 160, 120, (120, 121, 80, 60, 0, 0, 0, 0))
    view = View("a.png", camera, np.eye(4), FilePixels(tmp_path / "a.png"), path=tmp_path / "a.png")
    straight = undistort_view(view, tmp_path / "out")
    assert straight.camera == Camera.pinhole(160, 120, 120, 121, 80, 60)
    assert straight.path == view.path
    assert not (tmp_path / "out").exists()


def test_a_fisheye_without_coefficients_is_still_bent() -> None:
    camera = Camera("OPENCV_FISHEYE", 160, 120, (120, 120, 80, 60, 0, 0, 0, 0))
    assert undistorted_camera(camera).params != camera.params[:4]


def test_pixels_in_memory_become_a_file_unchanged(tmp_path: Path) -> None:
    rgb = (np.random.default_rng(0).integers(0, 256, (120, 160, 3)) / 255).astype(np.float32)
    view = undistort_view(view_of(Camera.pinhole(160, 120, 120, 120, 80, 60), rgb, name="a.png"), tmp_path)
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0], rgb, atol=1e-6)
    np.testing.assert_allclose(view.image(), rgb, atol=1e-6)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="image size contradicts the camera"):
        undistort_view(view_of(lens("OPENCV"), np.zeros((8, 8, 3), np.float32)), tmp_path)
