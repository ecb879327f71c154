"""Things drawn into a picture: a tint inside each mask, a line along its edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

_TINT = 0.32
_HUE_STEP = 0.381966  # of the circle: the golden angle, so neighbours differ
_DISCS = 0.004  # half the width of a line, as a share of the picture's longer side


def draw_things(
    rgb: UInt8[np.ndarray, "H W 3"], masks: Sequence[Bool[np.ndarray, "H W"]], labels: Sequence[int]
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture with things in the colours of their classes.

    Args:
        rgb: the picture.
        masks: of the things; later ones lie above.
        labels: their classes.
    """
    made = rgb.astype(np.float32)
    width = max(round(_DISCS * max(rgb.shape[:2])), 1)
    for mask, label in zip(masks, labels, strict=True):
        color = class_color(label).astype(np.float32)
        made[mask] += _TINT * (color - made[mask])
        made[edge(mask, width)] = color
    return np.rint(made).clip(0, 255).astype(np.uint8)


def class_color(label: int) -> UInt8[np.ndarray, "3"]:
    """A bright colour for a class, the same in every picture."""
    hue = label * _HUE_STEP % 1.0
    channels = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return np.rint(255 * (0.1 + 0.9 * channels.clip(0, 1))).astype(np.uint8)


def edge(mask: Bool[np.ndarray, "H W"], width: int = 1) -> Bool[np.ndarray, "H W"]:
    """The pixels of a mask within so many steps (up, down, left, right) of what does not belong to it."""
    inner = mask
    for _ in range(width):
        rimmed = np.pad(inner, 1, mode="edge")  # the picture's border is no edge
        inner = inner & rimmed[:-2, 1:-1] & rimmed[2:, 1:-1] & rimmed[1:-1, :-2] & rimmed[1:-1, 2:]
    return mask & ~inner
