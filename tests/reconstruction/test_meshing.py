"""The mesh of clouds whose surface is known: spheres and parts of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from anyview.errors import FormatError, OptionError
from anyview.formats.ply import read_ply, write_ply
from anyview.reconstruction.meshing import cell_size, mesh, point_spacing, small_gaps
from anyview.reconstruction.options import MeshOptions
from anyview.workspace import Workspace
from textured_render import read_glb


def sphere(count: int, radius: float = 1.0, seed: int = 0) -> np.ndarray:
    """Directions spread evenly (golden spiral), scaled."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k + seed
    across = np.sqrt(1 - z * z)
    return radius * np.stack([across * np.cos(angle), across * np.sin(angle), z], 1)


def cloud(folder: Path, points: np.ndarray, normals: np.ndarray) -> Workspace:
    workspace = Workspace(folder)
    red = np.where(points[:, :1] > 0, [[200, 30, 30]], [[30, 30, 200]]).astype(np.uint8)
    write_ply(workspace.fused, points.astype(np.float32), normals=normals.astype(np.float32), rgb=red)
    return workspace


def test_a_sphere(tmp_path: Path) -> None:
    points = sphere(20000)
    workspace = cloud(tmp_path, points, points)
    result = mesh(workspace, MeshOptions())
    made = read_ply(workspace.mesh)
    assert made.faces is not None
    surface = trimesh.Trimesh(made.xyz, made.faces, process=False)
    assert (len(made.xyz), len(made.faces)) == (result.vertices, result.faces)
    assert surface.is_watertight
    assert surface.volume == pytest.approx(4 / 3 * np.pi, rel=0.01)  # positive: faces look outwards
    # the spacing is 0.025; measured 0.004
    assert np.abs(np.linalg.norm(made.xyz, axis=1) - 1).max() < 0.01
    assert made.normals is not None
    assert made.rgb is not None
    assert ((made.normals * made.xyz).sum(1) > 0.98).mean() > 0.99
    sides = np.abs(made.xyz[:, 0]) > 0.1
    assert (made.rgb[sides, 0] > 128).tolist() == (made.xyz[sides, 0] > 0).tolist()


def test_what_was_not_seen_is_cut_away_and_islands_are_dropped(tmp_path: Path) -> None:
    points = sphere(60000)
    open_half = points[points[:, 2] < 0.2]
    island = sphere(60, 0.01) + np.array([1.5, 0, 0])
    workspace = cloud(tmp_path, np.vstack([open_half, island]), np.vstack([open_half, sphere(60)]))
    mesh(workspace, MeshOptions())
    made = read_ply(workspace.mesh)
    spacing = point_spacing(open_half)
    assert made.xyz[:, 2].max() < 0.2 + 6 * spacing  # no cap
    assert made.xyz[:, 0].max() < 1.1  # no island
    assert np.abs(np.linalg.norm(made.xyz, axis=1) - 1).max() < 2 * spacing


def sphere_with_doubts(folder: Path, doubtful: np.ndarray, confidence: float | None) -> Workspace:
    """A sphere of sure points among as many doubtful ones, normals outwards."""
    sure, axes = sphere(20000), sphere(20000, seed=1)
    points, normals = np.vstack([sure, doubtful]), np.vstack([sure, axes])
    column = {} if confidence is None else {"confidence": np.repeat(np.float32([0.9, confidence]), 20000)}
    workspace = Workspace(folder)
    write_ply(
        workspace.fused, points.astype(np.float32), normals=normals.astype(np.float32),
        rgb=np.full(points.shape, 90, np.uint8), extra=column,
    )  # fmt: skip
    return workspace


def test_points_of_little_confidence_have_little_say(tmp_path: Path) -> None:
    """A second, ragged shell a little inside the sphere."""
    error = {}
    for confidence in (None, 0.02):
        workspace = sphere_with_doubts(tmp_path / str(confidence), sphere(20000, 0.93, seed=1), confidence)
        mesh(workspace, MeshOptions(min_confidence=0))
        error[confidence] = np.abs(np.linalg.norm(read_ply(workspace.mesh).xyz, axis=1) - 1).max()
    assert error[0.02] < 0.01  # measured 0.007
    assert error[None] > 0.03


def test_points_below_the_least_confidence_make_no_surface(tmp_path: Path) -> None:
    beside = sphere(20000, seed=1) + np.array([3.0, 0, 0])
    for least, reach in ((0.0, 4.0), (0.05, 1.0)):
        workspace = sphere_with_doubts(tmp_path / str(least), beside, 0.02)
        mesh(workspace, MeshOptions(min_confidence=least))
        assert read_ply(workspace.mesh).xyz[:, 0].max() == pytest.approx(reach, abs=0.02)


def test_no_surface_outside_the_bounds(tmp_path: Path) -> None:
    points = sphere(20000)
    workspace = cloud(tmp_path, points, points)
    whole = mesh(workspace, MeshOptions())
    bounds = np.array([[-0.5, -2, -2], [2, 2, 0.3]])
    part = mesh(workspace, MeshOptions(), bounds=bounds)
    made = read_ply(workspace.mesh).xyz
    assert ((made >= bounds[0]) & (made <= bounds[1])).all()
    assert 0 < part.faces < 0.6 * whole.faces  # (1.5 / 2) * (1.3 / 2) of a sphere, roughly


def test_simplified(tmp_path: Path) -> None:
    points = sphere(20000)
    whole = mesh(cloud(tmp_path / "a", points, points), MeshOptions())
    workspace = cloud(tmp_path / "b", points, points)
    less = mesh(workspace, MeshOptions(simplify=0.2))
    assert less.faces == pytest.approx(0.2 * whole.faces, rel=0.05)
    assert np.abs(np.linalg.norm(read_ply(workspace.mesh).xyz, axis=1) - 1).max() < 0.02


def test_the_glb_is_y_up(tmp_path: Path) -> None:
    points = sphere(8000) * [1, 1, 2]
    workspace = cloud(tmp_path, points, sphere(8000) * [2, 2, 1] / 2)
    mesh(workspace, MeshOptions())
    loaded = trimesh.load(tmp_path / "mesh.glb", force="mesh")
    assert np.allclose(np.ptp(loaded.vertices, axis=0), [2, 4, 2], atol=0.1)
    assert read_glb(tmp_path / "mesh.glb").attribute("COLOR_0").shape == (len(loaded.vertices), 4)


def test_same_bytes_and_not_made_twice(tmp_path: Path) -> None:
    points = sphere(8000)
    first, second = (cloud(tmp_path / name, points, points) for name in "ab")
    result = mesh(first, MeshOptions())
    mesh(second, MeshOptions())
    assert first.mesh.read_bytes() == second.mesh.read_bytes()
    assert (first.root / "mesh.glb").read_bytes() == (second.root / "mesh.glb").read_bytes()
    before = first.mesh.stat().st_mtime_ns
    assert mesh(first, MeshOptions()) == result
    assert first.mesh.stat().st_mtime_ns == before
    first.mesh.write_bytes(first.mesh.read_bytes()[:-5])
    mesh(first, MeshOptions())
    assert first.mesh.read_bytes() == second.mesh.read_bytes()


def test_cells_of_almost_three_spacings() -> None:
    points = sphere(30000)
    spacing = point_spacing(points)
    assert 2.8 * spacing < cell_size(points, spacing) < 2.9 * spacing
    assert cell_size(points, spacing, depth=6) == pytest.approx(1.1 * 2 / 64, rel=1e-3)
    assert cell_size(points * [1, 1, 1e9], spacing) > 1e3 * spacing  # the grid's numbers have twenty bits
    doubled = point_spacing(np.vstack([points, points + 1e-6]))
    assert doubled == pytest.approx(spacing, rel=0.5)


@pytest.mark.parametrize("values", [{"depth": 20}, {"trim": -1}, {"simplify": 2}, {"min_confidence": 1.1}])
def test_options_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"out of range in mesh.{next(iter(values))}"):
        MeshOptions(**values)


def test_nothing_left_is_said_and_nothing_written(tmp_path: Path) -> None:
    workspace = cloud(tmp_path, sphere(500), sphere(500))
    with pytest.raises(FormatError, match="nothing of the surface is left"):
        mesh(workspace, MeshOptions(trim=1e-9))
    assert not workspace.mesh.exists()


def test_a_thin_plate_keeps_both_sides(tmp_path: Path) -> None:
    """A plate three cells thick has two sides with a gap, and no others."""
    grid = np.stack(np.meshgrid(np.arange(80), np.arange(80), indexing="ij"), -1).reshape(-1, 2).astype(float)
    thickness = 8.0
    top, bottom = (np.column_stack([grid, np.full(len(grid), z)]) for z in (thickness, 0.0))
    up = np.tile([0.0, 0.0, 1.0], (len(grid), 1))
    workspace = cloud(tmp_path, np.vstack([top, bottom]), np.vstack([up, -up]))
    mesh(workspace, MeshOptions())
    made = read_ply(workspace.mesh)
    inner = ((made.xyz[:, :2] > 8) & (made.xyz[:, :2] < 71)).all(1)
    off = np.abs(made.xyz[inner, 2][:, None] - [0, thickness])
    assert off.min(1).max() < 0.25  # measured 0.0
    assert 0.4 < (off[:, 0] < off[:, 1]).mean() < 0.6


def test_a_cloud_without_normals(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_ply(workspace.fused, sphere(500).astype(np.float32))
    with pytest.raises(FormatError, match="without normals"):
        mesh(workspace, MeshOptions())


def test_too_few_points(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="too few points"):
        mesh(cloud(tmp_path, sphere(50), sphere(50)), MeshOptions())


def test_small_gaps_are_those_with_surface_all_around() -> None:
    """A plate of 20 x 20 squares of two triangles, area 1 each: holes in its middle, at its edge, and a large one."""
    side = 20
    y, x = np.mgrid[: side + 1, : side + 1]
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1).astype(np.float64)
    corner = (y[:-1, :-1] * (side + 1) + x[:-1, :-1]).ravel()
    quads = np.stack([corner, corner + 1, corner + side + 2, corner + side + 1], 1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    square = np.tile(np.arange(side * side), 2)
    row, column = square // side, square % side
    middle = (abs(row - 5) <= 1) & (abs(column - 5) <= 1)  # 3 x 3
    edge = (row == 10) & (column <= 2)
    large = (row >= 13) & (row <= 17) & (column >= 10) & (column <= 14)  # 5 x 5
    found = small_gaps(vertices, faces, middle | edge | large, 9.5)
    assert np.array_equal(found, middle)
    assert np.array_equal(small_gaps(vertices, faces, middle | edge | large, 25.5), middle | large)
    assert not small_gaps(vertices, faces, np.zeros(len(faces), bool), 9.5).any()


def test_a_hole_in_the_cloud_is_closed_and_the_rim_of_an_open_one_is_not(tmp_path: Path) -> None:
    points = sphere(20000)
    spacing = point_spacing(points)
    holed = points[np.linalg.norm(points - [0, 0, 1], axis=1) > 6 * spacing]
    for gaps, closed in ((0.0, False), (16.0, True)):
        workspace = cloud(tmp_path / str(gaps), holed, holed)
        mesh(workspace, MeshOptions(gaps=gaps, trim=2.0))
        found = trimesh.load(workspace.mesh)
        assert found.is_watertight == closed
        assert (np.linalg.norm(found.vertices - [0, 0, 1], axis=1).min() < 3 * spacing) == closed
