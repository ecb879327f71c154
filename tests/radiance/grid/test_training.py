"""The grid field learns, and knows where there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.errors import SceneError
from anyview.formats.ply import write_ply
from anyview.progress import SILENT
from anyview.radiance.bounds import _outlines, grid_bounds
from anyview.radiance.grid.compositing import Packed
from anyview.radiance.image import render_view
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.options import DataOptions, GridOptions, RadianceOptions
from anyview.radiance.pictures import read_picture
from anyview.radiance.ray_table import Shot
from anyview.radiance.rays import Rays
from anyview.radiance.reconstructed import shell
from anyview.radiance.run import open_run
from anyview.radiance.train import train_field
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.scene.synthetic import render_scene
from anyview.training.options import LoopOptions
from camera_rays import camera_rays

GRID = GridOptions(
    levels=4, finest=64, log2_entries=12, width=16, harmonics=1, cells=32, first_steps=64, steps=64, samples=2048,
    validation_pixels=256,
)  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    render_scene(12, (48, 48)).write(folder)
    return folder


def options(steps: int) -> RadianceOptions:
    return RadianceOptions(grid=GRID, loop=LoopOptions(steps=steps, validate_every=40, log_every=20, device="cpu"))


@pytest.mark.slow
def test_learns_and_renders(scene: Path, tmp_path: Path) -> None:
    result = train_field(scene, tmp_path / "run", options(300), SILENT)
    first = 10 * np.log10(1 / 0.25**2)
    assert result.best is not None
    assert result.best.value > first + 6
    run = open_run(tmp_path / "run")
    view = run.views.val[0]
    seen = render_view(run.renderer, Shot(view.camera, view.world_from_cam, view.near or 0, view.far or 0))
    truth, mask = view.read()
    assert mask is not None
    wanted = np.where(mask[..., None], truth, 1)
    psnr = -10 * np.log10(np.mean((seen.rgb - wanted) ** 2))
    assert psnr > first + 6
    inside = seen.depth[mask & (seen.opacity > 0.9)]
    assert ((inside > (view.near or 0)) & (inside < (view.far or 0))).all()
    assert seen.depth[seen.opacity == 0].max(initial=0) == 0
    points = torch.from_numpy(np.array([[50.0, 0, 0]]))
    assert run.renderer.density(points).tolist() == [0]


@pytest.mark.parametrize("downscale", [1, 2])
def test_hull_holds_the_object(scene: Path, downscale: int) -> None:
    data = DataOptions(downscale=downscale)
    views = field_views(load_scene(scene), data)
    bounds = grid_bounds(views, data, 32)
    assert {outline.mask.shape for outline in _outlines(views, downscale) or ()} == {(48 // downscale,) * 2}
    assert bounds.is_hull
    assert 0.01 < bounds.possible.mean() < 0.9
    occupancy = Occupancy(bounds.low, bounds.side, bounds.possible, 1.0)
    for view in views.train:  # every pixel of the object meets the hull
        picture = read_picture(view, downscale)
        assert picture.alpha is not None
        mask = picture.alpha > 0
        rays = camera_rays(picture.camera, view.world_from_cam, view.near or 0, view.far or 9)
        packed = _march(occupancy, rays, bounds.side / 64)
        met = packed.offsets.diff().numpy().reshape(mask.shape) > 0
        assert met[mask].all()
        assert not met.all()


def test_geometry_leaves_a_shell(scene: Path, tmp_path: Path) -> None:
    views = field_views(load_scene(scene), DataOptions())
    hull = grid_bounds(views, DataOptions(), 32)
    middle = hull.low + hull.side / 2 + 0.3 * hull.side / 32  # amid a cell
    write_ply(tmp_path / "fused.ply", np.asarray([middle]))
    bounds = grid_bounds(views, DataOptions(), 32, tmp_path)
    near = shell(np.asarray([middle]), hull.low, hull.side, 32)
    assert near.sum() == 125
    assert (bounds.possible == (hull.possible & near)).all()
    write_ply(tmp_path / "fused.ply", np.asarray([middle + 100]))
    with pytest.raises(SceneError, match="the reconstruction lies elsewhere"):
        grid_bounds(views, DataOptions(), 32, tmp_path)
    with pytest.raises(SceneError, match="no reconstruction"):
        grid_bounds(views, DataOptions(), 32, tmp_path / "nothing")


def test_march_covers_open_cells_only() -> None:
    open_ = np.zeros((8, 8, 8), np.uint8)
    open_[:, :, 3:5] = 1  # x from 3/8 to 5/8
    occupancy = Occupancy(np.zeros(3), 1.0, open_, 1.0)
    from anyview.cameras.models import Camera

    camera = Camera.pinhole(1, 1, 1.0, 1.0, 0.5, 0.5)
    pose = np.array([[0, 0, 1, -1], [-1, 0, 0, 0.4], [0, -1, 0, 0.4], [0, 0, 0, 1.0]])  # looks along x
    rays = camera_rays(camera, pose, 0.1, 5)
    packed = _march(occupancy, rays, 0.01)
    x = packed.points[:, 0]
    assert len(x) == 25
    assert float(x.min()) >= 0.375
    assert float(x.max()) <= 0.625
    assert packed.middles.diff().numpy() == pytest.approx(0.01, abs=1e-5)
    occupancy.mean.fill_(1e4)
    walk = occupancy.walk(rays, 0.01)
    assert len(walk.ahead(occupancy.open, occupancy.mean, 8.0).points) == 1  # the first is believed to block the rest
    assert len(walk.ahead(occupancy.open, occupancy.mean, float("inf")).points) == 24  # but did not


def _march(occupancy: Occupancy, rays: Rays, step: float) -> Packed:
    return occupancy.walk(rays, step).ahead(occupancy.open, occupancy.mean, float("inf"))


def test_closed_cells_open_again_at_random() -> None:
    occupancy = Occupancy(np.zeros(3), 1.0, np.ones((16, 16, 16), np.uint8), 0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        occupancy.update(0.5, 0.1, generator)
    assert float(occupancy.open.float().mean()) == pytest.approx(0.1, abs=0.02)
