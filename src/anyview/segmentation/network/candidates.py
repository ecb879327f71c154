"""Which pairs of a proposal and a class are worth a look: those with a probability above a threshold.

Letters: R regions of all images, L classes without the background, B images, P proposals and K candidates of each.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anyview.segmentation.options import DetectionOptions


class Candidates(NamedTuple):
    """Equally many for each image.

    Attributes:
        region, column: the row and column of the table of probabilities.
        scores: what stands there.
        valid: which are candidates; the others fill up.
    """

    region: Int[Tensor, "B K"]
    column: Int[Tensor, "B K"]
    scores: Float[Tensor, "B K"]
    valid: Bool[Tensor, "B K"]


def candidates(
    table: Float[Tensor, "R L"], image: Int[Tensor, "R"], images: int, options: DetectionOptions
) -> Candidates:
    """All entries above the threshold, in their order.

    Args:
        table: probability of each class for each region.
        image: of each region, ascending.
        images: B.
        options: the threshold.
    """
    region, column = (table > options.score_threshold).nonzero(as_tuple=True)
    owner = image[region]
    counts = owner.bincount(minlength=images)
    most = int(counts.max())
    place = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner]

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros((images, most)).index_put((owner, place), values)

    return Candidates(
        spread(region), spread(column), spread(table[region, column]), spread(torch.ones_like(owner, dtype=torch.bool))
    )


def best_candidates(
    table: Float[Tensor, "R L"], proposals: Bool[Tensor, "B P"], options: DetectionOptions
) -> Candidates:
    """A fixed number of each image: its best, of which those above the threshold are valid.

    Args:
        table: probability of each class for each proposal, row by row: R = B P.
        proposals: the valid ones.
        options: threshold and number.
    """
    images, each = proposals.shape
    kinds = table.shape[1]
    rows = table.masked_fill(~proposals.reshape(-1, 1), 0).reshape(images, each * kinds)
    scores, index = rows.topk(min(options.candidates, each * kinds), dim=1)
    first = torch.arange(images, device=table.device)[:, None] * each
    return Candidates(first + index // kinds, index % kinds, scores, scores > options.score_threshold)
