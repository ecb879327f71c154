"""Rays and the cones around them, one per pixel, from cameras.

Letters: B rays. Frames: world. Distances t are along the unnormalised direction d, whose component along the camera's
axis is 1: t is depth, and t = 1 lies on the image plane at z = 1.

Source: Barron et al. 2021 (mip-NeRF, arXiv 2103.13415), section 3.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from anyview.cameras.models import Camera
from anyview.cameras.rays import pixel_centers, unproject
from anyview.typing import Pose

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


def camera_rays(camera: Camera, world_from_cam: Pose, near: float, far: float, lossmult: float = 1.0) -> Rays:
    """One ray per pixel, row by row, through the pixels' centres.

    A cone's radius comes from the distance to the next row's ray at z = 1; the last row repeats the one before.

    Args:
        camera: pinhole or distorted; with a distorted one, each cone has its own pixel's size.
        world_from_cam: its pose.
        near, far: depths, scene units.
        lossmult: weight of these pixels in the loss.
    """
    plane: Float64[np.ndarray, "N 3"] = unproject(camera, pixel_centers(camera.width, camera.height))
    rows = plane.reshape(camera.height, camera.width, 3)
    step = np.linalg.norm(np.diff(rows, axis=0), axis=-1)
    step = np.concatenate([step, step[-1:]]) if len(step) else np.full((1, camera.width), 1 / camera.fy)
    directions = plane @ world_from_cam[:3, :3].T
    count = len(directions)

    def column(values: np.ndarray | float) -> Tensor:
        return torch.from_numpy(np.broadcast_to(np.float32(values), (count,)).reshape(-1, 1).copy())

    return Rays(
        torch.from_numpy(np.broadcast_to(world_from_cam[:3, 3], directions.shape).astype(np.float32)),
        torch.from_numpy(directions.astype(np.float32)),
        column((RADIUS_PER_PIXEL * step).ravel()),
        column(near),
        column(far),
        column(lossmult),
    )
