"""Things drawn into a picture: a tint inside each mask, a line along its edge, in colours that tell numbers apart.

A number is a class's label, or an instance's place in a list: whatever the picture is to tell apart.
"""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8

Color: TypeAlias = tuple[int, int, int]
"""sRGB, 0 to 255."""

_TINT = 0.4
_LINE = 400  # the picture's longer side over the width of a line
_GOLDEN = 0.618034  # turns of the colour circle from one number to the next: neighbours differ most
_SHADES = ((0.5, 0.95), (0.68, 0.9), (0.4, 0.9))  # lightness and saturation, in turn for five numbers each


def color_of(number: int) -> Color:
    """The colour of a class by its label or of an instance by its number, the same in every picture."""
    lightness, saturation = _SHADES[number // 5 % 3]
    r, g, b = colorsys.hls_to_rgb(number * _GOLDEN % 1, lightness, saturation)
    return round(255 * r), round(255 * g), round(255 * b)


def line_width(size: tuple[int, int]) -> int:
    """How wide lines are in a picture of this height and width, all in pixels."""
    return max(1, round(max(size) / _LINE))


def tint(pixels: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], color: Color, width: int) -> None:
    """Colour the inside of a mask, and more strongly its edge, in place.

    Args:
        pixels: the picture, or the part of it that the mask is for.
        mask: where the thing is.
        color: of the thing.
        width: of the line along the edge, pixels.
    """
    pixels[mask] = (pixels[mask] * (1 - _TINT) + np.array(color, np.float32) * _TINT + 0.5).astype(np.uint8)
    pixels[edge(mask, width)] = color


def edge(mask: Bool[np.ndarray, "H W"], width: int = 1) -> Bool[np.ndarray, "H W"]:
    """The pixels of a mask whose square of 2 `width` + 1 pixels does not lie in it; nothing outside the array does."""
    inner = mask
    for _ in range(2):  # along rows, then along columns
        shrunk = inner.copy()
        for k in range(1, min(width, len(inner)) + 1):
            shrunk[k:] &= inner[:-k]
            shrunk[:-k] &= inner[k:]
        shrunk[:width] = shrunk[max(len(inner) - width, 0) :] = False
        inner = shrunk.T
    return mask & ~inner
