"""What a super-resolution network learns from: large pictures and their small ones, both in memory-mapped files.

Letters: H rows, W columns of the large picture that are used, h and w of the small one; s is the scale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from anyview.errors import FormatError, OptionError
from anyview.formats.images import image_header
from anyview.progress import SILENT, Progress
from anyview.superresolution.bicubic import shrunk
from anyview.superresolution.data.pairs import Pair, image_files
from anyview.superresolution.data.stack import ImageStack, fingerprint_of, make_stack, stack_files


class Pictures:
    """Pairs by number.

    Args:
        high, low: as many large pictures as small ones; a small one may have a row and a column too many.
        scale: how many times as large the large ones are.
    """

    def __init__(self, high: ImageStack, low: ImageStack, scale: int) -> None:
        self._high, self._low, self.scale = high, low, scale
        self.sizes = [(height // scale, width // scale) for height, width in high.sizes]
        """h and w of every pair."""

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.sizes)

    @property
    def names(self) -> list[str]:
        """Of the large pictures' files."""
        return self._high.names

    def fingerprint(self) -> str:
        """Of all pixels: whether data is that which a run began with."""
        text = f"{self._high.fingerprint} {self._low.fingerprint} {self.scale}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def low(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """A small picture."""
        height, width = self.sizes[index]
        return self._low[index][:height, :width]

    def high(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Its large one, s times as high and as wide."""
        height, width = self.sizes[index]
        return self._high[index][: height * self.scale, : width * self.scale]


def open_pairs(pairs: Sequence[Pair], scale: int, cache: Path | None = None, progress: Progress = SILENT) -> Pictures:
    """The pictures of pairs of files.

    Args:
        pairs: see `find_pairs`.
        scale: of the pairs.
        cache: a folder for the memory-mapped files, made anew when a source changed; None is the user's own.
        progress: told of decoding.

    Raises:
        FormatError: an image is damaged.
        WorkspaceError: the disk is full, or the folder not writable.
    """
    sides = [pair.high for pair in pairs], [pair.low for pair in pairs]
    high, low = (stack_files(_place(cache, files), files, progress) for files in sides)
    return Pictures(high, low, scale)


def open_folder(folder: str | Path, scale: int, cache: Path | None = None, progress: Progress = SILENT) -> Pictures:
    """The pictures of a folder, and what `bicubic` makes of them. See `open_files`."""
    return open_files(image_files(folder), scale, cache, progress)


def open_files(files: Sequence[Path], scale: int, cache: Path | None = None, progress: Progress = SILENT) -> Pictures:
    """Image files, cropped to a multiple of the scale, and what `bicubic` makes of them.

    Args:
        files: the large pictures.
        scale: how many times smaller the small ones are.
        cache: see `open_pairs`.
        progress: told of decoding.

    Raises:
        FormatError: an image is damaged, or has less than one small pixel.
        WorkspaceError: the disk is full, or the folder not writable.
    """
    for file in files:
        header = image_header(file)
        if min(header.width, header.height) < scale:
            raise FormatError(
                "an image is too small", where=file, expected=f"{scale} x {scale} or more",
                actual=f"{header.width} x {header.height}", hint="remove it",
            )  # fmt: skip
    high = stack_files(_place(cache, files), files, progress)
    sizes = [(height // scale, width // scale) for height, width in high.sizes]

    def reduced(index: int) -> UInt8[np.ndarray, "h w 3"]:
        height, width = sizes[index]
        return shrunk(high[index][: height * scale, : width * scale], scale)

    fingerprint = fingerprint_of([], "bicubic", scale, high.fingerprint)
    low = make_stack(_place(cache, files, f"bicubic_x{scale}"), fingerprint, high.names, sizes, reduced, progress)
    return Pictures(high, low, scale)


def user_cache() -> Path:
    """The user's folder for what can be made again: `$XDG_CACHE_HOME/anyview`, or `~/.cache/anyview`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "anyview"


def check_crops(pictures: Pictures, crop: int, progress: Progress = SILENT) -> list[int]:
    """Numbers of the pictures that a crop fits into; how many it does not is told.

    Args:
        pictures: to be cut from.
        crop: pixels of a side of the large picture, a multiple of the scale.
        progress: told of those that are left out.

    Raises:
        OptionError: the crop is no multiple of the scale, or larger than all pictures.
    """
    if crop < pictures.scale or crop % pictures.scale:
        raise OptionError("a crop has no small crop", expected=f"a multiple of {pictures.scale}", actual=crop)
    least = crop // pictures.scale
    fitting = [index for index, size in enumerate(pictures.sizes) if min(size) >= least]
    if not fitting:
        raise OptionError(
            "all images are smaller than a crop", expected=f"{crop} x {crop} pixels or more",
            actual=f"{len(pictures)} images", hint="choose a smaller crop",
        )  # fmt: skip
    if len(fitting) < len(pictures):
        first = next(name for index, name in enumerate(pictures.names) if min(pictures.sizes[index]) < least)
        left = len(pictures) - len(fitting)
        progress.note(f"images smaller than a crop of {crop} x {crop}, left out: {left}, the first is {first}")
    return fitting


def _place(cache: Path | None, files: Sequence[Path], kind: str = "decoded") -> Path:
    """Where the stack of some files lies: one place for the same files, whatever their content."""
    text = "\n".join(str(file.resolve()) for file in files)
    name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return (cache or user_cache() / "superresolution") / f"{name}_{kind}.pixels"
