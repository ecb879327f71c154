"""`pooling.pool` on processors: all levels through a kernel of our own, channels last, regions on all cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anyview.compute import parallel_map

_TOGETHER = 32  # regions that a thread takes
_CHANNELS = 64  # that a thread takes on the way back
_EVEN = 16  # what the number of channels must be a multiple of


def pools_here(maps: list[Tensor]) -> bool:
    """Whether the kernel can do it: on a processor, float32 or bfloat16, no compiler at work."""
    return (
        not torch.compiler.is_compiling()
        and all(m.device.type == "cpu" and m.shape[1] % _EVEN == 0 for m in maps)
        and maps[0].dtype in (torch.float32, torch.bfloat16)
    )


def pool_fast(
    maps: list[Tensor], strides: tuple[int, ...], regions: Float[Tensor, "R 5"], level: Int[Tensor, "R"], side: int
) -> Float[Tensor, "R C S S"]:
    """Each region's features, channels last in memory; no gradient reaches the regions.

    Args:
        maps: (B, C, h, w) each, all float32 or all bfloat16.
        strides: of the maps, pixels.
        regions: index of the image, then box (x0, y0, x1, y1) in pixels of the batch.
        level: the map that each region is cut from.
        side: S.
    """
    return cast(Tensor, _Pool.apply(strides, regions, level, side, *maps))


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, strides: tuple[int, ...], regions: Tensor, level: Tensor, side: int, *maps: Tensor) -> Tensor:
        from anyview.segmentation.kernels.roi_align import pool_regions

        out = torch.empty((len(regions), side, side, maps[0].shape[1]), dtype=maps[0].dtype)
        boxes, flat, parts = regions.detach().float().contiguous().numpy(), _numbers(out), []
        chosen = [(level == i).nonzero()[:, 0].numpy() for i in range(len(maps))]
        for features, stride, mine in zip(maps, strides, chosen, strict=True):
            last = features.detach().permute(0, 2, 3, 1).contiguous()
            given = (_numbers(last), tuple(last.shape[1:]), boxes)
            parts += [(*given, mine[a : a + _TOGETHER], np.float32(1 / stride)) for a in range(0, len(mine), _TOGETHER)]
        _each(lambda part: pool_regions(*part, side, flat), parts)
        ctx.given = strides, boxes, chosen, side, [(m.shape, m.dtype) for m in maps]
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        from anyview.segmentation.kernels.roi_align import spread_regions

        strides, boxes, chosen, side, kinds = ctx.given
        flat = _numbers(d_out.permute(0, 2, 3, 1).contiguous())
        sums = [torch.zeros((b, h, w, c), dtype=torch.float32) for (b, c, h, w), _ in kinds]
        channels = sums[0].shape[3]
        parts = [
            (
                tuple(into.shape[1:]),
                boxes,
                mine,
                np.float32(1 / stride),
                side,
                a,
                min(a + _CHANNELS, channels),
                _numbers(into),
            )
            for into, stride, mine in zip(sums, strides, chosen, strict=True)
            for a in range(0, channels, _CHANNELS)
        ]
        _each(lambda part: spread_regions(flat, *part), parts)
        maps = [into.permute(0, 3, 1, 2).to(kind) for into, (_, kind) in zip(sums, kinds, strict=True)]
        return None, None, None, None, *maps


def _each(work: Callable[[Any], object], parts: list[Any]) -> None:
    """Do all parts, on as many threads as torch has."""
    for _ in parallel_map(work, parts, workers=torch.get_num_threads()):
        pass


def _numbers(x: Tensor) -> np.ndarray:
    """Flat; bfloat16 as its bits."""
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy().reshape(-1)
