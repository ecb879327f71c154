"""RoIAlign on a pyramid (Mask R-CNN, arXiv 1703.06870, section 3; levels after FPN, arXiv 1612.03144, equation 1).

Letters: R regions of all images together, C channels, S samples along each side of a region.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import roi_align

from anyview.segmentation.network.pooling_fast import pool_fast, pools_here

STRIDES: Final = (4, 8, 16, 32)
"""Of the maps that regions are cut from, pixels; a backbone of the user's own may have others, each twice the last."""

_WHOLE: Final = 224  # a region of this side, pixels, goes to stride 16
_SAMPLES: Final = 2  # along each side of one output value
_SCHEMA = "(Tensor[] maps, Tensor regions, int side, int[] strides) -> Tensor"


def levels(regions: Float[Tensor, "R 5"], strides: Sequence[int] = STRIDES) -> Int[Tensor, "R"]:
    """Which of the maps of these strides each region is cut from, 0 the finest."""
    finest = strides[0].bit_length() - 1
    side = (regions[:, 3:] - regions[:, 1:3]).prod(dim=1).sqrt()
    level = torch.floor(4 + torch.log2(side / _WHOLE) + 1e-6)
    return level.clamp(finest, finest + len(strides) - 1).long() - finest


def ready(maps: list[Tensor]) -> list[Tensor]:
    """Maps in the layout and dtype that `pool` reads fastest, for they are read more than once."""
    if pools_here(maps):
        return [m.contiguous(memory_format=torch.channels_last) for m in maps]
    return [m.float().contiguous() for m in maps]


def pool(
    maps: list[Tensor], regions: Float[Tensor, "R 5"], side: int, strides: Sequence[int] = STRIDES
) -> Float[Tensor, "R C S S"]:
    """Each region's features, side x side, of the map that suits its size; in the dtype of the maps.

    Args:
        maps: (B, C, h, w) each.
        regions: index of the image, then box (x0, y0, x1, y1) in pixels of the batch.
        side: S.
        strides: of the maps, finest first, pixels.
    """
    if pools_here(maps):
        return pool_fast(maps, tuple(strides), regions, levels(regions, strides), side)
    if torch.compiler.is_compiling() and not torch.is_grad_enabled():
        return _pool_opaque(maps, regions, side, list(strides))
    return _pool(maps, regions, side, strides)


def _pool(maps: list[Tensor], regions: Tensor, side: int, strides: Sequence[int] = STRIDES) -> Tensor:
    """Level by level, by torchvision's operator, which wants float32."""
    level = levels(regions, strides)
    pooled = maps[0].new_zeros((len(regions), maps[0].shape[1], side, side))
    for i, (features, stride) in enumerate(zip(maps, strides, strict=True)):
        index = (level == i).nonzero()[:, 0]
        pooled[index] = roi_align(features.float(), regions[index], side, 1 / stride, _SAMPLES).to(pooled.dtype)
    return pooled


@torch.library.custom_op("anyview::pool_pyramid", mutates_args=(), schema=_SCHEMA)
def _pool_opaque(maps: list[Tensor], regions: Tensor, side: int, strides: list[int]) -> Tensor:
    """The same for a compiler, which cannot know how many regions a level gets."""
    return _pool(maps, regions, side, strides)


@_pool_opaque.register_fake
def _(maps: list[Tensor], regions: Tensor, side: int, strides: list[int]) -> Tensor:
    return maps[0].new_empty((len(regions), maps[0].shape[1], side, side))
