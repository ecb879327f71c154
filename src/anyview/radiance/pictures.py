"""A view's picture as training and evaluation see it: 8-bit colours and straight alpha, a pinhole camera, reduced."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from anyview.cameras.models import Camera
from anyview.errors import OptionError
from anyview.scene.scene import View
from anyview.scene.undistort import is_straight, undistorted_camera, warp
from anyview.typing import Image

BACKGROUNDS = {"auto": 1.0, "white": 1.0, "black": 0.0, "random": 1.0}
"""Grey level behind a rendered picture, by the option of that name."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What a view shows.

    Attributes:
        camera: pinhole, of the picture's size.
        rgb: sRGB, straight.
        alpha: opacity, 255 is opaque; None where every pixel counts.
        known: False where an undistorted photograph has no pixels; None where it is True everywhere.
    """

    camera: Camera
    rgb: UInt8[np.ndarray, "H W 3"]
    alpha: UInt8[np.ndarray, "H W"] | None
    known: Bool[np.ndarray, "H W"] | None = None

    def over(self, background: float) -> Image:
        """The picture over a grey level, sRGB in [0, 1]: straight alpha in sRGB, as published figures have it."""
        rgb = self.rgb.astype(np.float32) / np.float32(255)
        if self.alpha is None:
            return rgb
        alpha = (self.alpha.astype(np.float32) / np.float32(255))[..., None]
        mixed: Image = rgb * alpha + (1 - alpha) * np.float32(background)
        return mixed


def read_picture(view: View, downscale: int = 1) -> Picture:
    """Decode a view, undistort it, reduce it.

    Args:
        view: of any camera model; of an undistorted one alpha is 0 or 1.
        downscale: means over squares of so many pixels per side, rounded; rows and columns that are left over go.

    Raises:
        SceneError, FormatError: as `View.read_alpha`; a camera that cannot be undistorted.
        OptionError: nothing would be left of the picture.
    """
    rgb, alpha = view.read_alpha()
    camera, known = picture_camera(view.camera), None
    if not is_straight(view.camera):
        rgb, kept = warp(rgb, None if alpha is None else alpha >= 0.5, view.camera, camera)
        known, alpha = (kept, None) if alpha is None else (None, None if kept is None else kept.astype(np.float32))
    picture = Picture(camera, _bytes(rgb), None if alpha is None else _bytes(alpha), known)
    return picture if downscale == 1 else _reduced(picture, downscale, view.name)


def picture_camera(camera: Camera, downscale: int = 1) -> Camera:
    """The pinhole camera of a view's picture.

    Raises:
        SceneError: a camera that cannot be undistorted.
    """
    made = undistorted_camera(camera)
    if downscale == 1:
        return made
    values = (x / downscale for x in (made.fx, made.fy, made.cx, made.cy))
    return Camera.pinhole(made.width // downscale, made.height // downscale, *values)


def _reduced(picture: Picture, by: int, name: str) -> Picture:
    height, width = picture.rgb.shape[0] // by, picture.rgb.shape[1] // by
    if min(height, width) < 1:
        raise OptionError(
            "nothing is left of the image", where=f"view {name}", expected=f"at least {by}x{by} pixels",
            actual=f"{picture.camera.width}x{picture.camera.height}", hint="choose a smaller reduction",
        )  # fmt: skip

    def mean(pixels: np.ndarray) -> UInt8[np.ndarray, "..."]:
        squares = pixels[: height * by, : width * by].reshape(height, by, width, by, *pixels.shape[2:])
        return ((squares.sum(axis=(1, 3), dtype=np.int64) * 2 + by * by) // (2 * by * by)).astype(np.uint8)

    return replace(
        picture,
        camera=picture_camera(picture.camera, by),
        rgb=mean(picture.rgb),
        alpha=None if picture.alpha is None else mean(picture.alpha),
        known=None if picture.known is None else mean(picture.known.astype(np.uint8) * 255) == 255,
    )


def _bytes(values: Float32[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)
