"""Networks made ready for fast inference on processors: the same output, of fewer and better shaped products.

EDSR's upsampling has no activation between its convolutions, so all of it with the last convolution is one 5x5
convolution of small maps: a tenth of the products for x4, and no map of 64 channels at four times the size. Only along
the image's border, where the zeros around larger maps count, the steps are walked as they were trained.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anyview.superresolution.build import without_weight_norm
from anyview.superresolution.network.edsr import EDSR
from anyview.superresolution.network.layers import Upscaler, check_images
from anyview.superresolution.network.srgan import SRResNet
from anyview.superresolution.network.wdsr import WDSR

_REACH = 2  # small pixels that a large one sees through shuffles and their 3x3 convolutions, whatever the scale
_STRIP = 2 * _REACH
_EVEN = 16  # channels that processors' tiles and vectors are filled with


def fast(network: Upscaler, dtype: torch.dtype | None = None) -> Upscaler:
    """A copy for inference: folded, channels last, in a narrow type where the processor computes with it.

    Args:
        network: stays as it is.
        dtype: of maps and weights; None is `best_dtype`. Colours are normalised and given in float32 always.

    Returns:
        the copy, in eval mode, without gradients. Takes and gives what the network does.
    """
    plain = without_weight_norm(network).float().eval().requires_grad_(False)
    if isinstance(plain, EDSR):
        copy: Upscaler = FastEDSR(plain)
    elif isinstance(plain, WDSR):
        copy = FastWDSR(plain)
    else:
        assert isinstance(plain, SRResNet)
        copy = FastSRResNet(plain)
    dtype = best_dtype() if dtype is None else dtype
    for module in copy.modules():
        if isinstance(module, nn.Conv2d | nn.PReLU):
            module.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copy.eval()


def best_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it in hardware, otherwise float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


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


class FastWDSR(Upscaler):
    """WDSR with full tiles, whose two branches are added in float32.

    Args:
        network: without gradients and weight norm; its parts are taken over.
    """

    def __init__(self, network: WDSR) -> None:
        super().__init__(network.options)
        _even_blocks(network)
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


class FastSRResNet(Upscaler):
    """SRResNet whose norms are part of the convolutions before them.

    Args:
        network: without gradients, in eval mode; its parts are taken over.
    """

    def __init__(self, network: SRResNet) -> None:
        super().__init__(network.options)
        for block in network.blocks:
            for part in ("1", "2"):
                conv, norm = block.get_submodule(f"conv{part}"), block.get_submodule(f"norm{part}")
                setattr(block, f"conv{part}", fuse_conv_bn_eval(conv, norm))
                setattr(block, f"norm{part}", nn.Identity())
        network.body_end = nn.Sequential(fuse_conv_bn_eval(network.body_end[0], network.body_end[1]))
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`; the output lies in [0, 1]."""
        check_images(images)
        net = self.network
        x = first = net.head(images.to(net.tail.weight.dtype, memory_format=torch.channels_last))
        for block in net.blocks:
            x = block(x)
        x = net.body_end(x).add_(first)
        for step in net.upsample:
            x = step(x)
        return (net.tail(x).float().tanh_() + 1) / 2


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


def _even_blocks(network: WDSR) -> None:
    """Give the narrow layers of WDSR-B (25 channels of 32) channels of zeros, so that tiles are full."""
    for block in network.blocks:
        narrow = block.get_submodule("narrow")
        if isinstance(narrow, nn.Sequential):
            one, two = narrow
            assert isinstance(one, nn.Conv2d)
            assert isinstance(two, nn.Conv2d)
            more = -one.out_channels % _EVEN
            one.weight = _frozen(functional.pad(one.weight, (0, 0, 0, 0, 0, 0, 0, more)))
            one.bias = _frozen(functional.pad(one.bias, (0, more))) if one.bias is not None else None
            two.weight = _frozen(functional.pad(two.weight, (0, 0, 0, 0, 0, more)))
            one.out_channels = two.in_channels = one.out_channels + more


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
