"""Boxes and their offsets from reference boxes (R-CNN, arXiv 1311.2524, appendix C; Faster R-CNN's equation 2).

A box is (x0, y0, x1, y1), pixels, with x0 <= x1, y0 <= y1; an offset is (dx, dy, dw, dh): shift of the centre in sizes
of the reference, and logarithm of the sizes' ratio, each times a weight. All is float32, whatever the network uses.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PROPOSAL_WEIGHTS: Final = (1.0, 1.0, 1.0, 1.0)
DETECTION_WEIGHTS: Final = (10.0, 10.0, 5.0, 5.0)
"""They bring the box head's offsets to a deviation of about 1."""

_MOST_GROWTH: Final = math.log(1000 / 16)  # a box of 16 pixels cannot become larger than 1000

Weights = tuple[float, float, float, float]


def _centered(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sizes, (x, y) last."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def encode(boxes: Float[Tensor, "*N 4"], references: Float[Tensor, "*N 4"], weights: Weights) -> Float[Tensor, "*N 4"]:
    """Offsets that lead from references to boxes, both of positive size."""
    (center, size), (origin, unit) = _centered(boxes), _centered(references)
    scale = boxes.new_tensor(weights)
    return torch.cat([scale[:2] * (center - origin) / unit, scale[2:] * torch.log(size / unit)], dim=-1)


def decode(
    offsets: Float[Tensor, "*N 4"], references: Float[Tensor, "*#N 4"], weights: Weights
) -> Float[Tensor, "*N 4"]:
    """Where offsets lead from references."""
    origin, unit = _centered(references)
    center = offsets[..., :2] / offsets.new_tensor(weights[:2]) * unit + origin
    growth = offsets[..., 2:] / offsets.new_tensor(weights[2:])
    half = 0.5 * (torch.exp(growth.clamp(max=_MOST_GROWTH)) * unit)
    return torch.cat([center - half, center + half], dim=-1)


def clip(boxes: Float[Tensor, "B N 4"], sizes: Float[Tensor, "B 2"]) -> Float[Tensor, "B N 4"]:
    """Boxes cut to their images.

    Args:
        boxes: of B images.
        sizes: height and width of each image, pixels.
    """
    most = sizes.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), most)


def at_least(boxes: Float[Tensor, "*N 4"], side: float) -> Bool[Tensor, "*N"]:
    """Which boxes have no side below `side` pixels; those that are not numbers have."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= side).all(-1)
