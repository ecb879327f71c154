"""What can go wrong beneath a run: random kills, a full disk at every stage, maps cut short, too little memory.

Each time the run ends in one clear sentence or goes on, and the same command ends with the bytes of an undisturbed run.
"""

from __future__ import annotations

import hashlib
import random
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest

from anyview.cli.main import main
from own_process import OwnProcess, run_alone
from self_killing import fill_disk
from tiny_scene import write_tiny_scene

VIEWS = 8
pytestmark = pytest.mark.slow
COMPARED = ("fused.ply", "fused.ply.vis", "mesh.ply", "mesh.glb")
STAGES = ("/.scene.", "/tasks/", "/.cameras.", "pass0/", "depth_maps/", "/.fused.ply.", "/.mesh.", "/.report.")


def words(scene: Path, out: Path) -> list[str]:
    return ["reconstruct", str(scene), "--out", str(out), "--quality", "low"]


def digests(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in COMPARED}


def sentence(code: int, said: str) -> str:
    """The one sentence of a run that gave up."""
    assert code == 2, said
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("anyview: ")]
    return line


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_scene(tmp_path_factory.mktemp("faults") / "scene", VIEWS)


@pytest.fixture(scope="module")
def whole(scene: Path, small_pictures: None) -> tuple[Path, float]:
    """An undisturbed run of this process, and the seconds of one in a process of its own."""
    assert main(words(scene, scene.parent / "whole")) == 0
    begin = time.monotonic()
    assert run_alone(words(scene, scene.parent / "alone")).code == 0
    return scene.parent / "whole", time.monotonic() - begin


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_random_moments(scene: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    """`benchmarks/faults.py` does this twenty times."""
    rng = random.Random(7)
    for number in range(3):
        out = tmp_path / str(number)
        killed = OwnProcess(words(scene, out)).end(rng.uniform(0.2, 1) * whole[1])
        assert killed.code in (0, -signal.SIGKILL), killed.said
        assert run_alone(words(scene, out)).code == 0
        assert digests(out) == digests(whole[0])
        assert not [path for path in out.rglob("*") if ".tmp" in path.name]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="files are told by /proc")
def test_disk_full_in_every_stage(scene: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    out = tmp_path / "work"
    for pattern in STAGES:
        ended = run_alone(words(scene, out), partial(fill_disk, pattern))
        said = sentence(ended.code, ended.said)
        assert re.search(r"disk is full in .*; free space and run the same command: it resumes", said), said
        assert not [path for path in out.rglob("*") if ".tmp" in path.name]
    assert run_alone(words(scene, out)).code == 0
    assert digests(out) == digests(whole[0])


def test_disk_really_full_and_then_larger(scene: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    """A small file system that grows each time that it was full."""
    out = tmp_path / "mounted"
    out.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(out)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        refused = 0
        for size in ("200k", "700k", "1500k", "2500k", "64m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(out)], check=True)
            ended = run_alone(words(scene, out))
            if ended.code:
                assert re.search("disk is full|No space left", sentence(ended.code, ended.said)), ended.said
                refused += 1
        assert refused >= 2
        assert ended.code == 0
        assert digests(out) == digests(whole[0])
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)


def test_a_depth_map_cut_short(
    scene: Path, whole: tuple[Path, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fuse` alone says which file; the whole command finds it by its digest and makes it again."""
    out = tmp_path / "work"
    copytree(whole[0], out)
    (cut,) = out.glob("dense/stereo/depth_maps/**/r_2.png.geometric.bin")
    for keep in (0.5, 0.0):
        content = cut.read_bytes()
        cut.write_bytes(content[: int(keep * len(content))])
        capsys.readouterr()
        assert main(["fuse", str(out)]) == 2
        said = capsys.readouterr().err
        assert "r_2.png.geometric.bin" in said
        assert "Traceback" not in said
        assert digests(out) == digests(whole[0])  # what was there stays
        assert run_alone(words(scene, out)).code == 0
        assert cut.read_bytes() == content
        assert digests(out) == digests(whole[0])


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is a limit on Linux only")
@pytest.mark.parametrize("mib", [200, 400, 700, 800, 950, 1200])
def test_too_little_memory(mib: int, scene: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    """From too little to import anything to nearly enough. Never a traceback, and nothing is lost.

    Some libraries end the process themselves (the C library where a thread gets no storage, LLVM in the middle of
    compiling): their word, our exit code not, but the same command goes on all the same.
    """
    out = tmp_path / "work"
    done = subprocess.run(
        [sys.executable, "-m", "anyview", *words(scene, out)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20)),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        said = sentence(done.returncode, done.stderr)
        assert "memory" in said
        assert ("ulimit" if mib < 640 else "--mesh.depth") in said
    elif done.returncode:
        assert done.returncode in (127, -signal.SIGABRT), done.stderr
        assert "memory" in done.stderr or "bad_alloc" in done.stderr
    else:
        assert mib > 500
    if mib in (800, 1200):
        assert run_alone(words(scene, out)).code == 0
        assert digests(out) == digests(whole[0])


def test_there_are_no_worker_processes() -> None:
    """Work is shared out to threads only, so there is none that could be killed alone. What changes that tests it."""
    source = Path(__file__).parents[2] / "src"
    for path in source.rglob("*.py"):
        assert not re.search(r"multiprocessing|ProcessPoolExecutor|os\.fork|import ray", path.read_text()), path
