"""Small mip-NeRF networks, what to ask them, and how far answers are apart."""

from __future__ import annotations

import torch
from torch import Tensor

from anyview.radiance.cones import Gaussians
from anyview.radiance.fields.mip_mlp import MipMLP
from anyview.radiance.options import MipOptions

SMALL = MipOptions(width=64, head_width=32)


def some(rays: int, intervals: int, seed: int = 0) -> tuple[Gaussians, Tensor]:
    """Gaussians of all sizes, and encoded directions."""
    g = torch.Generator().manual_seed(seed)
    mean = 4 * torch.randn(rays, intervals, 3, generator=g)
    variance = 10 ** (8 * torch.rand(rays, intervals, 3, generator=g) - 9)
    return Gaussians(mean, variance), torch.randn(rays, 27, generator=g)


def network(options: MipOptions) -> MipMLP:
    torch.manual_seed(1)
    mlp = MipMLP(options)
    for p in mlp.parameters():
        if p.ndim == 1:
            torch.nn.init.normal_(p, std=0.1)  # biases begin as zero, which would hide a missing one
    return mlp


def far(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).norm() / wanted.norm()).item()
