"""Rays on their way: compiled and readable steps, stretches, and what they leave out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anyview.radiance import walk as walking
from anyview.radiance.fields import grid
from anyview.radiance.fields.grid import GridField
from anyview.radiance.grid.optimizer import TableAdam
from anyview.radiance.occupancy import Occupancy, learn_with_torch
from anyview.radiance.options import GridOptions
from anyview.radiance.rays import Rays
from anyview.radiance.walk import line_up

OPTIONS = GridOptions(levels=4, finest=64, log2_entries=12, width=16, harmonics=4, steps=128)


def make_rays(count: int) -> Rays:
    generator = torch.Generator().manual_seed(0)
    origins = torch.randn((count, 3), generator=generator) * 3
    aims = torch.rand((count, 3), generator=generator) * 2 - 1
    ones = torch.ones((count, 1))
    return Rays(origins, 0.5 * (aims - origins), 0.002 * ones, 0.1 * ones, 9 * ones, ones)


def make_occupancy(contracted: bool, cells: int = 16) -> Occupancy:
    side = 4.0 if contracted else 2.0
    rng = np.random.default_rng(1)
    occupancy = Occupancy(np.full(3, -side / 2), side, np.ones((cells,) * 3, np.uint8), 0.0, contracted)
    occupancy.open.copy_(torch.from_numpy((rng.random(cells**3) < 0.4).astype(np.uint8)))
    occupancy.mean.copy_(torch.from_numpy(rng.exponential(3.0, cells**3)))
    return occupancy


@pytest.mark.parametrize("contracted", [False, True])
def test_steps_are_those_of_the_definition(contracted: bool) -> None:
    occupancy, rays = make_occupancy(contracted), make_rays(200)
    walk = occupancy.walk(rays, 0.02, torch.Generator().manual_seed(2))
    twin = replace(walk, begins=walk.begins.clone())
    for limit in (1.0, 2.0, float("inf")):
        given = (occupancy.open, occupancy.mean, 16, limit, 512)
        counts, points, widths, middles = walk._compiled(*given)
        theirs = twin._with_torch(*given)
        # a step that begins within rounding of a cell's side may fall on either side of it
        same = counts == theirs[0]
        assert same.float().mean() > 0.9
        rows, other = (torch.repeat_interleave(same, n) for n in (counts, theirs[0]))
        close = (middles[rows] - theirs[3][other]).abs() < 5e-4  # measured: sums of 500 steps of 0.02 end 2.5e-4 off
        assert close.float().mean() > 0.98  # of rays with as many steps, some have others
        for ours, wanted, tolerance in ((points, theirs[1], 1e-4), (widths, theirs[2], 2e-5)):
            torch.testing.assert_close(ours[rows][close], wanted[other][close], rtol=1e-3, atol=tolerance)
        further = (walk.begins[same] - twin.begins[same]).abs()
        assert (further < 0.03).float().mean() > 0.98  # a step; but of rays that stop by one's rounding only
        twin.begins = walk.begins.clone()
    assert (walk.begins >= walk.far - 1e-4).all()


def test_stretches_line_up(monkeypatch: pytest.MonkeyPatch) -> None:
    occupancy, rays = make_occupancy(False), make_rays(200)
    walk = occupancy.walk(rays, 0.02)
    monkeypatch.setattr(walking, "MOST_SAMPLES", 20)
    parts = [walk.ahead(occupancy.open, occupancy.mean, 1.0)]
    while not walk.ended:
        parts.append(walk.ahead(occupancy.open, occupancy.mean, 2.0 * len(parts)))
    assert len(parts) > 3
    assert int(max(part.offsets.diff().max() for part in parts)) == 20
    packed = line_up(parts)
    monkeypatch.setattr(walking, "MOST_SAMPLES", 1024)
    whole = occupancy.walk(rays, 0.02).ahead(occupancy.open, occupancy.mean, float("inf"))
    assert torch.equal(packed.offsets, whole.offsets)
    torch.testing.assert_close(packed.middles[packed.order], whole.middles)
    torch.testing.assert_close(packed.points[packed.order], whole.points)
    assert torch.equal(packed.ray[packed.order], whole.ray)


def field_of(contracted: bool, dense: float) -> GridField:
    field = GridField(OPTIONS, make_occupancy(contracted), torch.Generator().manual_seed(3))
    with torch.no_grad():
        field.table.mul_(dense / 1e-4)
    return field


def looked(field: GridField, rays: Rays) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Result, gradient of the table, samples."""
    field.zero_grad()
    result, _, packed = field(rays)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(result.shape)
    (result[:, :5] * weights[:, :5]).sum().backward()
    assert field.table.grad is not None
    return result.detach(), field.table.grad, len(packed.points)


@pytest.mark.parametrize("contracted", [False, True])
def test_nothing_is_missed(contracted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is believed about cells, a picture and its gradients are those of all samples."""
    field, rays = field_of(contracted, 30.0), make_rays(300)
    monkeypatch.setattr(grid, "STRETCHES", (0.3, 1.0, float("inf")))
    result, gradient, samples = looked(field, rays)
    monkeypatch.setattr(grid, "STRETCHES", (float("inf"),))
    whole, wanted, all_samples = looked(field, rays)
    assert samples < 0.98 * all_samples
    torch.testing.assert_close(result, whole, rtol=0, atol=1e-5)  # measured 0
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("contracted", [False, True])
def test_other_devices_see_the_same(contracted: bool) -> None:
    """In float64 a field goes the way of other devices: torch's operations alone."""
    field, rays = field_of(contracted, 0.3), make_rays(100)
    result, gradient, _ = looked(field, rays)
    other = field_of(contracted, 0.3).double()
    low, size = field.occupancy.low, field.occupancy.size
    assert torch.equal(other.occupancy.low, low)
    assert torch.equal(other.occupancy.size, size)
    wanted, slow, _ = looked(other, Rays(*(part.double() for part in rays)))
    off = (result.double() - wanted).abs().amax(1) > 1e-3
    assert off.float().mean() < 0.1  # rays with a step on the other side of a cell's side
    relation = float((gradient.double() * slow).sum() / (gradient.double().norm() * slow.norm()))
    assert relation > 0.99


@pytest.mark.parametrize(("contracted", "points"), [(False, 1), (True, 1), (True, 6)])
def test_all_tensors_are_made_on_the_field_s_device(contracted: bool, points: int) -> None:
    """What were made on the default device instead would be on `meta` here, and not go together with the rest."""
    field = field_of(contracted, 0.3).double()
    field.options = replace(OPTIONS, multisamples=points)
    field.table.grad = torch.zeros_like(field.table)
    rays = Rays(*(part.double() for part in make_rays(30)))
    adam = TableAdam([field.table], 0.01)
    adam.step()
    generator = torch.Generator().manual_seed(5)
    start = field.table.detach().clone()
    with torch.device("meta"):
        result, densities, packed = field(rays, generator)
        result.sum().backward()
        adam.step()
        field.occupancy.learn(packed.points, densities)
        field.occupancy.update(0.1, 0.1, generator)
        field.ask(generator)
        found = field.density(rays.origins)
    assert found.device.type == "cpu"
    assert not torch.equal(field.table, start)


def test_cells_learn_alike() -> None:
    generator = torch.Generator().manual_seed(4)
    points = torch.rand((500, 3), generator=generator)
    densities = torch.full((500,), 3.0)
    densities[::7] = -1
    occupancy = make_occupancy(False, 4)
    mean = occupancy.mean.clone()
    occupancy.learn(points, densities)
    learn_with_torch(points, densities, 4, mean)
    torch.testing.assert_close(occupancy.mean, mean, rtol=1e-5, atol=1e-6)
