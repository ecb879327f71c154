"""The dense stage on a rendered scene: maps in COLMAP's format, true to the depth that the renderer knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from anyview.cli.main import main
from anyview.errors import OptionError, SceneError
from anyview.formats.colmap import read_array
from anyview.pipelines.reconstruct import reconstruct
from anyview.reconstruction.dense import dense
from anyview.reconstruction.dense_tasks import passes
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo.images import dense_camera, load_grey
from anyview.scene.load import load_scene
from anyview.scene.scene import Scene
from anyview.workspace import Workspace
from tiny_scene import write_tiny_scene

VIEWS, SIZE = 8, 96


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return load_scene(write_tiny_scene(tmp_path_factory.mktemp("dense") / "scene", VIEWS, SIZE))


@pytest.fixture(scope="module")
def work(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Without a sparse model: ranges and sources come from the cameras."""
    workspace = Workspace(tmp_path_factory.mktemp("dense") / "work")
    dense(workspace, scene, DenseOptions())
    return workspace


def truth(scene: Scene, name: str) -> np.ndarray:
    assert scene.root is not None
    depth: np.ndarray = np.load((scene.root / name).with_suffix(".npz"))["depth_z"]
    return depth


def test_true_depth_without_any_sparse_point(scene: Scene, work: Workspace) -> None:
    errors, share = [], []
    for view in scene:
        depth, exact = read_array(work.depth_map(view.name)), truth(scene, view.name)
        both = (depth > 0) & np.isfinite(exact)
        mask = view.mask()
        assert mask is not None
        assert not depth[~mask].any()
        share.append(both.sum() / np.isfinite(exact).sum())
        errors.append(np.abs(depth - exact)[both] / exact[both] * view.camera.fx)
    assert np.mean(share) > 0.85
    assert np.median(np.concatenate(errors)) < 1.0  # pixel footprints of a 96-pixel image; measured 0.84


def test_normals_are_unit_and_face_the_camera(scene: Scene, work: Workspace) -> None:
    for view in scene:
        depth, normal = read_array(work.depth_map(view.name)), read_array(work.normal_map(view.name))
        there = depth > 0
        assert np.allclose(np.linalg.norm(normal[there], axis=-1), 1, atol=1e-5)
        x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
        rays = np.stack([(x - view.camera.cx) / view.camera.fx, (y - view.camera.cy) / view.camera.fy, 1 + 0 * x], -1)
        assert ((normal * rays).sum(-1)[there] < 0).all()
        assert not normal[~there].any()


def test_colmap_reads_the_maps_and_fuses_them(scene: Scene, tmp_path: Path) -> None:
    assert scene.root is not None
    out = tmp_path / "work"
    reconstruct(scene, out, quality="low")
    name = next(iter(scene)).name
    mine = read_array(out / f"dense/stereo/depth_maps/{name}.geometric.bin")
    theirs = pycolmap.DepthMap()
    theirs.read(out / f"dense/stereo/depth_maps/{name}.geometric.bin")
    assert np.array_equal(np.asarray(theirs.to_array()).squeeze(), mine)
    options = pycolmap.StereoFusionOptions()
    options.min_num_pixels = 3
    pycolmap.stereo_fusion(tmp_path / "colmap.ply", out / "dense", options=options, output_type="PLY")
    assert len(pycolmap.Reconstruction(out / "dense" / "sparse").images) == VIEWS
    assert (tmp_path / "colmap.ply").stat().st_size > 20_000


def test_nothing_is_done_twice_and_seeds_matter(scene: Scene, work: Workspace, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.root.rglob("*.geometric.bin")}
    again = dense(work, scene, DenseOptions())
    assert again.compared == 0
    assert before == {path: path.stat().st_mtime_ns for path in work.root.rglob("*.geometric.bin")}
    other = Workspace(tmp_path)
    dense(other, scene, DenseOptions(), seed=7)
    name = next(iter(scene)).name
    assert other.depth_map(name).read_bytes() != work.depth_map(name).read_bytes()


def test_the_given_range_is_never_left(scene: Scene, tmp_path: Path) -> None:
    exact = np.concatenate([truth(scene, view.name).ravel() for view in scene])
    low, high = np.quantile(exact[np.isfinite(exact)], [0.3, 0.7])
    workspace = Workspace(tmp_path)
    dense(workspace, scene, DenseOptions(depth_min=float(low), depth_max=float(high)))
    depths = np.concatenate([read_array(workspace.depth_map(view.name)).ravel() for view in scene])
    assert (depths > 0).sum() > 1000
    assert depths[depths > 0].min() >= low * (1 - 1e-6)
    assert depths.max() <= high * (1 + 1e-6)


def test_images_are_reduced_with_their_masks(scene: Scene) -> None:
    view = next(iter(scene))
    camera = dense_camera(view.camera, 48)
    assert (camera.width, camera.height) == (48, 48)
    assert camera.fx == pytest.approx(view.camera.fx / 2)
    grey, mask = load_grey(view, camera), view.mask()
    assert mask is not None
    half = mask.reshape(48, 2, 48, 2).mean((1, 3))
    assert ((grey > 0) == (half >= 0.5)).all()
    rgb = view.image()
    shown = (rgb * mask[..., None]).reshape(48, 2, 48, 2, 3).mean((1, 3)) / np.maximum(half, 0.25)[..., None]
    luma = shown @ [0.299, 0.587, 0.114] * 254 + 1
    assert np.abs(grey[half >= 0.5] - luma[half >= 0.5]).max() <= 0.51  # rounding; no background is mixed in


def test_the_schedule_follows_the_options() -> None:
    schedule = passes(DenseOptions(), 640)
    assert [p.scale for p in schedule] == [2, 1, 1, 0, 0]
    assert [p.geometric > 0 for p in schedule] == [False, False, True, False, True]
    assert [p.joint for p in schedule] == [3, 0, 1, 0, 0]
    assert [p.scale for p in passes(DenseOptions(), 1536)] == [3, 2, 1, 1, 0, 0]
    assert [p.scale for p in passes(DenseOptions(), 90)] == [1, 0, 0]
    assert [p.scale for p in passes(DenseOptions(geometric_weight=0), 640)] == [2, 1, 0]


def test_empty_masks(scene: Scene, tmp_path: Path) -> None:
    from dataclasses import replace

    from anyview.scene.scene import ArrayPixels

    blank = [
        replace(v, pixels=ArrayPixels(v.image(), np.zeros((SIZE, SIZE), bool)), path=None) for v in list(scene)[:3]
    ]
    with pytest.raises(SceneError, match="mask is empty"):
        dense(Workspace(tmp_path), Scene(tuple(blank)), DenseOptions())


@pytest.mark.parametrize(
    "values", [{"window_radius": 2}, {"sources": 0}, {"sources": 40}, {"max_cost": float("nan")}, {"depth_min": -1.0}]
)
def test_options_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=f"dense.{next(iter(values))}"):
        DenseOptions(**values)  # type: ignore[arg-type]


def test_an_option_that_cannot_work_stops_the_command_before_any_work(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dense.depth-min", "3", "--dense.depth-max", "2"]
    assert main(["reconstruct", str(scene.root), "--out", str(tmp_path / "work"), *words]) == 2
    assert "must be below" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_a_moved_workspace_works_on(scene: Scene, tmp_path: Path) -> None:
    reconstruct(scene, tmp_path / "here", "low")
    (tmp_path / "here").rename(tmp_path / "there")
    work = Workspace(tmp_path / "there")
    before = work.fused.read_bytes()
    assert (work.dense / "sparse" / "images.bin").exists()
    reconstruct(scene, work.root, "low")
    assert work.fused.read_bytes() == before


def test_views_with_nothing_in_the_range_are_named(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no two views share anything in the range of depths"):
        dense(Workspace(tmp_path), scene, DenseOptions(depth_max=0.01))
    assert not list(tmp_path.glob("dense/**/*.bin"))
