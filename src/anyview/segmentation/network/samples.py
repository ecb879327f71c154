"""Which proposals the box head and the mask head learn from (Fast R-CNN, arXiv 1504.08083, section 2.3).

Letters: B images, P proposals of each, R drawn regions of all images, K of them objects.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from anyview.segmentation.network.matching import BACKGROUND, IGNORED, match, sample
from anyview.segmentation.network.rpn import Proposals
from anyview.segmentation.network.targets import Truth, pick
from anyview.segmentation.options import DetectionOptions


class Samples(NamedTuple):
    """Regions of known content, ordered by image.

    Attributes:
        regions: index of the image, then box in pixels of the batch.
        labels: classes, 0 for the background.
        objects: which regions are not background.
        image, which: the object that each of these stands for: its image, and its place there.
    """

    regions: Float[Tensor, "R 5"]
    labels: Int[Tensor, "R"]
    objects: Bool[Tensor, "R"]
    image: Int[Tensor, "K"]
    which: Int[Tensor, "K"]


@torch.no_grad()
def draw(
    proposals: Proposals, truth: list[Truth], options: DetectionOptions, generator: torch.Generator | None = None
) -> Samples:
    """Draw from the proposals and the true boxes of each image.

    Args:
        proposals: of each image.
        truth: of each image.
        options: thresholds and numbers.
        generator: of randomness; None is torch's own.
    """
    o = options
    own = pad_sequence([t.boxes for t in truth], batch_first=True)
    exists = pad_sequence([torch.ones_like(t.labels, dtype=torch.bool) for t in truth], batch_first=True)
    boxes, valid = torch.cat([proposals.boxes, own], 1), torch.cat([proposals.valid, exists], 1)
    found = [
        match(t.boxes, b, o.positive_iou, o.positive_iou, False, t.crowds) for t, b in zip(truth, boxes, strict=True)
    ]
    matched = torch.stack(found).masked_fill(~valid, IGNORED)
    chosen = sample(matched >= 0, matched == BACKGROUND, o.samples, o.positive_share, generator)
    image, place = chosen.nonzero(as_tuple=True)
    index = matched[image, place]
    regions = torch.cat([image[:, None].to(boxes.dtype), boxes[image, place]], 1)
    objects = index >= 0
    labels = torch.zeros_like(index)
    labels[objects] = pick([t.labels for t in truth], image[objects], index[objects])
    return Samples(regions, labels, objects, image[objects], index[objects])


def spread_over(image: Int[Tensor, "K"], most: int | None) -> Bool[Tensor, "K"]:
    """Of more objects in an image than `most`, so many, at equal distances; None takes all.

    Args:
        image: of each object, ascending.
        most: per image.
    """
    if most is None:
        return torch.ones_like(image, dtype=torch.bool)
    counts = image.bincount()
    place = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
    number = counts[image]
    return (number <= most) | ((place + 1) * most // number > place * most // number)
