"""Points that stand for a frustum: their moments, and a field that looks at them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from anyview.errors import OptionError
from anyview.radiance.fields.grid import GridField
from anyview.radiance.multisample import across, helix, spread
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.options import GridOptions
from anyview.radiance.rays import Rays


def pattern(t0: float, t1: float, radius: float, n: int) -> torch.Tensor:
    given = [torch.tensor([v], dtype=torch.float64) for v in (t0, t1, radius, 0.0)]
    parts = [helix(*given, j, n) for j in range(n)]
    return torch.stack([torch.cat([aside[0], t]) for t, aside, _ in parts])


def test_six_are_the_papers() -> None:
    t0, t1, radius = 2.0, 2.6, 0.1
    middle, half = (t0 + t1) / 2, (t1 - t0) / 2
    angles = np.array([0, 2, 4, 3, 5, 1]) * math.pi / 3
    j = np.arange(6)
    root = math.sqrt((half**2 - middle**2) ** 2 + 4 * middle**4)
    t = t0 + half / (half**2 + 3 * middle**2) * (
        t1**2 + 2 * middle**2 + 3 / math.sqrt(7) * (2 * j / 5 - 1) * root
    )  # Zip-NeRF, equation 2
    wanted = np.stack([radius * t * np.cos(angles), radius * t * np.sin(angles)], 1) / math.sqrt(2)
    found = pattern(t0, t1, radius, 6).numpy()
    np.testing.assert_allclose(found[:, :2], wanted, atol=1e-12)
    np.testing.assert_allclose(found[:, 2], t, atol=1e-12)


@pytest.mark.parametrize("n", [6, 8, 12])
@pytest.mark.parametrize(("t0", "t1"), [(2.0, 2.05), (1.0, 1.5)])
def test_moments_are_the_frustum_s(n: int, t0: float, t1: float) -> None:
    radius, rng = 0.2, np.random.default_rng(0)
    t = (t0**3 + rng.random(1_000_000) * (t1**3 - t0**3)) ** (1 / 3)  # as much as the frustum is wide there
    r, angle = radius * t * np.sqrt(rng.random(t.size)), rng.random(t.size) * 2 * math.pi
    inside = np.stack([r * np.cos(angle), r * np.sin(angle), t], 1)
    found = pattern(t0, t1, radius, n).numpy()
    size = inside.std(0)
    np.testing.assert_allclose(found.mean(0) / size, inside.mean(0) / size, atol=0.005)
    error = (np.cov(found.T, bias=True) - np.cov(inside.T, bias=True)) / np.outer(size, size)
    assert np.abs(np.diag(error)).max() < (0.01 if t1 - t0 < 0.1 else 0.15)  # of long ones the ends differ in width
    assert np.abs(error - np.diag(np.diag(error))).max() < (0.02 if t1 - t0 < 0.1 else 0.15)


def test_frames() -> None:
    directions = torch.cat([torch.randn((50, 3), generator=torch.Generator().manual_seed(0)), torch.eye(3)])
    frames = torch.cat([across(directions), torch.nn.functional.normalize(directions)[:, None]], 1)
    torch.testing.assert_close(frames @ frames.transpose(1, 2), torch.eye(3).expand(53, 3, 3), rtol=0, atol=1e-6)


def rays_from(origin: list[float], count: int = 40) -> Rays:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn((count, 3), generator=generator)
    one = torch.ones((count, 1))
    return Rays(torch.tensor([origin]).expand(count, 3).contiguous(), directions, 0.05 * one, 0.1 * one, 9 * one, one)


@pytest.mark.parametrize("contracted", [False, True])
def test_points_surround_their_sample(contracted: bool) -> None:
    occupancy = Occupancy(np.full(3, -2.0), 4.0, np.ones((16,) * 3, np.uint8), 0.0, contracted)
    rays = rays_from([0.1, 0.2, 0.3])
    packed = occupancy.walk(rays, 0.05).ahead(occupancy.open, occupancy.mean, float("inf"))
    parts = [spread(occupancy, rays, packed, j, 6) for j in range(6)]
    mean = torch.stack([points for points, _ in parts]).mean(0)
    inner = ((packed.points - 0.5).abs().amax(1) < (0.2 if contracted else 0.45)) & (packed.middles > 0.2)
    assert inner.sum() > 300
    torch.testing.assert_close(mean[inner], packed.points[inner], rtol=0, atol=2e-3)
    width = torch.stack([widths for _, widths in parts]).mean(0)
    wanted = 0.5 * 0.05 * packed.middles / 2**0.5 / 4  # in the cube of side 4
    torch.testing.assert_close(width[inner], wanted[inner], rtol=0.01, atol=1e-5)
    for points, widths in parts:
        assert ((points >= 0) & (points <= 1)).all()
        assert (widths >= 0).all()


def test_a_field_takes_the_mean() -> None:
    occupancy = Occupancy(np.full(3, -2.0), 4.0, np.ones((16,) * 3, np.uint8), 0.0)
    options = GridOptions(levels=2, finest=32, log2_entries=12, width=16, harmonics=1, steps=32, multisamples=6)
    field = GridField(options, occupancy, torch.Generator().manual_seed(0))
    with torch.no_grad():
        field.table.normal_(generator=torch.Generator().manual_seed(1))
    rays = rays_from([0.0, 0, 0])
    packed = occupancy.walk(rays, field.step).ahead(occupancy.open, occupancy.mean, float("inf"))
    wanted = torch.stack([field.features(*spread(occupancy, rays, packed, j, 6)) for j in range(6)]).mean(0)
    learning = field.sampled(rays, packed)
    torch.testing.assert_close(learning, wanted, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(field.sampled(rays, packed), wanted, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(wanted, field.features(packed.points, packed.widths), atol=0.01)
    result, _, _ = field(rays)
    result.sum().backward()
    assert float(field.table.grad.abs().max()) > 0


@pytest.mark.parametrize("count", [0, 2, 4, 7, 66])
def test_patterns_that_do_not_exist(count: int) -> None:
    with pytest.raises(OptionError, match="no such pattern"):
        GridOptions(multisamples=count)
