"""The rays of a camera's whole picture from its model's own unprojection: what the product's tables must agree with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from anyview.cameras.models import Camera
from anyview.cameras.rays import pixel_centers, unproject
from anyview.radiance.rays import RADIUS_PER_PIXEL, Rays
from anyview.typing import Pose


def camera_rays(camera: Camera, world_from_cam: Pose, near: float, far: float, lossmult: float = 1.0) -> Rays:
    """One ray per pixel, row by row, through the pixels' centres.

    A cone's radius comes from the distance to the next row's ray at z = 1; the last row repeats the one before.

    Args:
        camera: pinhole or distorted; with a distorted one, each cone has its own pixel's size.
        world_from_cam: its pose.
        near, far: depths, scene units.
        lossmult: weight of these pixels in the loss.
    """
    plane = unproject(camera, pixel_centers(camera.width, camera.height))
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
