"""Positional encoding, and its expectation over Gaussians (mip-NeRF, arXiv 2103.13415, section 3.2).

Letters: D coordinates, L degrees. Features come in this order: the sines of all degrees, each with its D coordinates,
then the cosines.
"""

from __future__ import annotations

from math import pi

import torch
from jaxtyping import Float
from torch import Tensor


def integrated_encoding(
    mean: Float[Tensor, "*N D"], variance: Float[Tensor, "*N D"], low: int = 0, high: int = 16
) -> Float[Tensor, "*N F"]:
    """E[sin(2^l x)], E[cos(2^l x)] for x of the Gaussians and l from `low` to `high` - 1: equations 13 and 14.

    High degrees fade where the Gaussian is wider than their period. F = 2 D (high - low). Computed in the input's
    precision and never in less than float32: the phases of high degrees have no digits to spare.
    """
    mean, variance = _at_least_float32(mean), _at_least_float32(variance)
    scales = _scales(low, high, mean)
    phase = (mean[..., None, :] * scales).flatten(-2)
    fade = torch.exp(-0.5 * (variance[..., None, :] * scales**2).flatten(-2))
    return torch.cat([fade * torch.sin(phase), fade * torch.sin(phase + pi / 2)], -1)


def positional_encoding(
    x: Float[Tensor, "*N D"], low: int = 0, high: int = 4, identity: bool = True
) -> Float[Tensor, "*N F"]:
    """sin(2^l x), cos(2^l x) for l from `low` to `high` - 1, after x itself where `identity` is set."""
    x = _at_least_float32(x)
    phase = (x[..., None, :] * _scales(low, high, x)).flatten(-2)
    features = torch.cat([torch.sin(phase), torch.sin(phase + pi / 2)], -1)
    return torch.cat([x, features], -1) if identity else features


def _scales(low: int, high: int, like: Tensor) -> Float[Tensor, "L 1"]:
    return 2.0 ** torch.arange(low, high, dtype=like.dtype, device=like.device)[:, None]


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
