"""Images of bytes at another size."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

_FEW = 8  # torch 2.15 refuses bytes of one pixel, and is 3 grey levels off in columns of a few


def scaled(image: UInt8[Tensor, "3 H W"], height: int, width: int) -> UInt8[Tensor, "3 h w"]:
    """Bilinearly, with antialiasing."""
    if (height, width) == tuple(image.shape[1:]):
        return image
    sides = (*image.shape[1:], height, width)
    pixels = image[None] if min(sides) >= _FEW else image[None].float()
    made = interpolate(pixels, (height, width), mode="bilinear", align_corners=False, antialias=True)[0]
    return made if made.dtype == torch.uint8 else made.round().clamp(0, 255).byte()
