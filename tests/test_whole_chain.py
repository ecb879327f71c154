"""From images to cloud, mesh and report through the command line, scored against the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anyview.cli.main import main
from anyview.formats.ply import read_ply
from tiny_scene import write_tiny_scene

VIEWS, SIZE = 10, 128


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    scene = write_tiny_scene(folder / "scene", VIEWS, SIZE)
    words = ["reconstruct", str(scene), "--out", str(folder / "work")]
    subprocess.run([sys.executable, "-m", "anyview", *words], check=True)  # its memory is not that of other tests
    return folder / "work"


def test_everything_that_is_promised_is_there(work: Path) -> None:
    for name in ("fused.ply", "mesh.ply", "mesh.glb", "report.html", "database.db", "summary.json", "scene.json"):
        assert (work / name).stat().st_size > 0, name
    assert len(list((work / "dense/stereo/depth_maps").rglob("*.geometric.bin"))) == VIEWS
    assert len(list((work / "dense/stereo/normal_maps").rglob("*.geometric.bin"))) == VIEWS
    assert {path.name for path in (work / "sparse").iterdir()} >= {"cameras.bin", "images.bin", "points3D.bin"}


def test_the_summary(work: Path) -> None:
    summary = json.loads((work / "summary.json").read_text())
    assert list(summary["stages"])[:4] == ["sparse", "dense", "fuse", "mesh"]
    assert all(seconds > 0 for seconds in summary["stages"].values())
    assert 50_000_000 < summary["peak_memory_bytes"] < 4 << 30
    assert summary["sparse"]["points"] >= 0
    assert "mean_reprojection_error" in summary["sparse"]
    assert summary["dense"]["points"] == len(read_ply(work / "fused.ply").xyz)
    assert summary["views"] == VIEWS
    assert summary["options"]["dense"]["window_radius"] > 0


def test_the_cloud_lies_on_the_surface(work: Path) -> None:
    """Against depth that the renderer knows exactly; no part of the scoring of anyview itself."""
    scene = work.parent / "scene"
    meta = json.loads((scene / "transforms_train.json").read_text())
    focal = 0.5 * SIZE / np.tan(0.5 * meta["camera_angle_x"])
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    surface, footprints = [], []
    for frame in meta["frames"]:
        depth = np.load((scene / frame["file_path"]).with_suffix(".npz"))["depth_z"]
        seen = np.isfinite(depth)
        z = depth[seen].astype(np.float64)
        local = np.stack([(columns[seen] - SIZE / 2) / focal * z, (rows[seen] - SIZE / 2) / focal * z, z], 1)
        pose = np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1])
        surface.append(local @ pose[:3, :3].T + pose[:3, 3])
        footprints.append(np.median(z) / focal)
    from scipy.spatial import KDTree

    truth = np.concatenate(surface)
    cloud = read_ply(work / "fused.ply").xyz
    distance = KDTree(truth).query(cloud)[0] / np.median(footprints)
    missing = KDTree(cloud).query(truth[::20])[0] / np.median(footprints)
    assert len(cloud) > 1000
    assert np.mean(distance < 2) > 0.8
    assert np.mean(missing < 3) > 0.5


def test_the_mesh_is_the_clouds(work: Path) -> None:
    mesh, cloud = read_ply(work / "mesh.ply"), read_ply(work / "fused.ply")
    assert mesh.faces is not None
    assert len(mesh.faces) > 500
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.xyz)
    low, high = np.percentile(cloud.xyz, [1, 99], axis=0)
    margin = 0.2 * (high - low)
    assert np.mean(((mesh.xyz > low - margin) & (mesh.xyz < high + margin)).all(1)) > 0.9


def test_the_report_needs_nothing_else(work: Path) -> None:
    page = (work / "report.html").read_text()
    assert "data:image/" in page
    assert 'src="http' not in page
    assert "window_radius" in page or "window-radius" in page


@pytest.mark.parametrize("stage", ["sparse", "dense", "fuse", "mesh"])
def test_a_stage_alone_skips_what_is_done(work: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((work / "summary.json").read_text())
    stamps = {path: path.stat().st_mtime_ns for path in (work / "fused.ply", work / "mesh.ply", work / "database.db")}
    assert main([stage, str(work)]) == 0
    assert stage in capsys.readouterr().out
    after = json.loads((work / "summary.json").read_text())
    assert {k: v for k, v in after.items() if k != "versions"} == {k: v for k, v in before.items() if k != "versions"}
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_another_option_makes_only_what_depends_on_it(work: Path) -> None:
    before = json.loads((work / "summary.json").read_text())
    depth = next((work / "dense/stereo/depth_maps").rglob("*.geometric.bin"))
    stamp = depth.stat().st_mtime_ns
    assert main(["fuse", str(work), "--fusion.min-views", "4"]) == 0
    after = json.loads((work / "summary.json").read_text())
    assert after["options"]["fusion"]["min_views"] == 4
    assert 0 < after["dense"]["points"] < before["dense"]["points"]
    assert after["stages"]["dense"] == before["stages"]["dense"]
    assert depth.stat().st_mtime_ns == stamp
