"""Networks made ready to enlarge images: on their device, in their precision, one after the other, in all turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.compute.precision import quick_in_bfloat16
from anyview.compute.torch_device import Precision, TorchDevice, torch_device
from anyview.superresolution.build import without_weight_norm
from anyview.superresolution.fast import fast
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.reach import bytes_for_each_pixel, reach_of_all
from anyview.superresolution.tiling import Enlarge, TileSide, check_tile
from anyview.training.memory import Chunk

_Images: TypeAlias = "Float[Tensor, '_ 3 _ _']"

TILE_BYTES: Final = 640 << 20
"""What a tile with its margins may take, about; that a graphics card has that much more is not made use of."""

_LARGEST, _SMALLEST = 1024, 32  # sides of tiles that `auto` chooses


class Enlarger:
    """What enlarges images; keeps what it learns about tiles that fit.

    Args:
        networks: one after the other; stay as they are.
        device: "auto" is a CUDA device where there is one.
        precision: "auto" is bfloat16 where the device is quick with it.
        turns: mean over the eight ways to turn and mirror an image (self-ensemble; EDSR, section 3.5).
        tile: side of a tile, without its margins, pixels.

    Raises:
        OptionError: there is no such device, or a tile that cannot be.
    """

    def __init__(
        self,
        networks: Sequence[Upscaler],
        *,
        device: TorchDevice = "auto",
        precision: Precision = "auto",
        turns: bool = False,
        tile: TileSide = "auto",
    ) -> None:
        check_tile(tile)
        self.device = torch.device(torch_device(device))
        self.dtype = _dtype(self.device, precision)
        self.turns = turns
        narrow = self.device.type == "cuda" and self.dtype == torch.bfloat16
        ready = [self._ready(network) for network in networks]
        options = [network.options for network in networks]

        def function(images: _Images) -> _Images:
            x = images.to(self.device)
            for index, network in enumerate(ready):
                x = x.clamp(0, 1) if index else x
                with torch.autocast("cuda", torch.bfloat16, enabled=narrow):
                    x = in_all_turns(network, x) if turns else network(x)
                x = x.float()
            return x.cpu()

        scale = 1
        for each in options:
            scale *= each.scale
        self.enlarge = Enlarge(function, scale, reach_of_all(options))
        if tile == "auto":
            tile = _tile_side(TILE_BYTES // bytes_for_each_pixel(options, self.dtype.itemsize), self.enlarge.reach)
        self.tile = Chunk(tile)

    @property
    def scale(self) -> int:
        """Output pixels for an input pixel, along a side."""
        return self.enlarge.scale

    @property
    def settings(self) -> tuple[str, str, bool]:
        """What results depend on beside the weights: device, arithmetic, turns."""
        return self.device.type, str(self.dtype), self.turns

    def _ready(self, network: Upscaler) -> Upscaler:
        if self.device.type == "cpu":
            return fast(network, self.dtype)
        copy = without_weight_norm(network).float().eval().requires_grad_(False)
        return copy.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def in_all_turns(function: Callable[[_Images], _Images], images: _Images) -> _Images:
    """Mean of a function over the eight symmetries of a square: what it gives for a turned image, turned back.

    Args:
        function: gives images larger by a factor.
        images: stay as they are.
    """
    total: Tensor | None = None
    for mirrored in (False, True):
        for quarter in range(4):
            turned = torch.rot90(images.flip(3) if mirrored else images, quarter, (2, 3))
            back = torch.rot90(function(turned.contiguous()), -quarter, (2, 3))
            back = back.flip(3) if mirrored else back
            total = back.float().clone() if total is None else total.add_(back)
    assert total is not None
    return total.div_(8)


def _tile_side(pixels: int, margin: int) -> int:
    """The side of a square tile that has so many pixels with its margins."""
    return min(max(int(pixels**0.5) - 2 * margin, _SMALLEST), _LARGEST)


def _dtype(device: torch.device, precision: Precision) -> torch.dtype:
    if precision == "float32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    there: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
    return torch.bfloat16 if quick_in_bfloat16(there) else torch.float32
