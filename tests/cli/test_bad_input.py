"""Bad input ends in one clear sentence and exit code 2, and nothing half-written is left."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.formats import files
from refusals import refused
from tiny_scene import edit_json, write_tiny_scene

TRAIN = "transforms_train.json"


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_tiny_scene(tmp_path / "scene")


def frame(number: int, change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """A spoiler of one frame of the scene's JSON."""
    return lambda scene: edit_json(scene / TRAIN, lambda content: change(content["frames"][number]))


def matrix(number: int, change: Callable[[list[list[float]]], object]) -> Callable[[Path], None]:
    """A spoiler of one pose."""
    return frame(number, lambda f: change(f["transform_matrix"]))  # type: ignore[arg-type]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _nerfstudio(scene: Path, **facts: object) -> None:
    content = json.loads((scene / TRAIN).read_text())
    for f in content["frames"]:
        f["file_path"] += ".png"
    camera = {"fl_x": 130.0, "fl_y": 130.0, "cx": 48.0, "cy": 48.0, "w": 96, "h": 96, "camera_model": "PINHOLE"}
    del content["camera_angle_x"]
    (scene / "transforms.json").write_text(json.dumps({**content, **camera, **facts}))
    for path in scene.glob("transforms_*.json"):
        path.unlink()


def _transparent(scene: Path) -> None:
    for path in (scene / "train").glob("*.png"):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[:, :, 3] = 0
        Image.fromarray(pixels).save(path)


def _scattered(scene: Path) -> None:
    def change(content: dict[str, list[dict[str, list[list[float]]]]]) -> None:
        for i, f in enumerate(content["frames"]):
            angle = i * np.pi / 4  # every camera a kilometre from the next, looking outwards
            pose = np.eye(4)
            pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
            pose[:3, 3] = pose[:3, 2] * -1000
            f["transform_matrix"] = pose.tolist()

    edit_json(scene / TRAIN, change)


SPOILED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "image missing": (lambda s: (s / "train/r_3.png").unlink(), ["image is missing", "train/r_3"]),
    "image unreadable": (lambda s: (s / "train/r_3.png").write_text("no image"), ["cannot be read", "r_3.png"]),
    "image truncated": (lambda s: _truncate(s / "train/r_3.png"), ["cannot be read", "r_3.png"]),
    "image of another size": (
        lambda s: (_nerfstudio(s), Image.new("RGB", (60, 50)).save(s / "train/r_3.png")),
        ["r_3.png", "expected 96x96", "found 60x50"],
    ),
    "size contradicts the camera": (lambda s: _nerfstudio(s, w=200, h=100), ["expected 200x100", "found 96x96"]),
    "pose not orthonormal": (matrix(2, lambda m: m[0].__setitem__(0, 7.0)), ["pose", "r_2", "orthonormal"]),
    "pose mirrored": (
        matrix(2, lambda m: [row.__setitem__(0, -row[0]) for row in m[:3]]),
        ["pose", "r_2", "determinant -1"],
    ),
    "pose not a number": (matrix(2, lambda m: m[1].__setitem__(3, float("nan"))), ["pose is not finite", "r_2"]),
    "pose of the wrong shape": (
        matrix(2, lambda m: [row.pop() for row in m]),
        ["wrong shape", "frame 2", "expected 4x4"],
    ),
    "names twice": (frame(1, lambda f: f.__setitem__("file_path", "./train/r_0")), ["same name", "r_0"]),
    "a single view": (
        lambda s: edit_json(s / TRAIN, lambda c: c.__setitem__("frames", c["frames"][:1])),
        ["too few views", "expected 2 or more", "found 1"],
    ),
    "no view": (lambda s: edit_json(s / TRAIN, lambda c: c.__setitem__("frames", [])), ["no frames"]),
    "views share nothing": (_scattered, ["share"]),
    "masks all transparent": (_transparent, ["masks leave nothing"]),
    "not JSON": (lambda s: (s / TRAIN).write_text("{ frames: "), [TRAIN, "JSON"]),
    "not a scene's JSON": (lambda s: (s / TRAIN).write_text("[1, 2]"), [TRAIN]),
    "unknown camera model": (
        lambda s: _nerfstudio(s, camera_model="HYPERBOLIC"),
        ["unknown camera model", "found HYPERBOLIC", "expected one of"],
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_scenes(name: str, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, parts = SPOILED[name]
    spoil(scene)
    out = tmp_path / "work"
    sentence = refused(capsys, ["reconstruct", str(scene), "--out", str(out)])
    for part in parts:
        assert part in sentence, sentence
    for made in ("fused.ply", "mesh.ply", "report.html"):
        assert not (out / made).exists()
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]


def test_sentences(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few whole sentences, word for word."""
    words = ["reconstruct", str(scene), "--out", str(tmp_path / "work")]
    edit_json(scene / TRAIN, lambda c: c.__setitem__("frames", c["frames"][:1]))
    assert refused(capsys, words) == (
        f"anyview: too few views in {scene}: expected 2 or more, found 1; "
        "depth comes from comparing views: add photographs from other places"
    )
    assert refused(capsys, [*words, "--split", "test"]) == (
        f"anyview: no views of this split in {scene}: expected one of train, found test"
    )


def test_not_a_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        sentence = refused(capsys, ["reconstruct", str(tmp_path / folder), "--out", str(tmp_path / "work")])
        assert folder in sentence
    assert not (tmp_path / "work").exists()


def test_output_is_not_writable(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    sentence = refused(capsys, ["reconstruct", str(scene), "--out", str(tmp_path / "file" / "work")])
    assert sentence == (
        f"anyview: a file stands where a folder should be in {tmp_path}/file/work; choose another output folder"
    )


def test_output_is_read_only(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with _mount(mounted, "ro,size=1m"):
        sentence = refused(capsys, ["reconstruct", str(scene), "--out", str(mounted / "work")])
    assert "cannot write" in sentence


@pytest.mark.parametrize("writes", [1, 4, 12])
def test_disk_full(
    writes: int, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at some write; with space again the same command ends well."""
    left = writes

    def sync(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", sync)
        sentence = refused(capsys, ["reconstruct", str(scene), "--out", str(out)])
    assert re.search(r"disk is full in .*; free space and run the same command: it resumes", sentence)
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]


@pytest.mark.parametrize("kib", [300, 700])
def test_disk_really_full(kib: int, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with _mount(mounted, f"size={kib}k"):
        sentence = refused(capsys, ["reconstruct", str(scene), "--out", str(mounted / "work")])
    assert re.search("disk is full|No space left", sentence)


class _mount:
    """A small file system for as long as the context lasts; skips the test where that is not allowed."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder, self.options = folder, options

    def __enter__(self) -> None:
        command = ["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip("mounting a small file system needs root")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
