"""Networks made ready for fast inference on processors: the same output, of fewer and better shaped products."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anyview.compute.precision import quick_in_bfloat16
from anyview.superresolution.build import without_weight_norm
from anyview.superresolution.fast_edsr import FastEDSR
from anyview.superresolution.fast_wdsr import FastWDSR
from anyview.superresolution.network.edsr import EDSR
from anyview.superresolution.network.layers import Upscaler, check_images
from anyview.superresolution.network.srgan import SRResNet
from anyview.superresolution.network.wdsr import WDSR


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
    return torch.bfloat16 if quick_in_bfloat16("cpu") else torch.float32


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
                setattr(block, f"conv{part}", _fused(conv, norm))
                setattr(block, f"norm{part}", nn.Identity())
        network.body_end = nn.Sequential(_fused(network.body_end[0], network.body_end[1]))
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


def _fused(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)
