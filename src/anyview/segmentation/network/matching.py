"""Which object a box stands for, and which boxes a loss takes (Faster R-CNN, arXiv 1506.01497, section 3.1.2)."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou

BACKGROUND: Final = -1
IGNORED: Final = -2
_INSIDE_CROWD: Final = 0.5  # share of a background box within a crowd from which on it is ignored


def match(
    truth: Float[Tensor, "G 4"],
    boxes: Float[Tensor, "N 4"],
    positive: float,
    negative: float,
    each_gets_one: bool,
    crowds: Float[Tensor, "_ 4"] | None = None,
) -> Int[Tensor, "N"]:
    """For each box the index of the object that it overlaps most, `BACKGROUND` or `IGNORED`.

    Args:
        truth: the objects' boxes.
        boxes: anchors or proposals.
        positive: overlap (intersection over union) from which on a box is the object.
        negative: below it the box is background; between both it is ignored.
        each_gets_one: boxes that overlap an object as much as any other box does are matched with what they overlap
            most, however little that is.
        crowds: boxes of crowds, in which background is not known to be such.
    """
    if len(truth):
        overlap = box_iou(truth, boxes)
        most, nearest = overlap.max(dim=0)
        matched = torch.where(most >= negative, IGNORED, BACKGROUND)
        found = most >= positive
        if each_gets_one:
            highest = overlap.amax(dim=1, keepdim=True)
            found |= ((overlap == highest) & (highest > 0)).any(dim=0)  # an object that nothing touches gets none
        matched = torch.where(found, nearest, matched)
    else:
        matched = torch.full((len(boxes),), BACKGROUND, device=boxes.device)
    if crowds is not None and len(crowds):
        inside = _share_inside(boxes, crowds) > _INSIDE_CROWD
        matched = torch.where((matched == BACKGROUND) & inside, IGNORED, matched)
    return matched


def _share_inside(boxes: Float[Tensor, "N 4"], crowds: Float[Tensor, "C 4"]) -> Float[Tensor, "N"]:
    """Of each box the largest share of its area within one crowd."""
    low = torch.maximum(boxes[:, None, :2], crowds[:, :2])
    high = torch.minimum(boxes[:, None, 2:], crowds[:, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).clamp_min(torch.finfo(boxes.dtype).tiny)
    return (high - low).clamp_min(0).prod(dim=2).amax(dim=1) / area


def sample(
    positive: Bool[Tensor, "B N"],
    negative: Bool[Tensor, "B N"],
    count: int,
    share: float,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "B N"]:
    """Up to `count` boxes of each image at random: at most `share` of them positive, the rest negative.

    Args:
        positive, negative: what may be drawn; nothing is both.
        count: wanted of each image. Fewer come where there are too few.
        share: most positives, of 1. Missing ones are made up for by negatives.
        generator: of randomness, on any device; None is torch's own.
    """
    device = positive.device if generator is None else generator.device
    key = torch.rand(positive.shape, generator=generator, device=device).to(positive.device)
    objects = torch.full_like(positive[:, 0], int(count * share), dtype=torch.long)
    chosen = _highest(key, positive, objects, int(count * share))
    return chosen | _highest(key, negative, count - chosen.sum(dim=1), count)


def _highest(
    key: Float[Tensor, "B N"], allowed: Bool[Tensor, "B N"], wanted: Int[Tensor, "B"], most: int
) -> Bool[Tensor, "B N"]:
    """The allowed ones with the highest keys: as many as are wanted, which is `most` at most."""
    value, index = key.masked_fill(~allowed, -1).topk(min(most, key.shape[1]), dim=1)
    rank = torch.arange(value.shape[1], device=key.device)
    return torch.zeros_like(allowed).scatter(1, index, (value >= 0) & (rank < wanted[:, None]))
