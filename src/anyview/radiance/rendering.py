"""Density and colour along rays to a pixel: alpha compositing (Max 1995; NeRF, arXiv 2003.08934, equation 3).

Letters: B rays, S intervals, F = S + 1 fence posts. Everything here stays in float32 or better.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

SEEN = 1e-3
"""A ray of less opacity has met nothing, and has no depth."""


class Rendered(NamedTuple):
    """What rays see."""

    rgb: Float[Tensor, "B 3"]  # sRGB, background included
    depth: Float[Tensor, "B"]  # mean t where the ray met something, 0 elsewhere
    opacity: Float[Tensor, "B"]  # 0 to 1
    weights: Float[Tensor, "B S"]  # share of each interval in the pixel


def compositing_weights(
    density: Float[Tensor, "B S"], t: Float[Tensor, "B F"], directions: Float[Tensor, "B 3"]
) -> Float[Tensor, "B S"]:
    """Share of each interval in its ray: how much arrives there, times how much of it stays.

    Args:
        density: per scene unit, not negative.
        t: fence posts along the directions.
        directions: not normalised; their length turns t into scene units.
    """
    length = (t[:, 1:] - t[:, :-1]) * torch.linalg.norm(directions, dim=-1, keepdim=True)
    optical = density * length
    before = torch.cat([torch.zeros_like(optical[:, :1]), optical[:, :-1].cumsum(-1)], -1)
    return -torch.expm1(-optical) * torch.exp(-before)


def composite(
    rgb: Float[Tensor, "B S 3"],
    density: Float[Tensor, "B S"],
    t: Float[Tensor, "B F"],
    directions: Float[Tensor, "B 3"],
    background: float | None = None,
) -> Rendered:
    """Pixels from samples.

    Args:
        rgb, density: of the intervals.
        t, directions: as in `compositing_weights`.
        background: grey level behind everything, 1 is white; None leaves rgb multiplied by opacity.
    """
    weights = compositing_weights(density.float(), t, directions)
    opacity = weights.sum(-1)
    color = (weights[..., None] * rgb.float()).sum(-2)
    if background is not None:
        color = color + (1 - opacity)[:, None] * background
    middle = (t[:, 1:] + t[:, :-1]) / 2
    depth = (weights * middle).sum(-1) / opacity.clamp_min(SEEN)
    return Rendered(color, torch.where(opacity >= SEEN, depth, torch.zeros_like(depth)), opacity, weights)
