"""A field that is a ball, exported: its points lie on the ball, in the scene's coordinates, normals outwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.errors import OptionError, SceneError
from anyview.formats.ply import read_ply
from anyview.radiance import surface_views
from anyview.radiance.export import export_points
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Seen
from ball_field import CENTER, RADIUS, Ball, run_of


def test_points_lie_on_the_ball(tmp_path: Path) -> None:
    count = export_points(run_of(Ball(), tmp_path, all_sides=True), tmp_path / "points.ply", 0.2)
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


def test_large_pictures_are_rendered_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(Ball(), tmp_path, all_sides=True)
    sizes = [(shot.camera.width, shot.camera.height) for shot, _ in surface_views.surface_views(run, run.views.train)]
    width, height = sizes[0]
    monkeypatch.setattr(surface_views, "MOST_PIXELS", width * height // 8)  # 2 per side would be 4
    seen = list(surface_views.surface_views(run, run.views.train))
    assert {view.depth.shape for _, view in seen} == {(height // 3, width // 3)}
    assert export_points(run, tmp_path / "points.ply") > 100
    offsets = read_ply(tmp_path / "points.ply").xyz - CENTER
    assert np.abs(np.linalg.norm(offsets, axis=1) - RADIUS).max() < 0.02


def test_nothing_opaque(tmp_path: Path) -> None:
    class Fog(Ball):
        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            return seen._replace(opacity=0.5 * seen.opacity)

    with pytest.raises(SceneError, match="the field is nowhere opaque"):
        export_points(run_of(Fog(), tmp_path, all_sides=True), tmp_path / "points.ply")
    assert not (tmp_path / "points.ply").exists()


def test_a_floater_that_two_views_see_is_left_out(tmp_path: Path) -> None:
    class Floater(Ball):
        def __init__(self) -> None:
            super().__init__()
            self.cameras: list[tuple[float, ...]] = []

        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            camera = tuple(rays.origins[0].tolist())
            if camera not in self.cameras:
                self.cameras.append(camera)
            if self.cameras.index(camera) >= 2:
                return seen
            depth = torch.where(seen.opacity == 0, 4.0, seen.depth)
            return Seen(seen.rgb, depth, torch.ones_like(seen.opacity))

    export_points(run_of(Floater(), tmp_path, all_sides=True), tmp_path / "points.ply", 0.2)
    away = np.linalg.norm(read_ply(tmp_path / "points.ply").xyz - CENTER, axis=1)
    assert np.abs(away - RADIUS).max() < 0.02


def test_points_that_no_three_views_agree_on(tmp_path: Path) -> None:
    class Everywhere(Ball):
        """Every picture shows another depth."""

        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            return seen._replace(depth=seen.depth + 3 * rays.origins[0].sum())

    with pytest.raises(SceneError, match="no 3 views agree on a surface"):
        export_points(run_of(Everywhere(), tmp_path, all_sides=True), tmp_path / "points.ply")
    assert not (tmp_path / "points.ply").exists()


def test_few_views_and_another_ending(tmp_path: Path) -> None:
    run = run_of(Ball(), tmp_path, all_sides=True)
    export_points(run, tmp_path / "points.ply", 0.2, views=1)
    cloud = read_ply(tmp_path / "points.ply")
    assert ((cloud.xyz - CENTER)[:, 0] > 0).all()  # the first camera's half
    with pytest.raises(OptionError, match=r"no view would be rendered in --views: expected 1 or more, found 0"):
        export_points(run, tmp_path / "points.ply", views=0)
    for spacing in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(OptionError, match=r"points need a distance in --spacing: expected above 0"):
            export_points(run, tmp_path / "points.ply", spacing)
    with pytest.raises(OptionError, match=r"points are written as PLY in --out: expected a name that ends in .ply"):
        export_points(run, tmp_path / "points.obj")
