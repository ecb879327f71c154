"""Pixels that lie in files, decoded when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from anyview.errors import SceneError
from anyview.formats.files import digest_file
from anyview.formats.images import read_image

OBJECT = 0.5
"""Alpha, or brightness of a mask file, from which on a pixel belongs to the object."""


@dataclass(frozen=True)
class FilePixels:
    """An image file, and perhaps a mask file of the same size.

    Attributes:
        path: the image; its alpha channel, where it has one, is the mask.
        mask_path: bright (or opaque) on the object; replaces the alpha channel.
    """

    path: Path
    mask_path: Path | None = None

    def read(self) -> tuple[Float32[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
        """See `Pixels.read`.

        Raises:
            FormatError: a file is missing or damaged.
            SceneError: the mask has another size than the image.
        """
        rgb, alpha = read_image(self.path)
        if self.mask_path is None:
            return rgb, None if alpha is None else alpha >= OBJECT
        mask_rgb, mask_alpha = read_image(self.mask_path)
        mask = mask_rgb[..., 0] if mask_alpha is None else mask_rgb[..., 0] * mask_alpha
        if mask.shape != rgb.shape[:2]:
            raise SceneError(
                "mask size contradicts the image",
                where=self.mask_path,
                expected=f"{rgb.shape[1]}x{rgb.shape[0]}",
                actual=f"{mask.shape[1]}x{mask.shape[0]}",
            )
        return rgb, mask >= OBJECT

    def fingerprint(self) -> str:
        """See `Pixels.fingerprint`."""
        mask = "" if self.mask_path is None else digest_file(self.mask_path)
        return digest_file(self.path) + mask
