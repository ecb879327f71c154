"""The box head: class and place of what a region shows (Faster R-CNN, arXiv 1506.01497; Fast R-CNN, 1504.08083).

Letters: R regions, C classes with the background as class 0. Each class has offsets of its own.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from anyview.segmentation.network.layers import Norm, init_normal_for_relu, region_block

SIDE: Final = 7
"""Samples along each side of a region."""

_WIDER: Final = 4  # hidden layers have so many times the channels of the maps
_BETA: Final = 1 / 9  # where the smooth L1 loss turns from square to straight


class LinearHead(nn.Module):
    """Two hidden layers: version 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = _WIDER * channels
        self.fc6 = nn.Linear(channels * SIDE**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)

    def forward(self, pooled: Float[Tensor, "R c 7 7"]) -> Float[Tensor, "R F"]:
        """Features of each region."""
        return torch.relu(self.fc7(torch.relu(self.fc6(pooled.flatten(1)))))


class ConvHead(nn.Sequential):
    """Four convolutions with norms and one hidden layer: version 2."""

    def __init__(self, channels: int, norm: Norm) -> None:
        convs = [region_block(channels, channels, norm) for _ in range(4)]
        hidden = nn.Linear(channels * SIDE**2, _WIDER * channels)
        super().__init__(*convs, nn.Flatten(), hidden, nn.ReLU(inplace=True))
        init_normal_for_relu(self)


class BoxPredictor(nn.Module):
    """A logit and an offset for each class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(_WIDER * channels, num_classes)
        self.bbox_pred = nn.Linear(_WIDER * channels, 4 * num_classes)

    def forward(self, x: Float[Tensor, "R F"]) -> tuple[Float[Tensor, "R C"], Float[Tensor, "R C 4"]]:
        """Both in float32."""
        return self.cls_score(x).float(), self.bbox_pred(x).float().unflatten(1, (-1, 4))


def box_losses(
    logits: Float[Tensor, "R C"],
    offsets: Float[Tensor, "R C 4"],
    labels: Int[Tensor, "R"],
    wanted: Float[Tensor, "K 4"],
) -> dict[str, Float[Tensor, ""]]:
    """`loss_classifier` (cross entropy) and `loss_box_reg` (smooth L1), means over all regions; there is one at least.

    Args:
        logits, offsets: predicted.
        labels: true classes.
        wanted: true offsets of the K regions whose label is not the background, in their order.
    """
    objects = labels.nonzero()[:, 0]
    kind = functional.cross_entropy(logits, labels)
    place = functional.smooth_l1_loss(offsets[objects, labels[objects]], wanted, beta=_BETA, reduction="sum")
    return {"loss_classifier": kind, "loss_box_reg": place / len(labels)}
