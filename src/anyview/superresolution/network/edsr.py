"""EDSR (Lim et al. 2017, arXiv 1707.02921): residual blocks without norms, then pixel shuffles.

Baseline: 16 blocks of 64 features. The large one: 32 of 256, residual scaling 0.1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.superresolution.network.layers import Upscaler, check_images, conv, last_gain, shuffle_steps
from anyview.superresolution.options import NetworkOptions


class EDSR(Upscaler):
    """The network; see `anyview.superresolution.edsr` for its usual arguments.

    Args:
        options: of arch "edsr".
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        features = options.num_features
        self.head = conv(3, features, 3)
        self.blocks = nn.ModuleList(
            Block(features, options.residual_scaling, last_gain(options)) for _ in range(options.num_blocks)
        )
        self.body_end = conv(features, features, 3)
        self.upsample = nn.ModuleList(Shuffled(features, factor) for factor in shuffle_steps(options.scale))
        self.tail = conv(features, 3, 3)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`."""
        check_images(images)
        first = x = self.head(self.normalise(images))
        for block in self.blocks:
            x = block(x)
        x = first + self.body_end(x)
        for step in self.upsample:
            x = step(x)
        return self.denormalise(self.tail(x))


class Block(nn.Module):
    """Convolution, ReLU, convolution, times a constant, added to the input.

    Args:
        features: channels.
        scaling: the constant.
        gain: of the second convolution's first weights.
    """

    def __init__(self, features: int, scaling: float, gain: float) -> None:
        super().__init__()
        self.conv1 = conv(features, features, 3)
        self.conv2 = conv(features, features, 3, gain=gain)
        self.scaling = scaling

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The sum."""
        y = self.conv2(functional.relu(self.conv1(x)))
        return x + (y if self.scaling == 1 else y * self.scaling)


class Shuffled(nn.Module):
    """A convolution whose channels become pixels: one step of upsampling.

    Args:
        features: channels before and after.
        factor: pixels for one, along a side.
    """

    def __init__(self, features: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = conv(features, features * factor**2, 3)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C fH fW"]:
        """The larger map."""
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return functional.pixel_shuffle(self.conv(x), self.factor)
        # torch's shuffle of channels that lie together goes number by number, its way back even slower: here a
        # pixel's channels come out of the convolution side by side, and are moved as one
        weight, bias = (self._pixel_first(one) for one in (self.conv.weight, self.conv.bias) if one is not None)
        y = functional.conv2d(x, weight, bias, padding=1)
        batch, channels, height, width = y.shape
        parts = (batch, height, width, self.factor, self.factor, channels // self.factor**2)
        moved = y.permute(0, 2, 3, 1).reshape(parts).permute(0, 1, 3, 2, 4, 5)
        return moved.reshape(batch, height * self.factor, width * self.factor, parts[-1]).permute(0, 3, 1, 2)

    def _pixel_first(self, tensor: Tensor) -> Tensor:
        """Output channels in another order: pixels of the larger map, then features, where they were the other way."""
        return tensor.unflatten(0, (-1, self.factor**2)).transpose(0, 1).flatten(0, 1)
