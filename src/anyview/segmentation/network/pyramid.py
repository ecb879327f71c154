"""Feature pyramid (Lin et al. 2016, arXiv 1612.03144, figure 3): coarse meaning carried down to fine maps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from anyview.segmentation.network.layers import Norm, conv_block


class FeaturePyramid(nn.Module):
    """Maps of a body, finest first, to as many maps of equal channels and one of half the last one's size.

    Args:
        inputs: channels of the body's maps.
        channels: of every map of the pyramid.
        norm: after each convolution; None gives biases instead.
    """

    def __init__(self, inputs: list[int], channels: int, norm: Norm | None = None) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(conv_block(c, channels, 1, norm, activation=False) for c in inputs)
        self.layer_blocks = nn.ModuleList(conv_block(channels, channels, 3, norm, activation=False) for _ in inputs)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The pyramid, finest first."""
        lateral = [block(x) for block, x in zip(self.inner_blocks, maps, strict=True)]
        for i in range(len(lateral) - 2, -1, -1):
            lateral[i] = lateral[i] + functional.interpolate(lateral[i + 1], lateral[i].shape[-2:], mode="nearest")
        smooth = [block(x) for block, x in zip(self.layer_blocks, lateral, strict=True)]
        return [*smooth, functional.max_pool2d(smooth[-1], 1, 2)]  # a window of one: every second value
