"""A small part of an image before and after, for people to compare: where it has most detail.

Letters: H rows, W columns, C channels; s is the scale.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from anyview.formats.files import atomic_write
from anyview.superresolution.bicubic import imresize
from anyview.superresolution.tiling import Pixels

_WIDTH, _HEIGHT = 880, 560  # of the large part, pixels


class Preview:
    """Cut out of the bands of a large image as they come.

    Args:
        image: the small one.
        scale: s.
        alpha: its transparency, (H, W, 1), where it has some: what is clear is shown white.
    """

    def __init__(self, image: Pixels, scale: int, alpha: Pixels | None = None) -> None:
        height, width = (min(most // scale, side) for most, side in zip((_HEIGHT, _WIDTH), image.shape, strict=False))
        top, left = _busiest(image, height, width)
        cut = np.s_[top : top + height, left : left + width]
        part = image[cut] if alpha is None else np.concatenate([image[cut], alpha[cut]], 2)
        self.before = _shown(imresize(_bytes(part), size=(height * scale, width * scale)))
        """What bicubic makes of the part, (s h, s w, 3)."""
        self.after = np.zeros_like(self.before)
        """What the network makes of it; whole when all bands have been seen."""
        self._top, self._columns = top * scale, slice(left * scale, (left + width) * scale)
        self._row = 0

    def see(self, band: Pixels) -> None:
        """The next rows of the large image, with their alpha in the last channel where it has some."""
        start = self._row - self._top
        for row in range(max(start, 0), min(start + len(band), len(self.after))):
            self.after[row] = _shown(_bytes(band[row - start, self._columns][None]))[0]
        self._row += len(band)

    def write(self, before: Path, after: Path) -> list[Path]:
        """Save both as PNG; gives their paths."""
        for path, pixels in ((before, self.before), (after, self.after)):
            with atomic_write(path) as temporary:
                Image.fromarray(pixels).save(temporary)
        return [before, after]


def _busiest(image: Pixels, height: int, width: int) -> tuple[int, int]:
    """The corner of the part with the largest differences of neighbours, of those on a grid of half a part."""
    corners = [
        (top, left)
        for top in _steps(image.shape[0], height)
        for left in _steps(image.shape[1], width)
    ]  # fmt: skip

    def detail(corner: tuple[int, int]) -> float:
        part = image[corner[0] : corner[0] + height, corner[1] : corner[1] + width, 0].astype(np.int32)
        return float(np.abs(np.diff(part, axis=0)).sum() + np.abs(np.diff(part, axis=1)).sum())

    return max(corners, key=detail)


def _steps(length: int, side: int) -> list[int]:
    """Where parts begin, evenly."""
    count = max(1, -(-2 * (length - side) // side)) + 1
    return sorted({(length - side) * i // (count - 1) for i in range(count)})


def _bytes(pixels: Pixels) -> UInt8[np.ndarray, "H W C"]:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _shown(pixels: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W 3"]:
    """Colours; what is clear is white."""
    channels = pixels.shape[2]
    if channels in (2, 4):
        opacity = pixels[:, :, -1:] / np.float32(255)
        pixels = np.rint(255 + (pixels[:, :, :-1] - np.float32(255)) * opacity).astype(np.uint8)
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
