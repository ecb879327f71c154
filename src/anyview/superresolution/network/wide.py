"""A residual block of WDSR-B (arXiv 1808.08718) that learns on a processor: its wide maps never leave the cache.

The wide maps have six times the numbers of the block's input. Written to memory, they cost more time than all that is
computed with them, so they are made for some thousand pixels at a time, and once more on the way back.

Letters: B images, C channels between blocks, W of the wide maps, N of the narrow ones, H rows and V columns, P = B H V
pixels.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BYTES: Final = 7 << 17  # of a wide map at a time; two of them and what they are made of fit the cache of a core
_EVEN: Final = 16  # channels that a processor's tiles are filled with: 25 narrow ones get zeros


def wide_block(
    x: Float[Tensor, "B C H V"],
    wide: torch.nn.Conv2d,
    narrow: torch.nn.Conv2d,
    last: torch.nn.Conv2d,
) -> Float[Tensor, "B C H V"]:
    """The input, and what two convolutions of 1x1 with a ReLU between and one of 3x3 make of it, added up.

    Args:
        x: channels last is best. Under autocast it is computed in the type of that.
        wide: C to W.
        narrow: W to N.
        last: N to C.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    weights = (wide.weight, wide.bias, narrow.weight, narrow.bias, last.weight, last.bias)
    return _WideBlock.apply(x.to(dtype), *weights)


class _WideBlock(torch.autograd.Function):
    """See `wide_block`; weights may be of higher precision than the input, and then their gradients are too."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor
    ) -> Tensor:  # fmt: skip
        """The sum."""
        more = -len(w2) % _EVEN
        w1, b1, b3 = w1.flatten(1).to(x.dtype), b1.to(x.dtype), b3.to(x.dtype)
        w2 = functional.pad(w2.flatten(1).to(x.dtype), (0, 0, 0, more))
        b2 = functional.pad(b2.to(x.dtype), (0, more))
        w3 = functional.pad(w3.to(x.dtype), (0, 0, 0, 0, 0, more))
        rows = _rows(x)
        middle = rows.new_empty(len(rows), len(w2))
        pixels = _at_a_time(rows, w1)
        maps = rows.new_empty(pixels, len(w1))
        for some, out in zip(rows.split(pixels), middle.split(pixels), strict=True):
            torch.addmm(b2, _wide_maps(some, w1, b1, maps), w2.t(), out=out)
        ctx.save_for_backward(rows, middle, w1, b1, w2, w3)
        ctx.shape, ctx.more = x.shape, more
        return functional.conv2d(_images(middle, x.shape), w3, b3, padding=1).add_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Of the input and all weights."""
        rows, middle, w1, b1, w2, w3 = ctx.saved_tensors
        to_middle, to_w3, to_b3 = torch.ops.aten.convolution_backward(
            gradient, _images(middle, ctx.shape), w3, [len(w3)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True] * 3
        )
        above, to_middle = _rows(gradient), _rows(to_middle)
        to_x = torch.empty_like(above)
        to_w1, to_w2 = (torch.zeros(w.shape, device=w.device) for w in (w1, w2))
        to_b1 = torch.zeros(len(w1), device=w1.device)
        pixels = _at_a_time(rows, w1)
        maps, to_maps = (rows.new_empty(pixels, len(w1)) for _ in range(2))
        parts = zip(*(one.split(pixels) for one in (rows, above, to_middle, to_x)), strict=True)
        for some, direct, back, out in parts:
            wide = _wide_maps(some, w1, b1, maps)
            to_w2 += back.t() @ wide
            to_wide = torch.mm(back, w2, out=to_maps[: len(back)])
            _zero_where_not_positive(to_wide, wide)
            to_w1 += (some.t() @ to_wide).t()  # the quicker way round
            to_b1 += to_wide.sum(0)
            torch.addmm(direct, to_wide, w1, out=out)
        narrow = len(w2) - ctx.more
        return (
            _images(to_x, ctx.shape), to_w1[:, :, None, None], to_b1, to_w2[:narrow, :, None, None],
            to_middle.sum(0)[:narrow], to_w3[:, :narrow], to_b3,
        )  # fmt: skip


def _at_a_time(rows: Float[Tensor, "P C"], weight: Float[Tensor, "W C"]) -> int:
    """Pixels."""
    return min(len(rows), max(_BYTES // (len(weight) * rows.element_size()), 1))


def _wide_maps(
    rows: Float[Tensor, "Q C"], weight: Float[Tensor, "W C"], bias: Float[Tensor, " W"], out: Float[Tensor, "R W"]
) -> Float[Tensor, "Q W"]:
    """Of some pixels, after the ReLU."""
    maps = torch.addmm(bias, rows, weight.t(), out=out[: len(rows)])
    _as_integers(maps).clamp_min_(0)
    return maps


def _zero_where_not_positive(gradient: Float[Tensor, "Q W"], maps: Float[Tensor, "Q W"]) -> None:
    """The way back through the ReLU, in place."""
    one = _as_integers(gradient)
    torch.ops.aten.threshold_backward.grad_input(one, _as_integers(maps), 0, grad_input=one)


def _as_integers(maps: Tensor) -> Tensor:
    """The same bytes. Signs are those of the numbers, and torch compares integers of 16 bits five times as fast as
    bfloat16. A NaN may become a zero, but it stays in the input, which is added."""
    return maps.view(torch.int16) if maps.dtype == torch.bfloat16 else maps


def _rows(images: Float[Tensor, "B C H V"]) -> Float[Tensor, "P C"]:
    """Pixels one below the other."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def _images(rows: Float[Tensor, "P K"], shape: torch.Size) -> Float[Tensor, "B K H V"]:
    """The inverse of `_rows`, channels last in memory."""
    return rows.view(shape[0], shape[2], shape[3], rows.shape[1]).permute(0, 3, 1, 2)
