"""A field that is a ball, exported: its points lie on the ball, in the scene's coordinates, normals outwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.cameras.models import Camera
from anyview.errors import SceneError
from anyview.formats.ply import read_ply
from anyview.radiance.export import export_points
from anyview.radiance.options import RadianceOptions
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Renderer, Seen
from anyview.radiance.run import Run
from anyview.radiance.views import FieldViews
from anyview.scene.scene import ArrayPixels, Scene, View

CENTER, RADIUS = np.array([10.0, -3.0, 7.0]), 2.0


class Ball:
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


def run_of(renderer: Renderer, folder: Path) -> Run:
    camera, views = Camera.pinhole(40, 40, 60.0, 60.0, 20.0, 20.0), []
    for k, axis in enumerate(np.concatenate([np.eye(3), -np.eye(3)])):
        x = np.roll(axis, 1)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(-axis, x), -axis], 1)
        pose[:3, 3] = CENTER + 8 * axis
        pixels = ArrayPixels(np.zeros((40, 40, 3), np.float32))
        views.append(View(f"{k}.png", camera, pose, pixels, near=1.0, far=20.0))
    of = FieldViews(Scene(tuple(views)), tuple(views), (), (), 1.0, 20.0, False)
    return Run(folder, RadianceOptions(), of, renderer, 1, "")


def test_points_lie_on_the_ball(tmp_path: Path) -> None:
    count = export_points(run_of(Ball(), tmp_path), tmp_path / "points.ply", 0.2)
    cloud = read_ply(tmp_path / "points.ply")
    assert count == len(cloud.xyz) > 300
    offsets = cloud.xyz - CENTER
    assert np.abs(np.linalg.norm(offsets, axis=1) - RADIUS).max() < 0.02  # means over cubes lie a little inside
    assert cloud.normals is not None
    assert (np.einsum("ni,ni->n", cloud.normals, offsets) / RADIUS).min() > 0.95
    assert cloud.rgb is not None
    assert (cloud.rgb == [51, 102, 153]).all()
    cubes = np.floor(cloud.xyz / 0.2).astype(int)
    assert len(np.unique(cubes, axis=0)) > 0.98 * count


def test_nothing_opaque(tmp_path: Path) -> None:
    class Fog(Ball):
        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            return seen._replace(opacity=0.5 * seen.opacity)

    with pytest.raises(SceneError, match="the field is nowhere opaque"):
        export_points(run_of(Fog(), tmp_path), tmp_path / "points.ply")
    assert not (tmp_path / "points.ply").exists()
