"""A convolution of few pixels and many channels as one product of matrices, both ways (Chellapilla et al. 2006).

In bfloat16 on processors PyTorch's own gradients of such a convolution take three times as long as its product: 18 ms
against 7 for eight maps of 5x5 pixels and 512 channels. Letters: B images, C channels in, O out, k kernel, M = B h w
pixels out.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LEAST_CHANNELS: Final = 256
"""In and out together, half of them; with fewer the copied windows cost more than they bring."""
MOST_PIXELS: Final = 2048
"""Of a whole batch."""


def suits(x: Float[Tensor, "B C H W"], conv: nn.Conv2d) -> bool:
    """Whether a convolution learns faster as a product: on a processor in bfloat16, where the map is small."""
    if x.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    pixels = len(x) * (x.shape[2] // conv.stride[0]) * (x.shape[3] // conv.stride[1])
    wide = conv.in_channels + conv.out_channels >= 2 * LEAST_CHANNELS
    return (mixed or x.dtype == torch.bfloat16) and wide and 0 < pixels <= MOST_PIXELS


def convolve(
    x: Float[Tensor, "B C H W"], weight: Float[Tensor, "O C k k"], stride: int = 1
) -> Float[Tensor, "B O h w"]:
    """The convolution of an odd kernel with zeros around the map; channels last.

    Args:
        x: the map.
        weight: the kernel, of the map's type; not copied where its channels are last.
        stride: of the windows.
    """
    y: Tensor = _Product.apply(x, weight, stride)
    return y


class _Product(torch.autograd.Function):
    """Windows times weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        windows, size = _windows(x, weight.shape[-1], stride)
        return (windows @ _matrix(weight).t()).view(*size, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        side, stride = weight.shape[-1], ctx.stride
        rows = gradients[0].permute(0, 2, 3, 1).reshape(-1, len(weight))
        to_x = to_weight = None
        if ctx.needs_input_grad[1]:
            windows, _ = _windows(x, side, stride)
            to_weight = (rows.t() @ windows).view(len(weight), side, side, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[0]:
            to_x = _gathered(rows @ _matrix(weight), x, side, stride)
        return to_x, to_weight, None


def _matrix(weight: Tensor) -> Tensor:
    """(O, k k C)."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _windows(x: Tensor, side: int, stride: int) -> tuple[Tensor, tuple[int, int, int]]:
    """The pixels under the kernel at each place, (M, k k C); and B, h, w."""
    channels = x.shape[1]
    edge = side // 2
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, edge, edge, edge, edge))
    size = (len(x), (x.shape[2] - 1) // stride + 1, (x.shape[3] - 1) // stride + 1)
    image, row, column, _ = padded.stride()
    windows = padded.as_strided(
        (*size, side, side, channels), (image, row * stride, column * stride, row, column, padded.stride(3))
    )
    return windows.reshape(-1, side * side * channels), size


def _gathered(windows: Tensor, x: Tensor, side: int, stride: int) -> Tensor:
    """The sum over all windows that a pixel lies in, float32 at least: `_windows` turned round."""
    batch, channels, height, width = x.shape
    edge = side // 2
    rows, columns = (height - 1) // stride + 1, (width - 1) // stride + 1
    parts = windows.view(batch, rows, columns, side, side, channels)
    precise = torch.promote_types(x.dtype, torch.float32)
    total = windows.new_zeros((batch, height + 2 * edge, width + 2 * edge, channels), dtype=precise)
    for i in range(side):
        for j in range(side):
            total[:, i : i + rows * stride : stride, j : j + columns * stride : stride][:, :rows, :columns] += parts[
                :, :, :, i, j
            ]
    return total[:, edge : edge + height, edge : edge + width].to(x.dtype).permute(0, 3, 1, 2)
