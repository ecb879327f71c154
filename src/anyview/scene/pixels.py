"""Pixels that lie in files, decoded when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from anyview.errors import SceneError
from anyview.formats.files import digest_file
from anyview.formats.images import image_size, read_image

OBJECT = 0.5
"""Alpha, or brightness of a mask file, from which on a pixel belongs to the object."""

_LABELS = 1.5 / 255
"""A mask file that is nowhere brighter holds labels, 0 and 1, and not shades."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp", ".tif", ".tiff")


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
        rgb, alpha = self.read_alpha()
        return rgb, None if alpha is None else alpha >= OBJECT

    def read_alpha(self) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
        """See `Pixels.read_alpha`. A mask file has no shades: it gives 0 and 1.

        Raises:
            FormatError, SceneError: as `read`.
        """
        rgb, alpha = read_image(self.path)
        if self.mask_path is None:
            return rgb, alpha
        shades, opacity = read_image(self.mask_path)
        mask = shades[..., 0] if opacity is None else shades[..., 0] * opacity
        _same_size(self.mask_path, (mask.shape[1], mask.shape[0]), (rgb.shape[1], rgb.shape[0]))
        return rgb, (mask > 0 if mask.max() <= _LABELS else mask >= OBJECT).astype(np.float32)

    def check(self) -> tuple[int, int]:
        """Width and height from the files' headers.

        Raises:
            FormatError: a file is missing or damaged.
            SceneError: the mask has another size than the image.
        """
        size = image_size(self.path)
        if self.mask_path is not None:
            _same_size(self.mask_path, image_size(self.mask_path), size)
        return size

    def fingerprint(self) -> str:
        """See `Pixels.fingerprint`."""
        mask = "" if self.mask_path is None else digest_file(self.mask_path)
        return digest_file(self.path) + mask


def find_image(folder: Path, name: str, source: Path) -> Path:
    """The image file of that name, with the extension that it has or that is found.

    Raises:
        SceneError: there is none.
    """
    path = folder / name
    if path.is_file():
        return path
    for suffix in _SUFFIXES:
        if (found := path.with_name(path.name + suffix)).is_file():
            return found
    raise SceneError("image is missing", where=source, expected=path, hint="copy it there, or remove its entry")


def find_mask(root: Path, name: str) -> Path | None:
    """The file in `root/masks/` that is named like the image, with .png appended or as its extension; None if none."""
    beside = root / "masks" / name.removeprefix("images/")
    candidates = (beside.with_name(beside.name + ".png"), beside.with_suffix(".png"))
    return next((path for path in candidates if path.is_file()), None)


def _same_size(mask: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise SceneError(
            "mask size contradicts the image",
            where=mask,
            expected=f"{expected[0]}x{expected[1]}",
            actual=f"{size[0]}x{size[1]}",
        )
