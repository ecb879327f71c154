"""Camera paths from files: `transforms.json`, with or without images, and nerfstudio's `camera_path.json`.

Both hold camera-to-world matrices in OpenGL's axes, in the scene's own frame and units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, check_pose
from anyview.errors import AnyviewError, OptionError
from anyview.formats.transforms import read_json
from anyview.radiance.path_cameras import CameraPath, path_camera
from anyview.scene.intrinsics import camera_from_values
from anyview.scene.load import load_scene
from anyview.typing import Pose

_PIXELS = ("w", "h", "fl_x", "fl_y", "cx", "cy")  # words that mean pixels of one size of image
_LEAST_FOV = 1e-6  # degrees: with less, focal lengths overflow


def from_file(path: str | Path, size: tuple[int, int] | None = None) -> CameraPath:
    """The cameras of a file, in its order.

    Args:
        path: JSON of one of these kinds. `{"camera": {w, h, fl_x, ...}, "frames": [{"transform_matrix": 4x4}]}`, where
            the camera's words (see `anyview.scene.intrinsics`) may also stand beside "frames" or in a frame; without w
            and h, angles of view are those of frames of `size`, else the frames' images are asked, as in a scene. Or
            nerfstudio's `{"render_width", "render_height",
            "camera_path": [{"camera_to_world": 16 numbers, row by row, "fov": vertical, degrees}]}`.
        size: width and height of the frames, pixels; the file's own by default.

    Raises:
        OptionError: the file is missing or damaged, says too little, or its frames differ in size.
    """
    path = Path(path)
    try:
        content = read_json(path)
        made = _nerfstudio(path, content) if "camera_path" in content else _transforms(path, content, size)
        made = [(path_camera(camera, size), pose) for camera, pose in made]
    except AnyviewError as error:
        raise OptionError(
            f"not a camera path: {error.what}",
            where=error.where or path,
            expected=error.expected,
            actual=error.actual,
            hint=error.hint,
        ) from error
    if len(made) < 2:
        raise OptionError("too few frames", where=path, expected="2 or more", actual=len(made))
    if len({(camera.width, camera.height) for camera, _ in made}) > 1:
        raise OptionError("frames of different sizes", where=path, hint="give one size for all")
    return made


def _transforms(path: Path, content: Mapping[str, Any], size: tuple[int, int] | None) -> CameraPath:
    frames, shared = _list(path, content, "frames"), content.get("camera", {})
    if not isinstance(shared, dict):
        raise OptionError("camera without words", where=path, expected='"camera": {"w": ..., "h": ..., "fl_x": ...}')
    made = []
    for i, frame in enumerate(frames):
        where = f"{path} (frame {i})"
        values = {**content, **shared, **frame}
        if values.get("w") is not None and values.get("h") is not None:
            frame_size = 1, 1  # the file's own counts
        elif size is not None and not any(values.get(word) for word in _PIXELS):
            frame_size = size
        elif "file_path" not in frame:
            raise OptionError("no size of the frames", where=where, expected="w and h")
        else:
            return [(view.camera, view.world_from_cam) for view in load_scene(path)]
        pose = _pose(frame.get("transform_matrix"), "transform_matrix", where)
        made.append((camera_from_values(values, frame_size, where), pose))
    return made


def _nerfstudio(path: Path, content: Mapping[str, Any]) -> CameraPath:
    made = []
    if (kind := content.get("camera_type", "perspective")) != "perspective":
        raise OptionError("another projection", where=path, expected="perspective", actual=kind)
    words = "render_width", "render_height"
    try:
        width, height = (int(content[word]) for word in words)
        cx, cy = width / 2, height / 2
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise OptionError("no size of the frames", where=path, expected=" and ".join(words)) from error
    for i, frame in enumerate(_list(path, content, "camera_path")):
        where = f"{path} (frame {i})"
        fov = frame.get("fov")
        if not isinstance(fov, int | float) or not _LEAST_FOV <= fov < 180:
            raise OptionError("no field of view", where=where, expected='"fov" between 0 and 180 degrees', actual=fov)
        focal = cy / math.tan(0.5 * math.radians(fov))
        camera = Camera.pinhole(width, height, focal, focal, cx, cy)
        made.append((camera, _pose(frame.get("camera_to_world"), "camera_to_world", where)))
    return made


def _list(path: Path, content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The frames as objects."""
    frames = content.get(name)
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise OptionError("no frames", where=path, expected='a list "frames" or "camera_path" of objects')
    return frames


def _pose(values: Any, name: str, where: str) -> Pose:
    """world_from_cam, OpenCV axes, from 16 numbers or rows of them; a missing last row is added."""
    try:
        matrix = np.array(values, np.float64).reshape(-1, 4)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError("frame without a pose", where=where, expected=f'4x4 numbers in "{name}"') from error
    return check_pose(np.vstack([matrix, [0, 0, 0, 1]]) if len(matrix) == 3 else matrix, where) @ CV_FROM_GL
