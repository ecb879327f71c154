"""A backbone of the user's own: the maps that it gives, found by showing it an image once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.errors import OptionError

_SIDE: Final = 256  # of the image that it is shown, pixels; rounded up to what batches are multiples of
_WHERE: Final = "backbone"


class MapLayout(NamedTuple):
    """What a backbone gives for every image.

    Attributes:
        channels: of every map.
        strides: of the maps, finest first, pixels.
    """

    channels: int
    strides: tuple[int, ...]


def maps_in_order(given: Any) -> list[Float[Tensor, "B C _ _"]]:
    """A backbone's maps, finest first: one tensor, a list or tuple, or a dict, whose keys mean nothing.

    Under autocast maps may differ in dtype; then the first one's is taken.
    """
    values = [given] if isinstance(given, Tensor) else list(given.values() if isinstance(given, Mapping) else given)
    return [m.to(values[0].dtype) for m in values]


@torch.no_grad()
def map_layout(backbone: nn.Module, multiple: int) -> MapLayout:
    """What a backbone gives, by its answer to a grey image in eval mode.

    Args:
        backbone: gives maps as `maps_in_order` takes them; its mode and statistics stay.
        multiple: sides of batches are multiples of it, pixels.

    Raises:
        OptionError: no maps, of different numbers of channels, of other strides than powers of two, not finest first,
            or other channels than its `out_channels` says.
    """
    side = math.ceil(_SIDE / multiple) * multiple
    first = next(backbone.parameters(), torch.zeros(0))
    with eval_mode(backbone):
        given = backbone(torch.zeros((1, 3, side, side), device=first.device, dtype=first.dtype))
    values = given.values() if isinstance(given, Mapping) else given
    if not isinstance(given, Tensor | list | tuple | Mapping) or not all(isinstance(m, Tensor) for m in values):
        _refuse("gives no feature maps", "a tensor, or a list, tuple or dict of tensors", type(given).__name__)
    maps = maps_in_order(given)
    if not maps or any(m.ndim != 4 or 0 in m.shape for m in maps):
        _refuse("gives no feature maps", "(B, C, h, w) each", [tuple(m.shape) for m in maps])
    channels = {m.shape[1] for m in maps} | {int(getattr(backbone, "out_channels", maps[0].shape[1]))}
    if len(channels) > 1:
        _refuse("has maps of different channels", "one number, which `out_channels` says if it is there", channels)
    strides = tuple(_stride(m, side) for m in maps)
    if list(strides) != sorted(strides):
        _refuse("has maps in the wrong order", "none finer than the one before", strides)
    return MapLayout(channels.pop(), strides)


def maps_for_regions(layout: MapLayout, count: int | None) -> dict[int, int]:
    """The maps that regions are cut from: number and stride of the first of each stride.

    Args:
        layout: of the backbone.
        count: how many of its maps may be taken, finest first; None is all but the last where there are several.

    Raises:
        OptionError: there are not so many, or one is not twice as coarse as the one before (what FPN's rule of which
            size belongs to which map, arXiv 1612.03144, equation 1, supposes).
    """
    most = len(layout.strides)
    wanted = max(most - 1, 1) if count is None else count
    if not 1 <= wanted <= most:
        raise OptionError("option out of range", where="region_maps", expected=f"1 to {most}", actual=wanted)
    first = {stride: number for number, stride in reversed(list(enumerate(layout.strides[:wanted])))}
    strides = sorted(first)
    if any(b != 2 * a for a, b in pairwise(strides)):
        _refuse("leaves out a stride", "maps for regions each twice as coarse as the one before", strides)
    return {first[stride]: stride for stride in strides}


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """All modules in eval mode for a while; afterwards each is as it was."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _stride(features: Tensor, side: int) -> int:
    """Pixels between a map's places, to the next power of two: maps of odd sides are rounded up or down."""
    rows, columns = (2 ** round(math.log2(side / n)) for n in features.shape[-2:])
    exact = side / max(features.shape[-2:])
    if rows != columns or rows < 1 or not 0.8 < exact / rows < 1.25:
        _refuse("has a map of a stride that is no power of two", "1, 2, 4, ... pixels", f"{exact:g}")
    return int(rows)


def _refuse(what: str, expected: str, actual: object) -> None:
    raise OptionError(f"the backbone {what}", where=_WHERE, expected=expected, actual=str(actual))
