"""Conical frustums as Gaussians (mip-NeRF, arXiv 2103.13415, section 3.1).

Letters: B rays, S intervals per ray. Distances t are along the unnormalised direction d; radii are those at t = 1.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Moments(NamedTuple):
    """Of a uniform density in each interval of a cone or cylinder."""

    t_mean: Float[Tensor, "B S"]  # along the ray
    t_var: Float[Tensor, "B S"]
    r_var: Float[Tensor, "B S"]  # across it, in each of two directions; scene units squared


class Gaussians(NamedTuple):
    """In the world, scene units; the covariance's diagonal stands for all of it."""

    mean: Float[Tensor, "B S 3"]
    variance: Float[Tensor, "B S 3"]


def frustum_moments(t0: Float[Tensor, "B S"], t1: Float[Tensor, "B S"], radius: Float[Tensor, "B 1"]) -> Moments:
    """Of each frustum, in the form of equation 7, which stays precise where intervals are short.

    Args:
        t0, t1: near and far end of each interval, scene units along d.
        radius: of the cone at t = 1, scene units.
    """
    middle, half = (t0 + t1) / 2, (t1 - t0) / 2
    m, h = middle**2, half**2
    common = 3 * m + h
    t_mean = middle + 2 * middle * h / common
    t_var = h / 3 - (4 / 15) * h**2 * (12 * m - h) / common**2
    r_var = radius**2 * (m / 4 + (5 / 12) * h - (4 / 15) * h**2 / common)
    return Moments(t_mean, t_var, r_var)


def cylinder_moments(t0: Float[Tensor, "B S"], t1: Float[Tensor, "B S"], radius: Float[Tensor, "B 1"]) -> Moments:
    """Of each interval of a ray of constant radius (the paper's appendix, for orthographic and NDC rays)."""
    return Moments((t0 + t1) / 2, (t1 - t0) ** 2 / 12, (radius**2 / 4).expand_as(t0))


def lift(origins: Float[Tensor, "B 3"], directions: Float[Tensor, "B 3"], moments: Moments) -> Gaussians:
    """Moments along a ray to Gaussians in the world: equation 8, and the diagonal of its covariance (equation 16).

    Args:
        origins, directions: of the rays; directions are not normalised, and `t_var` is in their units.
        moments: of the intervals.
    """
    square = directions**2
    length = square.sum(-1, keepdim=True).clamp_min(1e-10)
    mean = origins[:, None] + directions[:, None] * moments.t_mean[..., None]
    along = moments.t_var[..., None] * square[:, None]
    across = moments.r_var[..., None] * (1 - square / length)[:, None]
    return Gaussians(mean, along + across)


def interval_gaussians(
    t: Float[Tensor, "B F"],
    origins: Float[Tensor, "B 3"],
    directions: Float[Tensor, "B 3"],
    radii: Float[Tensor, "B 1"],
    shape: str = "cone",
) -> Gaussians:
    """The Gaussians between fence posts.

    Args:
        t: fence posts, one more than intervals, rising along each ray.
        origins, directions, radii: of the rays.
        shape: "cone" or "cylinder".

    Raises:
        ValueError: another shape.
    """
    kinds = {"cone": frustum_moments, "cylinder": cylinder_moments}
    if shape not in kinds:
        raise ValueError(f"ray shape {shape!r}: expected one of {', '.join(kinds)}")
    return lift(origins, directions, kinds[shape](t[:, :-1], t[:, 1:], radii))
