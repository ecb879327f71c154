"""Large images by overlapping tiles: small things are found in tiles, large ones in the whole.

A network reduces what it gets, and with it what is to be found. A tile is reduced less, but cuts things. So an image is
looked at twice: whole, reduced, for what is larger than the overlap of tiles; and tile by tile. Whatever a tile's inner
border cuts gives way to the same thing seen whole, in a neighbour or in the image. One tile is in memory at a time.

Letters: N objects of one image, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from anyview.errors import OptionError
from anyview.segmentation.data.scaling import scaled
from anyview.segmentation.mask_rcnn import Found
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.network.transform import Size
from anyview.segmentation.options import ImageOptions

TileSide: TypeAlias = int | Literal["auto"]

_LEAST_TILE = 64  # pixels
_SAME = 0.5  # overlap (IoU) of masks from which on two of a class are one thing; the share of a cut one in a whole one
_REDUCED = 2  # times the network's longer side: what the whole image is reduced to
_SHORTER, _LONGER = 2, 4  # of the network's sides: of a tile, and of an image that is looked at in tiles


@runtime_checkable
class Finder(Protocol):
    """What a `Detector` is."""

    def __call__(self, images: Sequence[Tensor], sizes: Sequence[Size] | None = None) -> list[Found]:
        """See `anyview.segmentation.detector.Detector`."""
        ...


@dataclass(frozen=True)
class TileOptions:
    """How a large image is looked at.

    Attributes:
        side: of a square tile, pixels; 0 is none, every image is looked at as it is. "auto" takes twice the network's
            shorter side, for images whose longer side is more than four times the network's.
        overlap: of neighbours, as a share of the side. What is smaller by a 64th of the side is whole in some tile.
    """

    side: TileSide = "auto"
    overlap: float = 0.25

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        if self.side != "auto" and self.side != 0 and self.side < _LEAST_TILE:
            expected = f"auto, 0 for none, or {_LEAST_TILE} pixels and more"
            raise OptionError("option out of range", where="--tile", expected=expected, actual=self.side)
        if not 0 <= self.overlap <= 0.75:
            raise OptionError("option out of range", where="overlap", expected="0 to 0.75", actual=self.overlap)


def tile_side(options: TileOptions, images: ImageOptions, size: Size) -> int:
    """The side of this image's tiles, pixels; 0 where it is looked at as it is."""
    if options.side == "auto":
        return _SHORTER * images.min_size[-1] if max(size) > _LONGER * images.max_size else 0
    return options.side if max(size) > options.side else 0


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where tiles begin along an axis: evenly; the last one ends with the image, and all share the overlap or more."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    return [round(x) for x in np.linspace(0, length - side, count)]


def find_in_tiles(find: Finder, image: UInt8[Tensor, "3 H W"], side: int, overlap: float, longest: int) -> Found:
    """The objects of an image, best first; masks are crops.

    Args:
        find: the detector.
        image: 8 bits.
        side: of a tile, pixels.
        overlap: of tiles, as a share of the side.
        longest: the longer side to which a network reduces; the whole image is not given to it with many more pixels.
    """
    height, width = image.shape[1:]
    parts = [_whole(find, image, longest)]
    parts += [_tile(find, image, corner, side) for corner in _corners((height, width), side, overlap)]
    blur = int(np.ceil(max(height, width) / (_REDUCED * longest))) + 1
    return merged(_joined(parts, (height, width)), blur)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Detections from all tiles, in pixels of the image.

    Attributes:
        found: as a model gives them.
        rank: 0 seen whole in a tile, 1 in the reduced image, 2 cut by a tile's border.
    """

    found: Found
    rank: Tensor


def merged(candidates: Candidates, blur: int = 1) -> Found:
    """Each thing once, best first.

    Of two of a class that are one thing, the one seen whole in a tile stays, then the one from the reduced image, then
    the better score; it gets the better score of both.

    Args:
        candidates: of all tiles and of the whole image.
        blur: how far the reduced image's outlines may be off, pixels: a sliver that a border cut off may lie there.
    """
    found, rank = candidates.found, candidates.rank
    crops: MaskCrops = found["masks"]
    areas = [int(crop.sum()) for crop in crops.crops]
    order = np.lexsort((-found["scores"].numpy(), rank.numpy())).tolist()
    near = (
        (box_iou(_grown(found["boxes"], blur), found["boxes"]) > 0) & (found["labels"][:, None] == found["labels"])
    ).numpy()
    scores = found["scores"].clone()
    kept: list[int] = []
    for i in order:
        cut = int(rank[i]) == 2
        same = [k for k in kept if near[i, k] and _is_same(_shared(crops, i, k, cut * blur), areas[i], areas[k], cut)]
        for k in same:
            scores[k] = torch.maximum(scores[k], scores[i])
        if not same and areas[i]:
            kept.append(i)
    best = sorted(kept, key=lambda k: -float(scores[k]))
    masks = MaskCrops([crops.crops[k] for k in best], [crops.corners[k] for k in best], crops.size)
    return {"boxes": found["boxes"][best], "labels": found["labels"][best], "scores": scores[best], "masks": masks}


def _grown(boxes: Float32[Tensor, "N 4"], by: int) -> Float32[Tensor, "N 4"]:
    """Boxes wider to all sides."""
    return boxes + boxes.new_tensor([-by, -by, by, by])


def _is_same(shared: int, area: int, other: int, cut: bool) -> bool:
    """Whether a mask is that of another one, of which it may be a part if a border cut it."""
    return area > 0 and shared >= _SAME * (area if cut else area + other - shared)


def _shared(crops: MaskCrops, i: int, k: int, grow: int) -> int:
    """Pixels in both masks, the second of which grows by some pixels to all sides."""
    (a, b), (s, t) = (crops.crops[i], crops.crops[k]), (crops.corners[i], crops.corners[k])
    if grow:
        padded = functional.pad(b[None].float(), (grow,) * 4)
        b, t = functional.max_pool2d(padded, 2 * grow + 1, 1, grow)[0].bool(), (t[0] - grow, t[1] - grow)
    top, left = max(s[0], t[0]), max(s[1], t[1])
    bottom = min(s[0] + a.shape[0], t[0] + b.shape[0])
    right = min(s[1] + a.shape[1], t[1] + b.shape[1])
    if bottom <= top or right <= left:
        return 0
    return int((_window(a, s, top, left, bottom, right) & _window(b, t, top, left, bottom, right)).sum())


def _window(
    crop: Bool[Tensor, "_ _"], corner: tuple[int, int], top: int, left: int, bottom: int, right: int
) -> Bool[Tensor, "_ _"]:
    """The part of a crop in some rows and columns of the image."""
    return crop[top - corner[0] : bottom - corner[0], left - corner[1] : right - corner[1]]


def _corners(size: Size, side: int, overlap: float) -> Iterator[tuple[int, int]]:
    """First row and column of every tile."""
    for top in starts(size[0], side, overlap):
        for left in starts(size[1], side, overlap):
            yield top, left


def _whole(find: Finder, image: Tensor, longest: int) -> Candidates:
    """What is found in the whole image, reduced beforehand to twice what a network would reduce it to."""
    size = (int(image.shape[1]), int(image.shape[2]))
    factor = min(_REDUCED * longest / max(size), 1)
    small = (max(round(size[0] * factor), 1), max(round(size[1] * factor), 1))
    if factor < 1:
        image = scaled(image, *small)
    (found,) = find([image], [size])
    return Candidates(_on_host(found), torch.ones(len(found["labels"]), dtype=torch.int64))


def _tile(find: Finder, image: Tensor, corner: tuple[int, int], side: int) -> Candidates:
    """What is found in one tile."""
    (top, left), (height, width) = corner, image.shape[1:]
    piece = image[:, top : top + side, left : left + side]
    (found,) = find([piece])
    found = _on_host(found)
    margin = side / 128  # about six pixels of the network's: a box of something cut may end that far from the border
    inner = torch.tensor([left > 0, top > 0, left + side < width, top + side < height])
    boxes: Float32[Tensor, "N 4"] = found["boxes"]
    to_border = torch.cat([boxes[:, :2], boxes.new_tensor([piece.shape[2], piece.shape[1]]) - boxes[:, 2:]], 1)
    cut = ((to_border < margin) & inner).any(1)
    masks: MaskCrops = found["masks"]
    corners = [(top + row, left + column) for row, column in masks.corners]
    moved = {
        **found,
        "boxes": boxes + boxes.new_tensor([left, top, left, top]),
        "masks": MaskCrops(masks.crops, corners, (height, width)),
    }
    return Candidates(moved, cut.long() * 2)


def _on_host(found: Found) -> Found:
    """Detections in the host's memory."""
    masks: MaskCrops = found["masks"]
    host = MaskCrops([crop.cpu() for crop in masks.crops], masks.corners, masks.size)
    return {**{key: found[key].cpu() for key in ("boxes", "labels", "scores")}, "masks": host}


def _joined(parts: list[Candidates], size: Size) -> Candidates:
    """Lists in one."""
    found: Found = {key: torch.cat([part.found[key] for part in parts]) for key in ("boxes", "labels", "scores")}
    crops = [crop for part in parts for crop in part.found["masks"].crops]
    corners = [corner for part in parts for corner in part.found["masks"].corners]
    return Candidates({**found, "masks": MaskCrops(crops, corners, size)}, torch.cat([part.rank for part in parts]))
