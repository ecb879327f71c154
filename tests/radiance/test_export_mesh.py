"""A field that is a ball, exported as a mesh: closed, on the ball, faces outwards, in the scene's coordinates."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from anyview.errors import OptionError, SceneError, WorkspaceError
from anyview.formats.ply import read_ply
from anyview.pipelines import radiance_mesh
from anyview.pipelines.radiance_mesh import export_mesh
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Seen
from ball_field import CENTER, RADIUS, Ball, run_of
from textured_render import read_glb

FOOTPRINT = 6 / 60  # of a pixel on the ball's front: 40 pixels, focal length 60, distance 8 - 2


def surface(path: Path) -> trimesh.Trimesh:
    made = read_ply(path)
    return trimesh.Trimesh(made.xyz, made.faces, process=False)


def test_the_ball(tmp_path: Path) -> None:
    result = export_mesh(run_of(Ball(), tmp_path), tmp_path / "mesh.ply")
    made, ball = read_ply(tmp_path / "mesh.ply"), surface(tmp_path / "mesh.ply")
    assert (result.vertices, result.faces) == (len(made.xyz), len(ball.faces))
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.07)  # positive: faces look outwards
    offsets = made.xyz - CENTER
    error = np.abs(np.linalg.norm(offsets, axis=1) - RADIUS) / FOOTPRINT
    assert np.median(error) < 0.3  # measured 0.25
    assert error.max() < 1.5  # measured 1.1, where all views look obliquely
    assert made.normals is not None
    assert np.einsum("ni,ni->n", made.normals, offsets / RADIUS).min() > 0.8
    assert made.rgb is not None
    assert (made.rgb == [51, 102, 153]).all()


def test_a_floater_that_one_view_sees_is_outvoted(tmp_path: Path) -> None:
    class Floater(Ball):
        """One camera sees a wall where the others look through."""

        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            lies = (rays.origins[:, 0] > CENTER[0] + 7).logical_and(seen.opacity == 0)
            return Seen(seen.rgb, torch.where(lies, 5.0, seen.depth), torch.where(lies, 1.0, seen.opacity))

    export_mesh(run_of(Floater(), tmp_path), tmp_path / "mesh.ply")
    away = np.linalg.norm(read_ply(tmp_path / "mesh.ply").xyz - CENTER, axis=1)
    assert away.max() < RADIUS + 3 * FOOTPRINT


def test_fewer_faces_as_gltf_with_y_up(tmp_path: Path) -> None:
    result = export_mesh(run_of(Ball(), tmp_path), tmp_path / "ball.glb", faces=400)
    ball = trimesh.load(tmp_path / "ball.glb", force="mesh", process=False)
    assert 200 < result.faces == len(ball.faces) <= 400
    x, y, z = CENTER
    assert ball.bounds.mean(0) == pytest.approx([x, z, -y], abs=0.1)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.08)
    glb = read_glb(tmp_path / "ball.glb")
    assert glb.tree["accessors"][glb.primitive["attributes"]["COLOR_0"]]["normalized"]
    colors = glb.attribute("COLOR_0")
    assert (colors.shape, colors.dtype) == ((len(ball.vertices), 4), np.uint16)
    assert np.abs(colors / 0xFFFF - [0.0331, 0.1329, 0.3185, 1]).max() < 1e-4  # 51, 102 and 153 in sRGB
    assert glb.tree["materials"][glb.primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_the_mesh_moves_and_grows_with_the_scene(tmp_path: Path) -> None:
    run = run_of(Ball(), tmp_path)
    scale, shift = 50.0, np.array([300.0, -200.0, 1000.0])

    class Moved(Ball):
        def render(self, rays: Rays) -> Seen:
            origins = (rays.origins.double() - torch.from_numpy(shift)) / scale
            seen = super().render(rays._replace(origins=origins.float()))
            return seen._replace(depth=seen.depth * scale)

    def moved(pose: np.ndarray) -> np.ndarray:
        return np.block([[pose[:3, :3], (pose[:3, 3:] * scale + shift[:, None])], [0, 0, 0, 1]])

    views = tuple(replace(v, world_from_cam=moved(v.world_from_cam), near=50.0, far=1000.0) for v in run.views.train)
    other = replace(run, renderer=Moved(), views=replace(run.views, train=views))
    export_mesh(run, tmp_path / "mesh.ply")
    export_mesh(other, tmp_path / "moved.ply")
    before, after = surface(tmp_path / "mesh.ply"), surface(tmp_path / "moved.ply")
    assert after.volume / before.volume == pytest.approx(scale**3, rel=1e-3)
    assert after.bounds == pytest.approx(before.bounds * scale + shift, abs=0.02 * scale)


def test_nothing_opaque(tmp_path: Path) -> None:
    class Fog(Ball):
        def render(self, rays: Rays) -> Seen:
            seen = super().render(rays)
            return seen._replace(opacity=0.4 * seen.opacity)

    with pytest.raises(SceneError, match="the field is nowhere opaque"):
        export_mesh(run_of(Fog(), tmp_path), tmp_path / "mesh.ply")
    assert list(tmp_path.iterdir()) == []


def test_options_are_refused_before_any_work(tmp_path: Path) -> None:
    class Never(Ball):
        def render(self, rays: Rays) -> Seen:
            raise AssertionError("rendered")

    run = run_of(Never(), tmp_path)
    with pytest.raises(OptionError, match=r"unknown kind of mesh in --out: expected a name that ends in .ply or .glb"):
        export_mesh(run, tmp_path / "mesh.obj")
    with pytest.raises(OptionError, match=r"too few faces in --faces: expected 100 or more, found 3"):
        export_mesh(run, tmp_path / "mesh.ply", faces=3)
    with pytest.raises(OptionError, match=r"no view would be rendered"):
        export_mesh(run, tmp_path / "mesh.ply", views=0)


@pytest.mark.parametrize("name", ["mesh.ply", "mesh.glb"])
def test_a_full_disk_leaves_nothing_half_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(radiance_mesh, "write_ply", full)
    monkeypatch.setattr(radiance_mesh, "write_colored_glb", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        export_mesh(run_of(Ball(), tmp_path), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
