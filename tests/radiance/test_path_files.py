"""Camera paths in files: transforms.json with and without images, nerfstudio's, and what is wrong with bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.errors import OptionError
from anyview.radiance.paths import camera_path, from_file
from camera_ring import ring_scene
from posed_images import cv_pose, gl_pose, nerfstudio

CAMERA = {"w": 64, "h": 48, "fl_x": 60.0, "fl_y": 61.0, "cx": 31.0, "cy": 24.5}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def frames(count: int = 3, **values: Any) -> list[dict[str, Any]]:
    return [{"transform_matrix": gl_pose(i).tolist(), **values} for i in range(count)]


def nerf(count: int = 3, **change: Any) -> dict[str, Any]:
    path = [{"camera_to_world": gl_pose(i).ravel().tolist(), "fov": 60, "aspect": 1} for i in range(count)]
    return {"camera_type": "perspective", "render_width": 64, "render_height": 48, "camera_path": path, **change}


@pytest.mark.parametrize(
    "content",
    [
        {"camera": CAMERA, "frames": frames()},
        {**CAMERA, "frames": frames()},
        {"frames": frames(**CAMERA)},
        {"camera": {**CAMERA, "k1": 0.1, "w": 1}, "frames": frames(w=64)},  # a frame's own words first; no lens
    ],
)
def test_our_words(tmp_path: Path, content: dict[str, Any]) -> None:
    path = from_file(write(tmp_path / "p.json", content))
    assert [camera for camera, _ in path] == [Camera.pinhole(64, 48, 60, 61, 31, 24.5)] * 3
    for i, (_, pose) in enumerate(path):
        np.testing.assert_allclose(pose, cv_pose(i), atol=1e-12)


def test_a_scenes_own_file(tmp_path: Path) -> None:
    """The size comes from the images."""
    path = from_file(nerfstudio(tmp_path) / "transforms.json")
    assert [camera for camera, _ in path] == [Camera.pinhole(12, 8, 10, 10, 6, 4)] * 2
    np.testing.assert_allclose(path[1][1], cv_pose(1), atol=1e-12)


def test_angles_of_view_and_a_size_want_no_images(tmp_path: Path) -> None:
    content = {"camera_angle_x": 1.0, "frames": frames(file_path="./elsewhere/r_0")}
    path = from_file(write(tmp_path / "p.json", content), (64, 48))
    focal = 32 / np.tan(0.5)
    assert [camera for camera, _ in path] == [Camera.pinhole(64, 48, focal, focal, 32, 24)] * 3
    np.testing.assert_allclose(path[2][1], cv_pose(2), atol=1e-12)
    with pytest.raises(OptionError, match="image is missing"):
        from_file(tmp_path / "p.json")


def test_nerfstudios_path(tmp_path: Path) -> None:
    path = from_file(write(tmp_path / "camera_path.json", nerf()))
    for i, (camera, pose) in enumerate(path):
        assert (camera.width, camera.height, camera.cx, camera.cy) == (64, 48, 32, 24)
        assert camera.fx == camera.fy == pytest.approx(24 * np.sqrt(3))  # 60 degrees from top to bottom
        np.testing.assert_allclose(pose, cv_pose(i), atol=1e-12)


def test_another_size_and_the_path_by_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "p.json", {"camera": CAMERA, "frames": frames()})
    path = camera_path(ring_scene(3), str(file), size=(32, 32))
    assert [camera for camera, _ in path] == [Camera.pinhole(32, 32, 30, 30.5, 15.5, 16.25)] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"not a camera path: not JSON"),
        ("[]", r"wrong JSON in .*p\.json: expected an object, found list"),
        ({}, r"no frames in .*p\.json"),
        ({"frames": [1]}, r"no frames in .*p\.json"),
        ({"camera": 3, "frames": frames()}, "camera without words"),
        ({"frames": frames()}, r"no size of the frames in .*\(frame 0\): expected w and h"),
        ({"frames": frames(file_path="nowhere.png")}, r"image is missing in .*p\.json"),
        ({"camera": {"w": 4, "h": 4}, "frames": frames()}, r"without a focal length in .*\(frame 0\)"),
        ({"camera": {**CAMERA, "w": "wide"}, "frames": frames()}, "camera values are not numbers"),
        ({"camera": {**CAMERA, "w": 0}, "frames": frames()}, "camera without pixels"),
        ({"camera": {**CAMERA, "w": 1e300}, "frames": frames()}, r"too many pixels in .*\(frame 0\)"),
        ({"camera": {**CAMERA, "h": 20_000}, "frames": frames()}, "frames are too large.* found 64x20000"),
        ({"camera": {**CAMERA, "fl_x": 10**400}, "frames": frames()}, "camera values are not numbers"),
        ({"camera": {"w": 4, "h": 4, "camera_angle_x": 5e-324}, "frames": frames()}, "impossible field of view"),
        ({"camera": CAMERA, "frames": frames(transform_matrix=[[10**400] * 4] * 4)}, "without a pose"),
        ({"camera": CAMERA, "frames": frames(transform_matrix=np.diag([1e300, 1, 1, 1]).tolist())}, "not a rotation"),
        ({"camera": CAMERA, "frames": [{}, {}]}, r'without a pose in .*\(frame 0\).*"transform_matrix"'),
        ({"camera": CAMERA, "frames": frames(transform_matrix=[1, 2])}, "without a pose"),
        ({"camera": CAMERA, "frames": frames(transform_matrix=np.diag([2.0, 1, 1, 1]).tolist())}, "not a rotation"),
        ({"camera": CAMERA, "frames": frames(transform_matrix=np.diag([-1.0, 1, 1, 1]).tolist())}, "determinant -1"),
        ({"camera": CAMERA, "frames": frames(1)}, "too few frames in .*expected 2 or more, found 1"),
        ({"camera": CAMERA, "frames": [*frames(2), *frames(1, w=63)]}, "frames of different sizes"),
        (nerf(camera_path=[]), "too few frames"),
        (nerf(camera_path={}), "no frames"),
        (nerf(camera_type="equirectangular"), "another projection.*expected perspective, found equirectangular"),
        (nerf(render_width=None), "no size of the frames.*render_width and render_height"),
        (nerf(render_height=10**400), "no size of the frames.*render_width and render_height"),
        (nerf(render_height=1e300), "camera with too many pixels"),
        (nerf(camera_path=[{"camera_to_world": [0.0] * 16, "fov": 5e-324}]), "no field of view"),
        (nerf(camera_path=[{"camera_to_world": [0.0] * 16, "fov": 180}]), r"no field of view in .*\(frame 0\).*180"),
        (nerf(camera_path=[{"camera_to_world": [0.0] * 16, "fov": 50}]), "last row is wrong"),
        (nerf(camera_path=[{"fov": 50}]), '"camera_to_world"'),
    ],
)
def test_bad_files(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        from_file(write(tmp_path / "p.json", content))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"not a camera path: cannot read in .*p\.json"):
        from_file(tmp_path / "p.json")


def test_one_size_for_frames_of_different_sizes(tmp_path: Path) -> None:
    file = write(tmp_path / "p.json", {"camera": CAMERA, "frames": [*frames(1), *frames(1, w=128, h=96, fl_x=120.0)]})
    assert [(c.width, c.height, c.fx) for c, _ in from_file(file, (64, 48))] == [(64, 48, 60)] * 2
