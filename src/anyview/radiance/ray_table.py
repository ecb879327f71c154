"""Rays of any pixels of many cameras by tensor indexing: one row of a table per camera, no object per ray.

Of pinhole cameras only, where all cones of an image have one size.
Letters: V views, B rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from anyview.cameras.models import Camera
from anyview.radiance.rays import RADIUS_PER_PIXEL, Rays
from anyview.typing import Pose


@dataclass(frozen=True)
class Shot:
    """A picture that is, or could be, taken."""

    camera: Camera
    """A pinhole."""
    world_from_cam: Pose
    near: float
    far: float
    weight: float = 1.0


class RayTable:
    """Cameras and poses as tensors.

    Args:
        shots: one per view.
        device: where the tables, and so the rays, lie.
    """

    def __init__(self, shots: Sequence[Shot], device: torch.device | str = "cpu") -> None:
        cameras = [shot.camera for shot in shots]
        lens = [(c.fx, c.fy, c.cx, c.cy, RADIUS_PER_PIXEL / c.fy) for c in cameras]
        self._lens: Float64[Tensor, "V 5"] = torch.tensor(lens, dtype=torch.float64, device=device)
        poses = torch.stack([torch.from_numpy(shot.world_from_cam.copy()) for shot in shots])
        self._poses: Float64[Tensor, "V 4 4"] = poses.to(device)
        depths = [(shot.near, shot.far, shot.weight) for shot in shots]
        self._depths = torch.tensor(depths, dtype=torch.float32, device=device)

    def rays(self, view: Int[Tensor, "B"], row: Int[Tensor, "B"], column: Int[Tensor, "B"]) -> Rays:
        """Rays through the centres of pixels.

        Args:
            view: number of each ray's camera.
            row, column: of its pixel.
        """
        fx, fy, cx, cy, radius = self._lens[view].unbind(1)
        pose = self._poses[view]
        x, y = (column.double() + 0.5 - cx) / fx, (row.double() + 0.5 - cy) / fy
        local = torch.stack([x, y, torch.ones_like(x)], 1)
        directions = (pose[:, :3, :3] @ local[..., None])[..., 0]
        near, far, weight = (values[:, None] for values in self._depths[view].unbind(1))
        return Rays(pose[:, :3, 3].float(), directions.float(), radius.float()[:, None], near, far, weight)
