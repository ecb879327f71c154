"""An image of any size through a network, by overlapping tiles whose seams are blended.

A tile is the part of the image that is enlarged at a time; the network sees a margin around it, wide enough that the
tile comes out as it would within the whole image (`anyview.superresolution.reach`). What is left, roundings of narrow
types that depend on a tile's size, is mixed over a few pixels along the seams. Results are given in bands, from top to
bottom, rounded to the image's own type: nothing of the output's size is ever kept in floats.

Letters: H rows, W columns of the image, C channels; s is the scale. A band is a row of tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8, UInt16
from torch import Tensor

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.training.memory import Chunk, in_chunks

TileSide: TypeAlias = int | Literal["auto"]
Pixels: TypeAlias = "UInt8[np.ndarray, '_ _ C'] | UInt16[np.ndarray, '_ _ C']"

BLENDED = 4
"""Pixels on each side of a seam over which two tiles are mixed."""

_LEAST = 8  # pixels of a tile's side that is not halved any more


@dataclass(frozen=True)
class Enlarge:
    """What enlarges a part of an image.

    Attributes:
        function: (1, 3, h, w) to (1, 3, s h, s w), float32, in [0, 1] or a little beyond; on the processor.
        scale: s.
        reach: pixels around a part beyond which nothing changes its result.
    """

    function: Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, "1 3 sh sw"]]
    scale: int
    reach: int


def check_tile(side: TileSide) -> None:
    """Raise an OptionError where this is no side of a tile."""
    if side != "auto" and side < _LEAST:
        raise OptionError("option out of range", where="--tile", expected=f"auto, or {_LEAST} or more", actual=side)


def enlarged(image: Pixels, enlarge: Enlarge, tile: Chunk, progress: Progress = SILENT, name: str = "tiles") -> Pixels:
    """The whole enlarged image; see `enlarge_in_bands`."""
    height, width, channels = image.shape
    s = enlarge.scale
    out = np.empty((height * s, width * s, channels), image.dtype)
    top = 0

    def keep(rows: Pixels) -> None:
        nonlocal top
        out[top : top + len(rows)] = rows
        top += len(rows)

    enlarge_in_bands(image, enlarge, tile, keep, progress, name)
    return out


def enlarge_in_bands(
    image: Pixels,
    enlarge: Enlarge,
    tile: Chunk,
    write: Callable[[Pixels], None],
    progress: Progress = SILENT,
    name: str = "tiles",
) -> None:
    """Enlarge an image, and give the result in bands.

    Args:
        image: grey (H, W, 1) or RGB (H, W, 3), 8 or 16 bits, sRGB. Grey goes through the network as three equal
            channels, and comes out as their mean.
        enlarge: the network.
        tile: pixels of a tile's side; made smaller where memory runs out, and then for later images, too.
        write: is given (h, s W, C), of the image's type, from top to bottom.
        progress: told of tiles.
        name: of the progress's stage.

    Raises:
        OutOfMemoryError: not even the least tile fits.
        OptionError: the network gives numbers that are not finite.
    """
    height, width = image.shape[:2]
    rows, columns = (_parts(length, tile.size) for length in (height, width))
    told = 0

    def smaller(_: str) -> None:
        tile.size = max(tile.size // 2, _LEAST)
        progress.note(f"out of memory: tiles of {tile.size} x {tile.size} pixels from here on")

    bands = Chunk(-(-height // rows), _LEAST, smaller)  # all about as high, the last one no sliver
    maker = _Bands(image, enlarge, tile, write)
    with progress.stage(name, rows * columns) as advance:

        def band(part: slice) -> None:
            nonlocal told
            maker.make(part)
            done = rows * columns * part.stop // height
            advance(done - told)
            told = done

        in_chunks(band, height, bands)


class _Bands:
    """Makes bands one after the other, and keeps what the next one is mixed with."""

    def __init__(self, image: Pixels, enlarge: Enlarge, tile: Chunk, write: Callable[[Pixels], None]) -> None:
        self._image, self._enlarge, self._tile, self._write = image, enlarge, tile, write
        self._most = float(np.iinfo(image.dtype).max)
        self._below: Float32[np.ndarray, "b sW C"] | None = None

    def make(self, rows: slice) -> None:
        """Enlarge rows, and write what no later band changes; a failure leaves all as it was."""
        height, width, channels = self._image.shape
        s = self._enlarge.scale
        top, ready, bottom = _seen(rows.start, rows.stop, height)
        settled = np.empty(((ready - top) * s, width * s, channels), self._image.dtype)
        below = np.empty(((bottom - ready) * s, width * s, channels), np.float32)
        beside: Float32[np.ndarray, "h b C"] | None = None
        count = _parts(width, self._tile.size)
        for index in range(count):
            left, done, right = _seen(width * index // count, width * (index + 1) // count, width)
            values = self._part(slice(top, bottom), slice(left, right))
            if beside is not None:
                _mix(values, beside, 1)
            beside = values[:, (done - left) * s :]
            values = values[:, : (done - left) * s]
            place = slice(left * s, done * s)
            if self._below is not None:
                _mix(values, self._below[:, place], 0)
            settled[:, place] = np.rint(values[: len(settled)])
            below[:, place] = values[len(settled) :]
        self._write(settled)
        self._below = below

    @torch.no_grad()
    def _part(self, rows: slice, columns: slice) -> Float32[np.ndarray, "h w C"]:
        """A part of the result, in the image's units, within its range."""
        height, width, channels = self._image.shape
        s, margin = self._enlarge.scale, self._enlarge.reach
        top, left = max(rows.start - margin, 0), max(columns.start - margin, 0)
        seen = self._image[top : min(rows.stop + margin, height), left : min(columns.stop + margin, width)]
        batch = torch.from_numpy(seen.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / self._most
        out = self._enlarge.function(batch.expand(-1, 3, -1, -1))
        first, second = (rows.start - top) * s, (columns.start - left) * s
        out = out[0, :, first:, second:][:, : (rows.stop - rows.start) * s, : (columns.stop - columns.start) * s]
        out = out.mean(0, keepdim=True) if channels == 1 else out
        if not bool(out.isfinite().all()):
            raise OptionError("the network's output is not finite", hint="use --precision float32, or other weights")
        values = out.float().clamp(0, 1).mul(self._most)
        return values.permute(1, 2, 0).contiguous().numpy()


def _seen(start: int, stop: int, length: int) -> tuple[int, int, int]:
    """Of a tile along an axis: where it begins, where the next one begins, where it ends, with what is blended."""
    following = max(stop - BLENDED, 0) if stop < length else length
    return max(start - BLENDED, 0), following, min(stop + BLENDED, length)


def _parts(length: int, side: int) -> int:
    return -(-length // side)


def _mix(values: Float32[np.ndarray, "_ _ C"], before: Float32[np.ndarray, "_ _ C"], axis: int) -> None:
    """Go over from one tile to the next, in place, over all that the one before has in common with it."""
    length = before.shape[axis]
    share = ((np.arange(length, dtype=np.float32) + 0.5) / length).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    common = values[:length] if axis == 0 else values[:, :length]
    common += (before - common) * (1 - share)
