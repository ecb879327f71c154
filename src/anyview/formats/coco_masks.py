"""COCO's masks: run lengths in column order, their text form, and polygons as COCO rasterises them.

Letters: H rows, W columns. The work is done by faster-coco-eval's port of COCO's own code. What reaches it is looked at
first: that code walks every edge in steps of a fifth of a pixel, for ever if a coordinate is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from anyview.errors import FormatError, OptionError

try:
    from faster_coco_eval.core import mask as _masks
except ImportError as _error:
    raise OptionError(
        "the library for COCO's masks is not installed", expected="faster-coco-eval",
        hint="run pip install 'anyview[learn]'",
    ) from _error  # fmt: skip

_FARTHEST = 1e5  # coordinate of a polygon, pixels


@dataclass(frozen=True)
class RLE:
    """A mask as run lengths: of zeros and ones in turn, zeros first, down one column after the other.

    Attributes:
        height, width: pixels.
        counts: COCO's text form of the lengths, ASCII.
    """

    height: int
    width: int
    counts: bytes


def encode_mask(mask: Bool[np.ndarray, "H W"] | UInt8[np.ndarray, "H W"]) -> RLE:
    """The run lengths of a mask; whatever is not 0 belongs to it."""
    height, width = mask.shape
    down = (mask != 0).T.reshape(-1)
    turns = np.flatnonzero(down[1:] != down[:-1]) + 1
    first = [0] if down[:1].any() else []  # lengths begin with zeros, be it none
    return compress(np.diff([*first, 0, *turns.tolist(), down.size]).tolist(), height, width)


def encode_crop(crop: Bool[np.ndarray, "h w"], corner: tuple[int, int], size: tuple[int, int]) -> RLE:
    """The run lengths of a mask that lies in a part of its image; what lies outside costs next to nothing.

    Args:
        crop: True where the mask is.
        corner: row and column of its first pixel in the image.
        size: rows and columns of the image.
    """
    (top, left), (height, width) = corner, size
    rows, columns = crop.shape
    if crop.size == 0:
        return compress([height * width], height, width)
    down = np.zeros((columns, height), np.bool_)
    down[:, top : top + rows] = crop.T
    flat = down.reshape(-1)
    before, after = left * height, (width - left - columns) * height
    turns = (np.flatnonzero(flat[1:] != flat[:-1]) + 1 + before).tolist()
    first, last = [before] if flat[0] else [], [before + flat.size] if flat[-1] and after else []
    marks = [0, *first, *turns, *last, height * width]
    return compress(np.diff(marks).tolist(), height, width)


def decode_mask(rle: RLE) -> UInt8[np.ndarray, "H W"]:
    """The mask, 0 or 1.

    Raises:
        FormatError: the lengths do not make up the size.
    """
    runs = run_lengths(rle)
    values = np.arange(len(runs), dtype=np.uint8) & np.uint8(1)
    return np.repeat(values, runs).reshape(rle.width, rle.height).T


def run_lengths(rle: RLE) -> Int64[np.ndarray, "N"]:
    """The lengths as numbers.

    In the text a character is 48 and six bits: five of a number, lowest first, and whether more of it follow; the last
    five have the sign. From the fourth number on it is the difference to the length before the last.

    Raises:
        FormatError: the text is damaged, or the lengths do not make up the size.
    """
    bits = np.frombuffer(rle.counts, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(bits & 32 == 0)
    if len(bits) == 0 or bits.min() < 0 or bits.max() > 63 or last[-1:] != len(bits) - 1:
        raise FormatError("run lengths are damaged", expected="COCO's text of run lengths")
    first = np.append(0, last[:-1] + 1)
    if (last - first).max() > 10:  # no 64 bits hold such a number
        raise FormatError("run lengths are damaged", expected="COCO's text of run lengths")
    places = np.arange(len(bits)) - np.repeat(first, last - first + 1)
    runs = np.add.reduceat((bits & 31) << 5 * places, first)
    runs -= np.where(bits[last] & 16, 1 << 5 * (last - first + 1), 0)
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    _check(runs.tolist(), rle.height, rle.width)
    return runs


def compress(counts: Sequence[int], height: int, width: int) -> RLE:
    """Run lengths given as numbers.

    Raises:
        FormatError: they do not make up the size.
    """
    given = list(counts)
    _check(given, height, width)
    return _to_rle(_masks.frPyObjects({"size": [height, width], "counts": given}, height, width))


def is_polygon(polygon: Float64[np.ndarray, "V"]) -> bool:
    """Whether x, y, x, y, ... are at least three points that can be walked along."""
    whole = len(polygon) >= 6 and len(polygon) % 2 == 0
    return whole and bool(np.abs(polygon).max() <= _FARTHEST)  # what is no number is not less either


def rasterize(polygons: Sequence[Float64[np.ndarray, "_"]], height: int, width: int) -> RLE:
    """What lies inside any of the polygons, by COCO's rule for the pixels on their outlines.

    Args:
        polygons: each x, y, x, y, ... in pixels; (0, 0) is the corner of the first pixel.
        height, width: of the image, pixels; what lies outside is cut off.

    Raises:
        FormatError: a polygon has fewer than three points, half a point, or one that is nowhere near an image.
    """
    if not all(is_polygon(polygon) for polygon in polygons):
        raise FormatError("not a polygon", expected="at least three points near the image, x and y in turn")
    if not polygons:
        return compress([height * width], height, width)
    parts = _masks.frPyObjects([polygon.tolist() for polygon in polygons], height, width)
    return _to_rle(_masks.merge(parts))


def mask_area(rle: RLE) -> int:
    """How many pixels belong to a mask."""
    return int(_masks.area(_from_rle(rle)))


def mask_overlaps(
    found: Sequence[RLE], true: Sequence[RLE], crowd: Bool[np.ndarray, "M"]
) -> Float64[np.ndarray, "N M"]:
    """Pixels that two masks share over those of either (IoU); over those of the found one where the true one is a
    crowd.

    Args:
        found: N masks.
        true: M masks of the same image.
        crowd: which of these are crowds.
    """
    if not found or not true:
        return np.zeros((len(found), len(true)))
    flags = [int(one) for one in crowd]
    shares = _masks.iou([_from_rle(r) for r in found], [_from_rle(r) for r in true], flags)
    return np.asarray(shares, np.float64).reshape(len(found), len(true))


def mask_box(rle: RLE) -> tuple[float, float, float, float]:
    """Left, top, width and height of the pixels that belong to a mask, pixels; four zeros where none does."""
    x, y, w, h = (float(v) for v in _masks.toBbox(_from_rle(rle)))
    return x, y, w, h


def _check(runs: list[int], height: int, width: int) -> None:
    """Raise where lengths do not make up a mask."""
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        size = f"{height * width} pixels ({width}x{height})"
        raise FormatError("run lengths do not make up the mask", expected=size, actual=f"{sum(runs)} pixels")


def _from_rle(rle: RLE) -> dict[str, Any]:
    return {"size": [rle.height, rle.width], "counts": rle.counts}


def _to_rle(found: dict[str, Any]) -> RLE:
    height, width = found["size"]
    counts = found["counts"]
    return RLE(int(height), int(width), counts.encode() if isinstance(counts, str) else bytes(counts))
