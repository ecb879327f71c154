"""EDSR for inference, with an upsampling of a tenth of the products (x4).

It has no activation between its convolutions, so all of it with the last convolution is one 5x5 convolution of small
maps, and there is no map of 64 channels at four times the size. Only along the image's border, where the zeros around
larger maps count, the steps are walked as they were trained.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.superresolution.network.edsr import EDSR
from anyview.superresolution.network.layers import Upscaler, check_images

_REACH = 2  # small pixels that a large one sees through shuffles and their 3x3 convolutions, whatever the scale
_STRIP = 2 * _REACH


class FastEDSR(Upscaler):
    """EDSR whose upsampling is one convolution.

    Args:
        network: without gradients; its parts are taken over.
    """

    def __init__(self, network: EDSR) -> None:
        super().__init__(network.options)
        self.network = network
        self.end = _one_convolution(network)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`."""
        check_images(images)
        net = self.network
        colours = self.normalise(images.float()).to(net.head.weight.dtype, memory_format=torch.channels_last)
        first = x = net.head(colours)
        for block in net.blocks:
            x = block(x)
        x = net.body_end(x).add_(first)
        if min(x.shape[2:]) < 2 * _STRIP:
            return self.denormalise(self._steps(x))
        out = functional.pixel_shuffle(self.end(x).float(), self.options.scale)
        rim = _REACH * self.options.scale
        out[:, :, :rim] = self._steps(x[:, :, :_STRIP])[:, :, :rim]
        out[:, :, -rim:] = self._steps(x[:, :, -_STRIP:])[:, :, -rim:]
        out[:, :, :, :rim] = self._steps(x[:, :, :, :_STRIP])[:, :, :, :rim]
        out[:, :, :, -rim:] = self._steps(x[:, :, :, -_STRIP:])[:, :, :, -rim:]
        return self.denormalise(out)

    def _steps(self, x: Tensor) -> Tensor:
        """The upsampling as it was trained."""
        for step in self.network.upsample:
            x = step(x)
        return self.network.tail(x).float()


def _one_convolution(network: EDSR) -> nn.Conv2d:
    """The convolution that all of the upsampling is, inside an image; found by what impulses become."""
    features, scale = network.options.num_features, network.options.scale
    steps = nn.Sequential(*network.upsample, network.tail).double()
    around = 2 * _REACH  # far enough from the rim of the impulses' images
    inner = slice(around - _REACH, around + _REACH + 1)
    zero = torch.zeros(1, features, 2 * around + 1, 2 * around + 1, dtype=torch.float64)
    rest = functional.pixel_unshuffle(steps(zero), scale)[0, :, inner, inner]
    end = nn.Conv2d(features, 3 * scale**2, 2 * _REACH + 1, padding=_REACH).requires_grad_(False)
    assert end.bias is not None
    end.bias.copy_(rest[:, _REACH, _REACH])
    for feature in range(features):
        impulse = zero.clone()
        impulse[0, feature, around, around] = 1
        answer = functional.pixel_unshuffle(steps(impulse), scale)[0, :, inner, inner] - rest
        end.weight[:, feature] = answer.flip(1, 2)
    steps.float()
    return end
