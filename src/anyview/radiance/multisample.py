"""A frustum as several small Gaussians (Zip-NeRF, arXiv 2304.06706, section 3.1): points on a helix around the ray.

n points, an even number of 6 or more, lie at distances whose mean and variance are the frustum's, and turn twice
around the axis: the second half is the first turned by 180 degrees, so that the pattern's axes are the frustum's. With
6 it is the paper's pattern. Letters: N frustums or samples, R rays.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.radiance.cones import frustum_moments
from anyview.radiance.grid.compositing import Packed
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.rays import Rays

_WIDTH = 0.5  # of a point's Gaussian, in the pattern's radii; the paper's
_GOLDEN = math.pi * (3 - 5**0.5)


def helix(
    t0: Float[Tensor, "N"], t1: Float[Tensor, "N"], radii: Float[Tensor, "N"], turn: Float[Tensor, "N"], j: int, n: int
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N 2"], Float[Tensor, "N"]]:
    """The j-th point of n: its t, its place across the ray, its Gaussian's standard deviation.

    Args:
        t0, t1: near and far ends.
        radii: of the cones at t = 1, scene units.
        turn: of each pattern, radians.
    """
    moments = frustum_moments(t0[:, None], t1[:, None], radii[:, None])
    even = (2 * j / (n - 1) - 1) * (3 * (n - 1) / (n + 1)) ** 0.5  # of mean 0 and variance 1 over all j
    t = moments.t_mean[:, 0] + even * moments.t_var[:, 0].clamp_min(0).sqrt()
    angle = turn + 4 * math.pi * j / n + (math.pi if 2 * j >= n else 0)
    radius = radii * t / 2**0.5
    return t, radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1), _WIDTH * radius.abs()


def across(directions: Float[Tensor, "R 3"]) -> Float[Tensor, "R 2 3"]:
    """Two unit vectors at right angles to each direction and to each other."""
    least = torch.nn.functional.one_hot(directions.abs().argmin(-1), 3).to(directions.dtype)
    first = torch.nn.functional.normalize(torch.linalg.cross(directions, least), dim=-1)
    second = torch.linalg.cross(torch.nn.functional.normalize(directions, dim=-1), first)
    return torch.stack([first, second], 1)


def spread(
    occupancy: Occupancy, rays: Rays, packed: Packed, j: int, n: int
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """The j-th of n points of every sample, and their widths, in the unit cube; neighbours' patterns are turned."""
    ray = packed.ray
    number = torch.arange(len(ray), device=ray.device) - packed.offsets[ray]
    half, warp = packed.spans[ray] / 2, occupancy.warp(rays)
    t0, t1 = packed.middles - half, packed.middles + half
    if warp is not None:
        bends = warp.of(ray)
        t0, t1 = bends.distance(t0), bends.distance(t1)
    t, aside, width = helix(t0.clamp_min(0), t1, rays.radii[ray, 0], number * _GOLDEN, j, n)
    frames = across(rays.directions)[ray]
    place = rays.origins[ray] + rays.directions[ray] * t[:, None] + (aside[:, :, None] * frames).sum(1)
    unit, scale = occupancy.inside(place)
    return unit.clamp(0, 1), width * scale
