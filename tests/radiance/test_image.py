"""Whole pictures in chunks: the same as all at once, never more rays than allowed, halved where memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import OutOfMemoryError
from anyview.radiance.fields.mip import MipNeRF
from anyview.radiance.image import render_view
from anyview.radiance.options import MipOptions
from anyview.radiance.ray_table import Shot
from anyview.radiance.rays import Rays
from anyview.radiance.render_mip import MipRenderer
from anyview.radiance.renderer import Renderer, Seen
from anyview.training.memory import Chunk
from camera_rays import camera_rays

POSE = look_at(np.array([3.0, 1, 1]), np.zeros(3), np.array([0.0, 0, 1]))
SHOT = Shot(Camera.pinhole(13, 7, 12.0, 11.0, 6.0, 3.0), POSE, 1.0, 5.0)


class Painted:
    """Sees the rays themselves."""

    rays_at_once = 20

    def __init__(self, most: int = 1 << 30) -> None:
        self.most, self.calls = most, []

    def render(self, rays: Rays) -> Seen:
        self.calls.append(len(rays.origins))
        if len(rays.origins) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return Seen(rays.directions, rays.near[:, 0] + rays.directions[:, 0], rays.radii[:, 0])

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return points[:, 0]


def test_a_picture_is_its_rays_in_their_places() -> None:
    renderer = Painted()
    assert isinstance(renderer, Renderer)
    seen = render_view(renderer, SHOT)
    rays = camera_rays(SHOT.camera, POSE, 1.0, 5.0)
    assert np.allclose(seen.rgb, rays.directions.reshape(7, 13, 3), atol=2e-7)
    assert np.allclose(seen.depth, 1 + rays.directions[:, 0].reshape(7, 13), atol=2e-7)
    assert np.allclose(seen.opacity, rays.radii.reshape(7, 13), rtol=1e-6)
    assert renderer.calls == [20, 20, 20, 20, 11]


def test_where_memory_runs_out_chunks_are_halved_and_stay_so() -> None:
    whole, small, chunk = render_view(Painted(), SHOT), Painted(6), Chunk(20)
    for _ in range(2):
        for one, other in zip(whole, render_view(small, SHOT, chunk), strict=True):
            assert np.array_equal(one, other)
    assert chunk.size == 5
    assert small.calls[:3] == [20, 10, 5]
    assert max(small.calls[3:]) == 5
    with pytest.raises(OutOfMemoryError, match="not even 1 of 91 items fit"):
        render_view(Painted(0), SHOT)


def test_mip_in_chunks_is_mip_at_once() -> None:
    model = MipNeRF(MipOptions(intervals=8, width=16, depth=3, head_width=8))
    renderer = MipRenderer(model)
    seen = render_view(renderer, SHOT, Chunk(17))
    _, fine = model(camera_rays(SHOT.camera, POSE, 1.0, 5.0))
    assert np.allclose(seen.rgb.reshape(-1, 3), fine.rgb.detach(), atol=1e-5)
    assert np.allclose(seen.depth.ravel(), fine.depth.detach(), atol=1e-4)
    assert np.allclose(seen.opacity.ravel(), fine.opacity.detach(), atol=1e-5)


def test_the_papers_model_takes_so_many_rays_that_a_layer_has_128_mib() -> None:
    rays = MipRenderer(MipNeRF()).rays_at_once
    assert 64 << 20 < rays * 128 * (256 + 96) * 4 <= 128 << 20
