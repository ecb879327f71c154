"""A field that is an opaque ball of one colour, as a run whose cameras look at it from all sides."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import torch

from anyview.cameras.models import Camera
from anyview.radiance.options import RadianceOptions
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Renderer, Seen
from anyview.radiance.run import Run
from anyview.radiance.views import FieldViews
from anyview.scene.scene import ArrayPixels, Scene, View

CENTER, RADIUS = np.array([10.0, -3.0, 7.0]), 2.0


class Ball:
    """Of radius 2, far from zero."""

    rays_at_once = 100

    def render(self, rays: Rays) -> Seen:
        o, d = rays.origins.double() - torch.from_numpy(CENTER), rays.directions.double()
        a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - RADIUS**2
        root = b * b - a * c
        hit = root > 0
        depth = torch.where(hit, (-b - root.clamp_min(0).sqrt()) / a, 0.0).float()
        rgb = torch.tensor([0.2, 0.4, 0.6]).expand(len(d), 3)
        return Seen(rgb, depth, hit.float())

    def density(self, points: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def run_of(renderer: Renderer, folder: Path, size: int = 40, *, all_sides: bool = False) -> Run:
    """Six cameras look at it along the axes, from eight units away; 20 more if they are to see it from all sides."""
    camera, views = Camera.pinhole(size, size, 1.5 * size, 1.5 * size, size / 2, size / 2), []
    sides = np.concatenate([np.eye(3), -np.eye(3)])
    if all_sides:
        more = [side for side in product((-1.0, 0.0, 1.0), repeat=3) if np.abs(side).sum() > 1]
        sides = np.concatenate([sides, more])
    for k, axis in enumerate(sides / np.linalg.norm(sides, axis=1, keepdims=True)):
        x = np.roll(axis, 1) if k < 6 else np.cross(axis, [0.9, 0.3, 0.1])
        x /= np.linalg.norm(x)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(-axis, x), -axis], 1)
        pose[:3, 3] = CENTER + 8 * axis
        pixels = ArrayPixels(np.zeros((size, size, 3), np.float32))
        views.append(View(f"{k}.png", camera, pose, pixels, near=1.0, far=20.0))
    of = FieldViews(Scene(tuple(views)), tuple(views), (), (), 1.0, 20.0, False)
    return Run(folder, RadianceOptions(), of, renderer, 1, "")
