"""Where along a ray the field is looked at: evenly at first, then where the first look found something.

Letters: B rays, S intervals, F = S + 1 fence posts. A histogram is (t, w): weight w_i between t_i and t_(i+1).

Source: Barron et al. 2021 (mip-NeRF, arXiv 2103.13415), section 3.3 and supplement.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-5  # total weight below which a histogram is raised to even


def even_posts(
    near: Float[Tensor, "B 1"], far: Float[Tensor, "B 1"], intervals: int, generator: torch.Generator | None = None
) -> Float[Tensor, "B F"]:
    """Fence posts between near and far; with a generator, each at random within half an interval of its place."""
    steps = torch.linspace(0, 1, intervals + 1, dtype=near.dtype, device=near.device)
    t = near * (1 - steps) + far * steps
    if generator is None:
        return t
    middle = (t[:, 1:] + t[:, :-1]) / 2
    low, high = torch.cat([t[:, :1], middle], -1), torch.cat([middle, t[:, -1:]], -1)
    return low + (high - low) * torch.rand(t.shape, generator=generator, dtype=t.dtype, device=t.device)


def blurred(weights: Float[Tensor, "B S"], padding: float) -> Float[Tensor, "B S"]:
    """Each weight becomes the mean of the two maxima that it shares with its neighbours, plus `padding`.

    The histogram gets wider and never misses what lies at an interval's end (the supplement's equation 6); with padding
    (the paper's is 0.01) no part of a ray is ever left out.
    """
    edged = torch.cat([weights[:, :1], weights, weights[:, -1:]], -1)
    larger = torch.maximum(edged[:, :-1], edged[:, 1:])
    return (larger[:, :-1] + larger[:, 1:]) / 2 + padding


@torch.no_grad()
def resample(
    t: Float[Tensor, "B F"],
    weights: Float[Tensor, "B S"],
    count: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B M"]:
    """`count` sorted places drawn from a histogram by its inverse distribution; no gradient goes through.

    Args:
        t: the histogram's fence posts.
        weights: not negative, of any sum.
        count: places wanted; a new histogram of S intervals needs S + 1.
        generator: places are stratified at random; None spreads them evenly.
    """
    total = weights.sum(-1, keepdim=True)
    missing = (_LEAST - total).clamp_min(0)
    density = (weights + missing / weights.shape[-1]) / (total + missing)
    inner = density[:, :-1].cumsum(-1).clamp_max(1)
    cdf = torch.cat([torch.zeros_like(total), inner, torch.ones_like(total)], -1)
    top = 1 - torch.finfo(t.dtype).eps
    if generator is None:
        u = torch.linspace(0, top, count, dtype=t.dtype, device=t.device).expand(len(t), count)
    else:
        place = torch.arange(count, dtype=t.dtype, device=t.device) / count
        u = place + torch.rand((len(t), count), generator=generator, dtype=t.dtype, device=t.device) / count
        u = u.clamp_max(top)
    above = torch.searchsorted(cdf, u.contiguous(), right=True).clamp(1, cdf.shape[-1] - 1)
    c0, c1 = cdf.gather(-1, above - 1), cdf.gather(-1, above)
    t0, t1 = t.gather(-1, above - 1), t.gather(-1, above)
    share = torch.where(c1 > c0, (u - c0) / (c1 - c0).clamp_min(torch.finfo(t.dtype).tiny), torch.zeros_like(u))
    return t0 + share.clamp(0, 1) * (t1 - t0)
