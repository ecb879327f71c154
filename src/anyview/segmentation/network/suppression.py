"""Non-maximum suppression of many independent groups in one call of fixed shape.

torchvision's `nms` gives as many indices as boxes survive, which a compiler cannot know beforehand; here the answer is
one flag per box, and the call is one opaque operator. Letters: B images, N boxes of each.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import batched_nms, nms

_SCHEMA = "(Tensor boxes, Tensor scores, Tensor valid, int[] groups, float threshold) -> Tensor"


def suppress(
    boxes: Float[Tensor, "B N 4"],
    scores: Float[Tensor, "B N"],
    valid: Bool[Tensor, "B N"],
    groups: list[int],
    threshold: float,
) -> Bool[Tensor, "B N"]:
    """Which boxes stay: valid ones that no better box of their image and group overlaps.

    Args:
        boxes: (x0, y0, x1, y1).
        scores: the better, the higher; of equal ones the first wins.
        valid: boxes that are none neither stay nor suppress.
        groups: lengths of consecutive runs of the N boxes; their sum is N. Groups do not touch each other.
        threshold: overlap (intersection over union) above which the worse box goes.
    """
    return _suppress(boxes, scores, valid, groups, threshold)


@torch.library.custom_op("anyview::suppress", mutates_args=(), schema=_SCHEMA)
def _suppress(boxes: Tensor, scores: Tensor, valid: Tensor, groups: list[int], threshold: float) -> Tensor:
    """The way that suits the device."""
    return (_at_once if boxes.is_cuda else _group_by_group)(boxes, scores, valid, groups, threshold)


def _group_by_group(boxes: Tensor, scores: Tensor, valid: Tensor, groups: list[int], threshold: float) -> Tensor:
    """For processors, where the cost grows with the square of what is looked at together."""
    keep = torch.zeros_like(valid)
    for image_boxes, image_scores, image_valid, image_keep in zip(boxes, scores, valid, keep, strict=True):
        start = 0
        for length in groups:
            index = image_valid[start : start + length].nonzero()[:, 0] + start
            image_keep[index[nms(image_boxes[index], image_scores[index], threshold)]] = True
            start += length
    return keep


def _at_once(boxes: Tensor, scores: Tensor, valid: Tensor, groups: list[int], threshold: float) -> Tensor:
    """For GPUs, where every call costs a wait; in float64, for shifts that part groups cost float32 its last digits."""
    keep = torch.zeros_like(valid)
    image, place = valid.nonzero(as_tuple=True)
    lengths = torch.tensor(groups, device=boxes.device)
    group = torch.arange(len(groups), device=boxes.device).repeat_interleave(lengths, output_size=sum(groups))
    kept = batched_nms(
        boxes[image, place].double(), scores[image, place].double(), image * len(groups) + group[place], threshold
    )
    keep[image[kept], place[kept]] = True
    return keep


@_suppress.register_fake
def _(boxes: Tensor, scores: Tensor, valid: Tensor, groups: list[int], threshold: float) -> Tensor:
    return torch.empty_like(valid)


def best(
    scores: Float[Tensor, "B N"], keep: Bool[Tensor, "B N"], most: int
) -> tuple[Tensor, Bool[Tensor, "B M"], Float[Tensor, "B M"]]:
    """The `most` best that are kept, best first: indices, which are valid, and scores (0 where not)."""
    ranked, index = scores.masked_fill(~keep, -torch.inf).sort(dim=1, descending=True, stable=True)
    ranked, index = ranked[:, :most], index[:, :most]
    valid = ranked > -torch.inf
    return index, valid, ranked.masked_fill(~valid, 0)
