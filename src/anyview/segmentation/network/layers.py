"""Convolution, norm, activation: the building block of every part, and the norm that never changes.

Modules are nested as torchvision nests them, so that its checkpoints fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.segmentation.network.packed import PackedConv
from anyview.segmentation.network.products import convolve, suits

Norm: TypeAlias = Callable[[int], nn.Module]
"""From a number of channels to a norm."""

_EVEN = 16


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics and scale are constants: an affine map for each channel."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_load_state_dict_pre_hook(_forget_batches)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The affine map."""
        scale, shift = self.affine()
        return x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]

    def affine(self) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
        """Scale and shift of each channel."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def extra_repr(self) -> str:
        """Channels and epsilon."""
        return f"{len(self.weight)}, eps={self.eps}"


def _forget_batches(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A learning norm's count of batches means nothing to a frozen one."""
    state.pop(f"{prefix}num_batches_tracked", None)


def normed(
    x: Float[Tensor, "B c h w"],
    conv: nn.Module,
    norm: nn.Module,
    beside: Float[Tensor, "B C H W"] | None = None,
    rectify: bool = False,
) -> Float[Tensor, "B C H W"]:
    """Convolution without bias, its norm, a sum, ReLU.

    In training a constant norm scales the weights, which are fewer than pixels. Otherwise it does not, for that rounds
    otherwise than torchvision does; who is in a hurry folds norms or packs.

    Args:
        x: goes in.
        conv: an `nn.Conv2d`, or packed.
        norm: an identity where the convolution is packed.
        beside: is added; where the convolution is packed, it is overwritten.
        rectify: whether negative values become 0.
    """
    if isinstance(conv, PackedConv):
        return conv(x, beside, rectify)
    assert isinstance(conv, nn.Conv2d)
    if isinstance(norm, FrozenBatchNorm) and torch.is_grad_enabled():
        scale, shift = norm.affine()
        y = functional.conv2d(x, conv.weight * scale[:, None, None, None], shift, conv.stride, conv.padding)
    elif suits(x, conv):
        y = norm(convolve(x.bfloat16(), conv.weight.bfloat16(), conv.stride[0]))
    else:
        y = norm(conv(x))
    if beside is not None:
        y += beside
    return torch.relu_(y) if rectify else y


def evenly(conv: nn.Module, x: Float[Tensor, "R c h w"]) -> Float[Tensor, "R C H W"]:
    """A convolution of regions; on processors zeros fill up until their number is even enough, at most an eighth beyond
    128, for oneDNN takes 0.1 to 1 s to write a convolution for a number that it has not met before."""
    extra = -len(x) % max(_EVEN, 1 << max(len(x).bit_length() - 4, 0))
    if not extra or x.device.type != "cpu" or torch.compiler.is_compiling():
        return conv(x)
    return conv(functional.pad(x, (0, 0, 0, 0, 0, 0, 0, extra)))[: len(x)]


def conv_block(inputs: int, outputs: int, kernel: int, norm: Norm | None, activation: bool = True) -> nn.Sequential:
    """Convolution of stride 1 that keeps the size; norm or bias; ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm is None)]
    if norm is not None:
        layers.append(norm(outputs))
    if activation:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class _RegionBlock(nn.Sequential):
    """A block whose convolution gets an even number of regions; its norm sees no filling."""

    def forward(self, x: Float[Tensor, "R c h w"]) -> Float[Tensor, "R C h w"]:
        conv, *others = self
        x = evenly(conv, x)
        for layer in others:
            x = layer(x)
        return x


def region_block(inputs: int, outputs: int, norm: Norm | None) -> nn.Sequential:
    """`conv_block` of 3x3 for regions, whose number differs from step to step."""
    return _RegionBlock(*conv_block(inputs, outputs, 3, norm))


def init_normal_for_relu(module: nn.Module) -> None:
    """He initialisation of all convolutions (arXiv 1502.01852, fan out), biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
