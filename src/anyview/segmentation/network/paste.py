"""Masks of boxes, laid into the image (Mask R-CNN, arXiv 1703.06870, section 3.1).

The same pixels as torchvision's: the mask gets a rim of zeros, its box grows with it and is cut to whole pixels, and
the mask is stretched over them (bilinear). The work is that of the boxes' pixels, not of the image's, and beside the
result only one box is in memory. Letters: N masks of M x M values; H, W the sides of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from anyview.segmentation.network.transform import Size

_RIM = 1  # values around a mask


@dataclass(frozen=True, eq=False)
class MaskCrops:
    """Masks of an image, each only as large as its box: what fits into memory when images are huge.

    Attributes:
        crops: (h, w) each, True where the object is.
        corners: row and column of each crop's first pixel in the image.
        size: of the image.
    """

    crops: list[Tensor]
    corners: list[tuple[int, int]]
    size: Size

    def __len__(self) -> int:
        return len(self.crops)

    def full(self, index: int) -> Bool[Tensor, "H W"]:
        """One mask at the size of the image."""
        crop, (top, left) = self.crops[index], self.corners[index]
        whole = crop.new_zeros(self.size)
        whole[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        return whole


def paste_masks(masks: Float[Tensor, "N M M"], boxes: Float[Tensor, "N 4"], size: Size) -> Float[Tensor, "N H W"]:
    """Probabilities at every pixel of the image.

    Args:
        masks: probabilities in each box.
        boxes: (x0, y0, x1, y1), pixels of the image.
        size: of the image.
    """
    whole = masks.new_zeros((len(masks), *size))
    for into, piece in zip(whole, _pieces(masks, boxes, size), strict=True):
        piece.place(into).copy_(piece.values)
    return whole


def paste_binary(
    masks: Float[Tensor, "N M M"], boxes: Float[Tensor, "N 4"], size: Size, threshold: float = 0.5
) -> Bool[Tensor, "N H W"]:
    """Where the probability is the threshold or more; arguments as of `paste_masks`."""
    whole = masks.new_zeros((len(masks), *size), dtype=torch.bool)
    for into, piece in zip(whole, _pieces(masks, boxes, size), strict=True):
        torch.ge(piece.values, threshold, out=piece.place(into))
    return whole


def crop_masks(
    masks: Float[Tensor, "N M M"], boxes: Float[Tensor, "N 4"], size: Size, threshold: float = 0.5
) -> MaskCrops:
    """The same as `paste_binary`, without what lies outside the boxes."""
    pieces = [(piece.values >= threshold, piece.corner) for piece in _pieces(masks, boxes, size)]
    return MaskCrops([crop for crop, _ in pieces], [corner for _, corner in pieces], size)


class _Piece(NamedTuple):
    """What a mask says of the image's pixels in its box."""

    values: Tensor
    corner: tuple[int, int]

    def place(self, whole: Tensor) -> Tensor:
        """The view of an image (H, W) that the piece covers."""
        (top, left), (rows, columns) = self.corner, self.values.shape
        return whole[top : top + rows, left : left + columns]


def _pieces(masks: Tensor, boxes: Tensor, size: Size) -> Iterator[_Piece]:
    """One piece for each mask; empty where the box lies outside the image."""
    rimmed = functional.pad(masks, (_RIM,) * 4)[:, None, None]
    for mask, (x0, y0, x1, y1) in zip(rimmed, _whole_pixels(boxes, masks.shape[-1]).tolist(), strict=True):
        grown = functional.interpolate(mask, (max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)), mode="bilinear")[0, 0]
        top, left = min(max(y0, 0), size[0]), min(max(x0, 0), size[1])
        bottom, right = max(min(y1 + 1, size[0]), top), max(min(x1 + 1, size[1]), left)
        yield _Piece(grown[top - y0 : bottom - y0, left - x0 : right - x0], (top, left))


def _whole_pixels(boxes: Tensor, side: int) -> Int[Tensor, "N 4"]:
    """Boxes grown by the rim, their first and last pixels."""
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ((side + 2 * _RIM) / side)
    center = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    return torch.cat([center - half, center + half], dim=1).long()
