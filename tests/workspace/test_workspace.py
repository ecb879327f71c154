"""Files appear whole or not at all; a task is fresh only if its key and its outputs' content say so."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anyview.errors import WorkspaceError
from anyview.workspace import Workspace, atomic_write, fingerprint
from anyview.workspace.lock import hold


@dataclass(frozen=True)
class Options:
    radius: int = 5
    sigma: float = 0.1


def made(workspace: Workspace, key: object = 1, data: bytes = b"depth") -> Path:
    path = workspace.depth_map("train/r_0.png")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    workspace.task("dense/r_0", key).done([path], points=7)
    return path


def test_a_task_is_fresh_after_it_is_done(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert not workspace.task("dense/r_0", 1).fresh
    made(workspace)
    record = Workspace(tmp_path, create=False).task("dense/r_0", 1).record()
    assert record is not None
    assert record["notes"] == {"points": 7}
    assert list(record["outputs"]) == ["dense/stereo/depth_maps/train/r_0.png.geometric.bin"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "empty", "grow"])
def test_damage_is_found_by_content(tmp_path: Path, damage: str) -> None:
    workspace = Workspace(tmp_path)
    path = made(workspace)
    stat = path.stat()
    data = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes({"truncate": data[:-1], "flip": b"x" + data[1:], "empty": b"", "grow": data + b"\0"}[damage])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the clock tells nothing
    assert not workspace.task("dense/r_0", 1).fresh
    with pytest.raises(WorkspaceError, match="missing or damaged"):
        workspace.task("dense/r_0", 1).fingerprint()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "null", '{"key": "x", "outputs": 3}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    workspace = Workspace(tmp_path)
    made(workspace)
    (tmp_path / ".anyview" / "tasks" / "dense" / "r_0.json").write_text(text)
    assert not workspace.task("dense/r_0", 1).fresh


def test_every_part_of_the_key_counts(tmp_path: Path) -> None:
    keys = [
        {"options": Options()},
        {"options": Options(radius=6)},
        {"options": Options(sigma=np.nextafter(0.1, 1))},
        {"options": Options(), "pose": np.eye(4)},
        {"options": Options(), "pose": np.eye(4) + 1e-16 * np.eye(4, k=1)},
        {"options": Options(), "file": Path("a")},
    ]
    assert len({fingerprint(key) for key in keys}) == len(keys)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    workspace = Workspace(tmp_path)
    made(workspace, keys[0])
    assert [workspace.task("dense/r_0", key).fresh for key in keys] == [True] + [False] * 5


def test_what_reads_a_task_sees_its_content(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    made(workspace, data=b"one")
    one = workspace.task("dense/r_0", 1).fingerprint()
    made(workspace, data=b"two")
    assert workspace.task("dense/r_0", 1).fingerprint() != one


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]
    assert path.read_bytes() == b"old"


def test_temporary_files_keep_the_suffix(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "map.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"")


def test_disk_full(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="disk is full"), atomic_write(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_disk_full_from_the_kernel(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_write(tmp_path / "a.bin") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x" * 100)

    with pytest.raises(WorkspaceError, match="disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="a file stands where a folder should be"):
        Workspace(tmp_path / "file" / "work")
    with pytest.raises(WorkspaceError, match="a file stands"), atomic_write(tmp_path / "file" / "a.bin") as temporary:
        temporary.write_bytes(b"")


def test_not_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a workspace"):
        Workspace(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with (
        hold(workspace),
        pytest.raises(WorkspaceError, match="another run works in this folder"),
        hold(Workspace(tmp_path)),
    ):
        pass
    with hold(workspace):
        pass  # free again


def test_a_killed_process_leaves_no_lock_and_no_litter(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom anyview.workspace import Workspace, atomic_write\n"
        "from anyview.workspace.lock import hold\nworkspace = Workspace(sys.argv[1])\n"
        "with hold(workspace), atomic_write(workspace.fused) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    workspace = Workspace(tmp_path)
    assert not workspace.fused.exists()
    assert [p for p in tmp_path.iterdir() if ".tmp" in p.name]
    with hold(workspace):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".anyview"]


def test_users_files_are_not_swept(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names = ["notes.tmp", ".hidden.tmp", "a.0123abcd.tmp", ".a.0123abcd.bin"]
    for name in names:
        (tmp_path / name).write_text("")
    with hold(workspace):
        assert all((tmp_path / name).exists() for name in names)


def test_a_full_disk_is_told_whatever_the_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> None:
        with hold(Workspace(tmp_path)):
            raise error

    with pytest.raises(RuntimeError, match="no factory"):
        fail(RuntimeError("no factory"))
    with pytest.raises(WorkspaceError, match=r"disk is full in .*/a\.bin"):
        fail(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a.bin")))
    monkeypatch.setattr("anyview.workspace.lock.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(WorkspaceError, match=r"disk is full in .*found no factory"):
        fail(RuntimeError("no factory\nin line 3"))
