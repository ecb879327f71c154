"""What every camera path is made of: one pinhole camera, because films are watched without a lens' distortion."""

from __future__ import annotations

from typing import TypeAlias

from anyview.cameras.models import Camera
from anyview.errors import OptionError
from anyview.scene.scene import Scene
from anyview.typing import Pose

CameraPath: TypeAlias = list[tuple[Camera, Pose]]
"""For each frame of a film its camera, of one size throughout, and world_from_cam."""

_MOST_FRAMES = 99_999  # their files are numbered with five digits
_LARGEST_SIDE = 16_384  # pixels: x264 makes no larger films


def path_camera(camera: Camera, size: tuple[int, int] | None = None) -> Camera:
    """The camera as a pinhole of another width and height (pixels) with the same horizontal field of view.

    Raises:
        OptionError: a size without pixels, or larger than films can be.
    """
    width, height = size or (camera.width, camera.height)
    if min(width, height) < 1:
        raise OptionError("frames without pixels", expected="a size of at least 1x1", actual=f"{width}x{height}")
    if max(width, height) > _LARGEST_SIDE:
        raise OptionError(
            "frames are too large", expected=f"at most {_LARGEST_SIDE} pixels a side", actual=f"{width}x{height}"
        )
    scale = width / camera.width
    center = scale * camera.cx, height / 2 + scale * (camera.cy - camera.height / 2)
    return Camera.pinhole(width, height, scale * camera.fx, scale * camera.fy, *center)


def training_views(scene: Scene, frames: int) -> Scene:
    """The views that tell where a path may go: those of the training split, or all where there are none.

    Raises:
        OptionError: too few frames for a film, or too many.
    """
    if frames < 2:
        raise OptionError("too few frames", expected="2 or more", actual=frames)
    if frames > _MOST_FRAMES:
        raise OptionError("too many frames", expected=f"at most {_MOST_FRAMES}", actual=frames)
    return scene.split("train") if any(view.split == "train" for view in scene) else scene
