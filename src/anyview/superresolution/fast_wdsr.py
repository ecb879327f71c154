"""WDSR for inference: B's wide maps are made and used band by band, so that they never leave the processor's cache."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.superresolution.network.layers import Upscaler, check_images
from anyview.superresolution.network.wdsr import WDSR, Block

_BAND = 3 << 19  # numbers of a wide map at a time: 3 MiB of bfloat16
_EVEN = 16  # channels that processors' tiles and vectors are filled with


class FastWDSR(Upscaler):
    """WDSR whose wide maps stay in the cache, and whose two branches are added in float32.

    Args:
        network: without gradients and weight norm; its parts are taken over.
    """

    def __init__(self, network: WDSR) -> None:
        super().__init__(network.options)
        for index, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            if isinstance(block.narrow, nn.Sequential):
                network.blocks[index] = BandedBlock(block)
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`."""
        check_images(images)
        net = self.network
        colours = self.normalise(images.float()).to(net.head.weight.dtype, memory_format=torch.channels_last)
        x = net.head(colours)
        for block in net.blocks:
            x = block(x)
        out = net.tail(x).float() + net.skip(colours).float()
        return self.denormalise(functional.pixel_shuffle(out, self.options.scale))


class BandedBlock(nn.Module):
    """A block of WDSR-B; its narrow layer (25 channels of 32) gets channels of zeros, so that tiles are full.

    Args:
        block: without gradients; its parts are taken over.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        assert isinstance(block.narrow, nn.Sequential)
        narrow, last = block.narrow
        assert isinstance(narrow, nn.Conv2d)
        assert isinstance(last, nn.Conv2d)
        more = -narrow.out_channels % _EVEN
        narrow.weight = _frozen(functional.pad(narrow.weight, (0, 0, 0, 0, 0, 0, 0, more)))
        assert narrow.bias is not None
        narrow.bias = _frozen(functional.pad(narrow.bias, (0, more)))
        last.weight = _frozen(functional.pad(last.weight, (0, 0, 0, 0, 0, more)))
        narrow.out_channels = last.in_channels = narrow.out_channels + more
        self.wide, self.narrow, self.last, self.scaling = block.wide, narrow, last, block.scaling

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """As `Block`."""
        images, _, height, width = x.shape
        rows = max(1, _BAND // (width * self.wide.out_channels))
        shape = (images, self.narrow.out_channels, height, width)
        middle = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for image in range(images):
            for top in range(0, height, rows):
                place = (slice(image, image + 1), slice(None), slice(top, top + rows))
                middle[place] = self.narrow(self.wide(x[place]).relu_())
        y = self.last(middle)
        return (y if self.scaling == 1 else y.mul_(self.scaling)).add_(x)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
