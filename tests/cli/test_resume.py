"""SIGKILL in the middle of every stage, then the same command: it goes on, and the result is the same to the byte.

Undisturbed runs are this process's, with another hash seed than those that are killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from anyview.cli.main import main
from own_process import run_alone
from self_killing import die_at
from tiny_scene import write_tiny_scene

# Told apart by content that must differ between runs: times of day, seconds, paths.
UNEQUAL = ("summary.json", "report.html", ".anyview")
VIEWS = 8
pytestmark = pytest.mark.slow
KILLS = [
    ("before", "*/scene.json", 1),
    ("after", "*/.anyview/tasks/*", 4),  # in the sparse stage, between two of its tasks
    ("before", "*/sparse/points3D.bin", 1),
    ("after", "*/.anyview/dense/*", VIEWS + 3),  # in the middle of a pass over the views
    ("before", "*/depth_maps/*", VIEWS // 2),
    ("before", "*/fused.ply", 1),
    ("after", "*/fused.ply", 1),  # the file is there, its record is not
    ("before", "*/mesh.ply", 1),
    ("before", "*/report.html", 1),
]


def words(scene: Path, out: Path) -> list[str]:
    return ["reconstruct", str(scene), "--out", str(out), "--quality", "low"]


def digests(out: Path) -> dict[str, str]:
    """Of all results, by path."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] not in UNEQUAL
    }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_scene(tmp_path_factory.mktemp("resume") / "scene", VIEWS)


@pytest.fixture(scope="module")
def whole(scene: Path, small_pictures: None) -> Path:
    """An uninterrupted run."""
    out = scene.parent / "whole"
    assert main(words(scene, out)) == 0
    return out


def test_killed_in_every_stage(scene: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    for kill in KILLS:
        ended = run_alone(words(scene, out), partial(die_at, *kill))
        assert ended.code == -signal.SIGKILL, f"{kill} never came: {ended.said}"
    assert run_alone(words(scene, out)).code == 0
    assert digests(out) == digests(whole)
    assert {"fused.ply", "mesh.ply", "mesh.glb", "database.db"} <= set(digests(out))
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]
    assert (out / "report.html").stat().st_size > 1000


def test_a_map_cut_short_is_made_again(scene: Path, whole: Path, tmp_path: Path) -> None:
    """As a kill on a file system without fsync would leave it: whole by name and time, short by content."""
    expected = digests(whole)
    seconds = json.loads((whole / "summary.json").read_text())["stages"]
    (cut,) = whole.glob("dense/stereo/depth_maps/**/r_2.png.geometric.bin")
    stat = cut.stat()
    cut.write_bytes(cut.read_bytes()[: stat.st_size // 2])
    os.utime(cut, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run_alone(words(scene, whole)).code == 0
    assert digests(whole) == expected
    again = json.loads((whole / "summary.json").read_text())["stages"]
    assert again["sparse"] == seconds["sparse"]  # skipped, and still told
