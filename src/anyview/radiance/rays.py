"""Rays and the cones around them, one per pixel.

Letters: B rays. Frames: world. Distances t are along the unnormalised direction d, whose component along the camera's
axis is 1: t is depth, and t = 1 lies on the image plane at z = 1.

Source: Barron et al. 2021 (mip-NeRF, arXiv 2103.13415), section 3.1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

RADIUS_PER_PIXEL = 2 / 12**0.5
"""Radius of a pixel's cone at t = 1, in widths of the pixel: its disc has the variance of the pixel's square. As in the
authors' code the width is the distance of two rows of pixels; pixels are square but for rare cameras."""


class Rays(NamedTuple):
    """B rays with their cones."""

    origins: Float[Tensor, "B 3"]  # scene units
    directions: Float[Tensor, "B 3"]  # not normalised
    radii: Float[Tensor, "B 1"]  # of the cone at t = 1, scene units
    near: Float[Tensor, "B 1"]  # distances between which the field is looked at
    far: Float[Tensor, "B 1"]
    lossmult: Float[Tensor, "B 1"]  # weight of the pixel in the loss

    @property
    def viewdirs(self) -> Float[Tensor, "B 3"]:
        """Unit directions."""
        return self.directions / torch.linalg.norm(self.directions, dim=-1, keepdim=True)
