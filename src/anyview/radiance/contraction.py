"""All of space in a cube, for scenes without bounds: mip-NeRF 360's contraction (arXiv 2111.12077, equation 10), with
the largest coordinate in place of the length, so that the inside of a cube stays as it is, and what it maps to is one.

The inner cube is [-1, 1]^3 here; what lies outside of it maps to the rest of (-2, 2)^3. Steps along rays are even in s:
s is t where a ray is inside the inner cube, and grows slower than t before and behind, by Zip-NeRF's power
transformation (arXiv 2304.06706, section 4) of exponent -1/2: a step is (1 + u)^1.5 as long at a distance u, in the
inner cube's half sides, from where the ray enters or leaves. Letters: N points or samples, R rays.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

HORIZON = 1000.0
"""Distance at which rays end, in half sides of the inner cube behind it."""
_SHORTEST = HORIZON**-0.5


def contract(points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Points of (-2, 2)^3, and by how much lengths shrink there: the cube root of the Jacobian's determinant.

    Args:
        points: all of space, the inner cube being [-1, 1]^3.
    """
    m = points.abs().amax(-1).clamp_min(1)
    bent = points * ((2 - 1 / m) / m)[:, None]
    return bent, ((2 * m - 1) ** 2 / m**6) ** (1 / 3)


def stretch_at(bent: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
    """About how fast t grows with s on rays from the middle, at contracted points."""
    return (2 - bent.abs().amax(-1).clamp(1, 2 - 1 / HORIZON)) ** -1.5


class Warp(NamedTuple):
    """Between distances t along rays and places s of which steps are even."""

    enter: Float[Tensor, "R"]  # t between which the ray is in the inner cube
    leave: Float[Tensor, "R"]
    scale: Float[Tensor, "R"]  # half side of the inner cube, in t

    def of(self, ray: Tensor) -> Warp:
        """The same for some rays, by number."""
        return Warp(*(values[ray] for values in self))

    @property
    def end(self) -> Float[Tensor, "R"]:
        """The s at the horizon."""
        return self.leave + 2 * (1 - _SHORTEST) * self.scale

    def place(self, t: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        """The s of a t."""
        inside = t.clamp(self.enter, self.leave)
        root = (1 + (t - inside).abs() / self.scale).rsqrt()
        return inside + torch.sign(t - inside) * 2 * self.scale * (1 - root)

    def distance(self, s: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        """The t of an s; no further than the horizon."""
        inside = s.clamp(self.enter, self.leave)
        return inside + torch.sign(s - inside) * self.scale * (self._root(s) ** -2 - 1)

    def stretch(self, s: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        """How fast t grows with s."""
        return self._root(s) ** -3

    def _root(self, s: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        outside = (s - s.clamp(self.enter, self.leave)).abs()
        return (1 - outside / (2 * self.scale)).clamp_min(_SHORTEST)


def make_warp(origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"], near: Float[Tensor, "R"]) -> Warp:
    """Of rays, the inner cube being [-1, 1]^3; a ray that misses it is slowest where it is closest to the middle.

    Args:
        near: t at which rays begin; one that begins behind the inner cube is slowest there.
    """
    inverse = 1 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
    first, second = (-1 - origins) * inverse, (1 - origins) * inverse
    enter, leave = torch.minimum(first, second).amax(-1), torch.maximum(first, second).amin(-1)
    square = (directions**2).sum(-1)
    closest = -(origins * directions).sum(-1) / square
    meets = enter < leave
    leave = torch.maximum(torch.where(meets, leave, closest), near)
    enter = torch.minimum(torch.where(meets, enter, closest), leave)
    return Warp(torch.where(meets, enter, leave), leave, square.rsqrt())
