"""All of space in a cube: the contraction, even steps along rays, and the kernels against readable forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.errors import OptionError
from anyview.radiance.bounds import grid_bounds
from anyview.radiance.contraction import HORIZON, Warp, contract, make_warp
from anyview.radiance.fields.grid import GridField
from anyview.radiance.inner import inner_cube
from anyview.radiance.occupancy import Occupancy, unknown_occupancy
from anyview.radiance.options import DataOptions, GridOptions
from anyview.radiance.rays import Rays
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.scene.synthetic import render_scene


def make_rays(count: int, spread: float, seed: int = 0) -> Rays:
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn((count, 3), generator=generator) * spread
    directions = torch.randn((count, 3), generator=generator)
    one = torch.ones((count, 1))
    return Rays(origins, directions, 0.01 * one, 0.1 * one, 5 * one, one)


def test_contraction() -> None:
    generator = torch.Generator().manual_seed(0)
    inner = torch.rand((200, 3), generator=generator) * 2 - 1
    bent, shrunk = contract(inner)
    assert torch.equal(bent, inner)
    assert (shrunk == 1).all()
    points = torch.randn((200, 3), generator=generator, dtype=torch.float64) * 5
    bent, shrunk = contract(points)
    m = points.abs().amax(1)
    outer = m > 1
    torch.testing.assert_close(bent.abs().amax(1)[outer], (2 - 1 / m)[outer])
    torch.testing.assert_close(torch.nn.functional.normalize(bent), torch.nn.functional.normalize(points))
    jacobians = torch.func.vmap(torch.func.jacrev(lambda p: contract(p[None])[0][0]))(points)
    torch.testing.assert_close(torch.linalg.det(jacobians) ** (1 / 3), shrunk)
    assert float(contract(torch.full((1, 3), 1e6))[0].max()) <= 2


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_steps_along_rays(spread: float) -> None:
    rays = make_rays(300, spread)
    origins, directions, near = (v.double() for v in (rays.origins, rays.directions, rays.near[:, 0]))
    warp = make_warp(origins, directions, near)
    assert (warp.enter <= warp.leave).all()
    assert (warp.leave >= near).all()
    share = torch.rand((300,), generator=torch.Generator().manual_seed(1)).double()
    first = warp.place(near)
    s = (first + share * (warp.end - first)).requires_grad_()
    t = warp.distance(s)
    torch.testing.assert_close(warp.place(t), s)
    torch.testing.assert_close(torch.autograd.grad(t.sum(), s)[0], warp.stretch(s.detach()))
    at = origins + directions * t.detach()[:, None]
    inside = (at.abs() < 1).all(1)
    assert inside.any()
    assert torch.equal(s[inside], t[inside])
    end = (warp.distance(warp.end) - warp.leave) / warp.scale
    torch.testing.assert_close(end, torch.full_like(end, HORIZON - 1))


def marched(occupancy: Occupancy, rays: Rays, step: float) -> list[tuple[int, float, float, torch.Tensor, float]]:
    """The readable form: every step of every ray; (ray, s, t, place, width)."""
    half = float(occupancy.size) / 4
    middle = occupancy.low + occupancy.size / 2
    found = []
    for r in range(len(rays.origins)):
        origin, direction = (rays.origins[r].double() - middle) / half, rays.directions[r].double() / half
        warp = make_warp(origin[None], direction[None], rays.near[r].double())
        start = float(warp.place(rays.near[r].double())) - 0.5 * step
        for k in range(1024):
            s = torch.tensor([start + (k + 0.5) * step]).double()
            if float(s) - 0.5 * step >= float(warp.end):
                break
            t = float(warp.distance(s))
            bent, shrunk = contract((origin + direction * t)[None])
            place = (bent[0] + 2) / 4
            cell = (place * occupancy.cells).long().clamp(0, occupancy.cells - 1)
            if occupancy.open.view(3 * (occupancy.cells,))[cell[2], cell[1], cell[0]]:
                along = (step * float(warp.stretch(s)) * float(direction.norm())) ** 2 / 12
                across = (float(rays.radii[r]) / half * t) ** 2 / 4
                width = ((2 * across + along) / 3) ** 0.5 * float(shrunk) / 4
                found.append((r, float(s), t, place, width))
    return found


@pytest.mark.parametrize(("spread", "cells"), [(0.5, 16), (4.0, 16), (4.0, 18)])
def test_march(spread: float, cells: int) -> None:
    """Cells of 18 lie across the inner cube's sides."""
    rng = np.random.default_rng(0)
    rays = make_rays(30, spread)
    rays = rays._replace(origins=rays.origins + torch.tensor([1.0, 2, 3]))
    occupancy = Occupancy(np.array([1.0, 2, 3]) - 4, 8.0, np.ones((cells,) * 3, np.uint8), 0.0, True)  # half side 2
    occupancy.open.copy_(torch.from_numpy((rng.random(cells**3) < 0.3).astype(np.uint8)))
    step = 0.05
    packed, wanted = occupancy.march(rays, step), marched(occupancy, rays, step)
    assert len(wanted) > 500
    # a step that begins within rounding of a cell's side may fall on either side of it
    ours = {
        (r, round(float(s) / step * 16)): i
        for i, (r, s) in enumerate(zip(_ray_of(packed.offsets), packed.middles, strict=True))
    }
    theirs = {(r, round(s / step * 16)): i for i, (r, s, *_) in enumerate(wanted)}
    both = sorted(ours.keys() & theirs.keys())
    assert len(both) > 0.99 * max(len(ours), len(theirs))
    mine, other = [ours[k] for k in both], [wanted[theirs[k]] for k in both]
    torch.testing.assert_close(packed.points[mine].double(), torch.stack([w[3] for w in other]), rtol=0, atol=2e-5)
    torch.testing.assert_close(
        packed.widths[mine].double(), torch.tensor([w[4] for w in other]).double(), rtol=1e-3, atol=1e-6
    )
    assert (packed.points.min() >= 0) & (packed.points.max() <= 1)


def _ray_of(offsets: torch.Tensor) -> list[int]:
    return torch.repeat_interleave(offsets.diff()).tolist()


def test_lengths_are_those_of_the_world() -> None:
    """A density that is the same everywhere dims a ray by its length in the world, bent or not."""
    options = GridOptions(levels=1, finest=16, log2_entries=8, width=16, harmonics=1, steps=64)
    occupancy = Occupancy(np.full(3, -4.0), 8.0, np.ones((16,) * 3, np.uint8), 0.0, True)
    field = GridField(options, occupancy, torch.Generator().manual_seed(0))
    with torch.no_grad():
        field.table.zero_()  # raw density 0: `first_density` everywhere
    rays = make_rays(20, 1.0)
    packed = occupancy.march(rays, field.step)
    some = torch.repeat_interleave(torch.arange(20), packed.offsets.diff())
    warp = occupancy.warp(rays)
    assert warp is not None
    few = packed._replace(middles=packed.middles)
    with torch.no_grad():
        result, densities = field(rays, few)
    seen = densities >= 0
    expected = field.first_density * warp.of(some).stretch(packed.middles)
    torch.testing.assert_close(densities[seen], expected[seen], rtol=1e-4, atol=0)
    assert (result[:, 3] > 0.999).all()  # of all rays, that go to the horizon
    # light of a uniform fog comes from 1 / density away
    speed = rays.directions.norm(dim=1)
    fog = 1 / field.first_density
    away = (result[:, 4] / result[:, 3] - 0.1) * speed
    assert 0.5 * fog < float(away.median()) < 1.5 * fog


def test_state_of_bounded_runs_still_loads() -> None:
    old = {k: v for k, v in unknown_occupancy(8).state_dict().items() if k != "contracted"}
    occupancy = Occupancy(np.zeros(3), 1.0, np.ones((8,) * 3, np.uint8), 1.0, True)
    occupancy.load_state_dict(old)
    assert not occupancy.contracted
    assert torch.equal(occupancy.inner, occupancy.size)


def test_density_in_the_world() -> None:
    occupancy = Occupancy(np.full(3, -2.0), 4.0, np.ones((16,) * 3, np.uint8), 1.0, True)
    field = GridField(GridOptions(levels=1, width=16, harmonics=1), occupancy, torch.Generator().manual_seed(0))
    assert (field.density(torch.tensor([[0.0, 0, 0], [90.0, 0, 1e5]])) > 0).all()
    occupancy.open.view(16, 16, 16)[:, :, 12:] = 0  # x beyond 1
    assert field.density(torch.tensor([[0.9, 0, 0], [1.1, 0, 0], [0.5, 9, 1e5]]))[1] == 0


def test_who_is_contracted(tmp_path: Path) -> None:
    render_scene(6, (16, 16)).write(tmp_path / "masks")
    made = render_scene(6, (16, 16), transparent=False)
    made.write(tmp_path / "open")
    masked, views = (field_views(load_scene(tmp_path / name), DataOptions()) for name in ("masks", "open"))
    assert grid_bounds(masked, DataOptions(), 8, None, "auto").is_hull
    assert grid_bounds(masked, DataOptions(), 8, None, "cube").contracted
    assert not grid_bounds(views, DataOptions(), 8, None, "none").contracted
    assert not grid_bounds(views, DataOptions(far=9.0), 8, None, "auto").contracted
    boxed = DataOptions(bounds=(-1, -1, -1, 1, 1, 1))
    assert not grid_bounds(field_views(views.scene, boxed), boxed, 8, None, "auto").contracted
    bounds = grid_bounds(views, DataOptions(), 8, None, "auto")
    assert bounds.contracted
    center, half = inner_cube(views)
    cameras = np.stack([v.center for v in views.train])
    assert half == pytest.approx(np.median(np.abs(cameras - center).max(1)))
    assert np.linalg.norm(center) < 0.5  # the table
    np.testing.assert_allclose(bounds.low + bounds.side / 2, center)
    assert bounds.side == pytest.approx(4 * half)
    known = center + np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    close = replace(views, scene=replace(views.scene, points=known))
    assert inner_cube(close)[1] == pytest.approx(0.965, abs=0.02)  # 0.9 ** (1 / 3)
    with pytest.raises(OptionError, match="a reconstruction bounds the scene"):
        grid_bounds(views, DataOptions(), 8, tmp_path, "cube")


def test_a_warp_of_some_rays() -> None:
    warp = Warp(*(torch.arange(3.0) + i for i in range(3)))
    assert warp.of(torch.tensor([2, 2])).leave.tolist() == [3, 3]
