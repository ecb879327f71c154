"""The mask head: which pixels of a box belong to the object (Mask R-CNN, arXiv 1703.06870, section 3, figure 4 right).

Letters: R regions. Every class has a mask of its own; only the one of the wanted class is computed.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from anyview.segmentation.network.layers import Norm, evenly, init_normal_for_relu, region_block
from anyview.segmentation.network.targets import Truth

SIDE: Final = 14
"""Samples along each side of a region; a mask has twice as many."""


class MaskHead(nn.Sequential):
    """Four convolutions."""

    def __init__(self, channels: int, norm: Norm | None) -> None:
        super().__init__(*(region_block(channels, channels, norm) for _ in range(4)))
        init_normal_for_relu(self)


class MaskPredictor(nn.Module):
    """Twice the resolution, then a logit for each pixel."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.mask_fcn_logits = nn.Conv2d(channels, num_classes, 1)
        init_normal_for_relu(self)

    def forward(self, x: Float[Tensor, "R c 14 14"], labels: Int[Tensor, "R"]) -> Float[Tensor, "R 28 28"]:
        """The logits of each region's class, float32."""
        hidden = torch.relu_(evenly(self.conv5_mask, x))
        weight, bias = self.mask_fcn_logits.weight[labels, :, 0, 0], self.mask_fcn_logits.bias
        assert bias is not None
        return torch.einsum("rchw,rc->rhw", hidden, weight).float() + bias[labels].float()[:, None, None]


def mask_loss(
    logits: Float[Tensor, "R 28 28"],
    boxes: Float[Tensor, "R 4"],
    image: Int[Tensor, "R"],
    index: Int[Tensor, "R"],
    truth: list[Truth],
) -> Float[Tensor, ""]:
    """Cross entropy, mean over the pixels of all regions, of which there is one at least.

    Args:
        logits: of each region's class.
        boxes: pixels of the batch.
        image, index: the object that each region stands for, regions ordered by image.
        truth: of each image.
    """
    side = logits.shape[-1]
    wanted = [
        # image by image, for a sample at an image's edge takes its last pixel, and images differ in size
        roi_align(t.masks[:, None].float(), torch.cat([index[here, None].float(), boxes[here]], 1), side)[:, 0]
        for t, here in ((t, image == i) for i, t in enumerate(truth))
        if len(t.masks)
    ]
    return functional.binary_cross_entropy_with_logits(logits, torch.cat(wanted))
