"""What a field in training makes of a validation view: a small picture, truth, render and depth side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from anyview.radiance.colors import colored, depth_limits
from anyview.radiance.data import shots_of
from anyview.radiance.image import render_view
from anyview.radiance.pictures import read_picture
from anyview.radiance.renderer import Renderer
from anyview.scene.scene import View
from anyview.training.memory import Chunk
from anyview.training.metrics import SSIM_WINDOW, ssim


class Drawn(NamedTuple):
    """What a field makes of the view."""

    picture: UInt8[np.ndarray, "H W 3"]
    """Truth, render, and depth from near (red) to far (blue), black where there is none; side by side."""
    ssim: float | None
    """Of the render, as `anyview radiance eval` computes it; None where it is smaller than a window."""


class ValidationPicture:
    """The same view whenever it is asked for; nothing is random.

    Args:
        view: with near and far.
        widest: most columns of truth, render and depth each; the camera is reduced to as many.
        background: grey level behind transparent pixels.
        downscale: see `read_picture`.
        note: told where memory runs out, and the work goes on with fewer rays at a time.

    Raises:
        SceneError, FormatError: the image is missing, damaged, or contradicts its camera.
    """

    def __init__(
        self, view: View, widest: int, background: float = 1.0, downscale: int = 1,
        note: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        (shot,) = shots_of([view], downscale)
        camera = shot.camera
        width = min(camera.width, widest)
        height = max(round(camera.height * width / camera.width), 1)
        self._shot = replace(shot, camera=camera.resized(width, height))
        read = read_picture(view, downscale)
        self._truth = cv2.resize(read.over(background), (width, height), interpolation=cv2.INTER_AREA)
        known = np.ones((camera.height, camera.width), bool) if read.known is None else read.known
        self._known = cv2.resize(known.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.999
        self._note = note
        self._chunk: Chunk | None = None

    def of(self, renderer: Renderer) -> Drawn:
        """The picture by the field as it is now.

        Raises:
            OutOfMemoryError: not even one ray fits.
        """
        self._chunk = self._chunk or Chunk(renderer.rays_at_once, note=self._note)
        seen = render_view(renderer, self._shot, self._chunk)
        rgb = seen.rgb.clip(0, 1)
        colors = np.concatenate([self._truth, rgb], axis=1).clip(0, 1)
        depth = np.where(seen.opacity >= 0.5, seen.depth, np.float32(0))
        shades = colored(depth, *depth_limits(depth), "turbo_r", depth == 0)
        picture = np.concatenate([np.rint(colors * 255).astype(np.uint8), shades], axis=1)
        if min(rgb.shape[:2]) < SSIM_WINDOW:
            return Drawn(picture, None)
        rgb = np.where(self._known[..., None], rgb, self._truth)  # what no photograph has is no fault
        a, b = (torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None] for image in (rgb, self._truth))
        return Drawn(picture, float(ssim(a, b)))
