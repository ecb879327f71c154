"""What every camera path is made of: one pinhole camera, because films are watched without a lens' distortion."""

from __future__ import annotations

from typing import TypeAlias

from anyview.cameras.models import Camera
from anyview.errors import OptionError
from anyview.scene.scene import Scene
from anyview.typing import Pose

CameraPath: TypeAlias = list[tuple[Camera, Pose]]
"""For each frame of a film its camera, of one size throughout, and world_from_cam."""


def path_camera(camera: Camera, size: tuple[int, int] | None = None) -> Camera:
    """The camera as a pinhole of another width and height (pixels) with the same horizontal field of view.

    Raises:
        OptionError: a size without pixels.
    """
    width, height = size or (camera.width, camera.height)
    if min(width, height) < 1:
        raise OptionError("frames without pixels", expected="a size of at least 1x1", actual=f"{width}x{height}")
    scale = width / camera.width
    center = scale * camera.cx, height / 2 + scale * (camera.cy - camera.height / 2)
    return Camera.pinhole(width, height, scale * camera.fx, scale * camera.fy, *center)


def training_views(scene: Scene, frames: int) -> Scene:
    """The views that tell where a path may go: those of the training split, or all where there are none.

    Raises:
        OptionError: too few frames for a film.
    """
    if frames < 2:
        raise OptionError("too few frames", expected="2 or more", actual=frames)
    return scene.split("train") if any(view.split == "train" for view in scene) else scene
