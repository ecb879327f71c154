"""Photographs as stereo reads them: grey, at the size that the options allow, 0 where masked out."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image as PillowImage

from anyview.cameras.models import Camera
from anyview.reconstruction.stereo.pyramid import grey_from_rgb
from anyview.scene.scene import View


def dense_camera(camera: Camera, longest: int) -> Camera:
    """The camera reduced so that its longer side has at most `longest` pixels."""
    scale = longest / max(camera.width, camera.height)
    if scale >= 1:
        return camera
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def load_grey(view: View, camera: Camera) -> UInt8[np.ndarray, "H W"]:
    """The view's grey image at the camera's size: 1..255, 0 where masked out."""
    rgb, mask = view.read()
    if (camera.width, camera.height) != (rgb.shape[1], rgb.shape[0]):
        size, area = (camera.width, camera.height), PillowImage.Resampling.BOX
        inside = np.ones(rgb.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
        weight = np.asarray(PillowImage.fromarray(inside).resize(size, area))
        planes = [np.asarray(PillowImage.fromarray(rgb[..., c] * inside).resize(size, area)) for c in range(3)]
        rgb = (np.stack(planes, -1) / np.maximum(weight, 1e-6)[..., None]).astype(np.float32)
        mask = None if mask is None else weight >= 0.5
    return grey_from_rgb(rgb, mask)
