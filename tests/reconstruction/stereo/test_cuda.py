"""The dense stage on a GPU: in numba's simulator against the processor, as assembly, and on a GPU if there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyview.cli.main import main
from anyview.compute import device, machine
from anyview.errors import OptionError, OutOfMemoryError
from anyview.reconstruction.dense_tasks import _VERSION, DenseTasks, passes
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo import cuda as engine
from anyview.reconstruction.stereo.cuda_kernels import BOUNDS, bound_of
from anyview.reconstruction.stereo.patch_match import Planes, match_view
from anyview.reconstruction.stereo.sweeps import IMPROVE, SEARCH, START, Pass, Sweep, lattice_of, lattice_shape, sweeps
from anyview.scene.load import load_scene
from anyview.workspace import Workspace, fingerprint
from stereo_scene import POSES, RHO_STEP, TexturedPlane
from tiny_scene import write_tiny_scene

TESTS = Path(__file__).parents[2]
RANGE = (0.15, 0.7)
UNNEEDED = [
    "pycolmap", "cv2", "trimesh", "matplotlib", "tyro", "rich", "xatlas", "fast_simplification", "torch", "numba_cuda"
]  # fmt: skip
needs_gpu = pytest.mark.skipif(
    device.is_simulated() or device.cuda_problem() is not None, reason=f"needs a GPU: {device.cuda_problem()}"
)


def run(program: str, *words: str, **environment: str) -> list[dict[str, Any]]:
    """A program of the tests in a process of its own; the JSON of each line that it prints."""
    paths = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    done = subprocess.run(
        [sys.executable, str(TESTS / program), *words],
        env={**os.environ, "PYTHONPATH": paths, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def visited(sweep: Sweep, height: int, width: int) -> Iterator[tuple[int, int]]:
    """The pixels (x, y) that the kernel's threads come to."""
    lattice = lattice_of(sweep)
    rows, columns = lattice_shape(lattice, height, width)
    for i in range(rows):
        for k in range(columns):
            y = lattice.first + lattice.rows * i
            x = lattice.columns * k + ((y + lattice.parity) & (lattice.columns - 1))
            if y < height and x < width:
                yield x, y


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (6, 7), (7, 6)])
def test_a_gpus_threads_come_to_the_pixels_of_the_sweep(size: tuple[int, int]) -> None:
    height, width = size
    everywhere = [(x, y) for y in range(height) for x in range(width)]
    sweep = Sweep(START, 0, 4, 1, 0, 0, np.float32(0))
    assert sorted(visited(sweep, *size)) == sorted(everywhere)
    for color in (0, 1):
        wanted = [(x, y) for x, y in everywhere if (x + y) % 2 == color]
        assert sorted(visited(sweep._replace(kind=SEARCH, lattice=color), *size)) == sorted(wanted)
    lattices = [
        lambda x, y: x % 2 == 0 and y % 2 == 0, lambda x, y: x % 2 == 1 and y % 2 == 1, lambda x, y: (x + y) % 2 == 1
    ]  # fmt: skip
    for lattice, belongs in enumerate(lattices):
        wanted = [(x, y) for x, y in everywhere if belongs(x, y)]
        assert sorted(visited(sweep._replace(kind=IMPROVE, lattice=lattice), *size)) == sorted(wanted)


def test_sweeps_are_the_passs() -> None:
    begun = list(sweeps(Pass(2, joint=2, light=1, alignments=3, geometric=0.5), 4, 7, begin=True))
    assert [(s.kind, s.lattice) for s in begun] == [
        (START, 0), (SEARCH, 0), (SEARCH, 1), (SEARCH, 0), (SEARCH, 1), (IMPROVE, 0), (IMPROVE, 1), (IMPROVE, 2)
    ]  # fmt: skip
    assert [s.seed for s in begun[:5]] == [7, 8, 8, 9, 9]
    assert [s.iteration for s in begun[1:5]] == [0, 0, 1, 1]
    assert {s.geometric for s in begun[1:]} == {np.float32(0.5)}
    assert next(sweeps(Pass(2, joint=2), 4, 7, begin=False)).kind == SEARCH


def test_work_space_fits() -> None:
    assert [bound_of(n) for n in (1, 4, 5, 8, 9, 32)] == [4, 4, 8, 8, 16, 32]
    assert max(BOUNDS) == 32  # bits of a pixel's views


@pytest.mark.slow
def test_simulated_kernels_agree_with_the_processors_to_the_bit(tmp_path: Path) -> None:
    if find_spec("numba.cuda.simulator") is None:
        pytest.skip("this numba has no CUDA simulator: pip install 'anyview[cuda]'")
    scene = write_tiny_scene(tmp_path / "scene", 4, 96)
    settings = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (found,) = run("cuda_simulation.py", str(scene), str(tmp_path / "work"), **settings)
    assert found["device"] == "numba's simulator"
    assert found["auto"] == "cpu", "the simulator is for those who ask for it"
    for result in found["passes"]:
        assert set(result["differences"].values()) == {0.0}, result
        assert set(result["differences"]) == {"rho", "gx", "gy", "cost", "views"}
        mine, simulated = result["compared"]
        assert mine == simulated > 500
    assert found["passes"][1]["planes"] == found["passes"][1]["inside"] == 460
    assert 20 < found["passes"][2]["moved"] < 460, "the geometric pass works on some pixels and not on all"
    assert found["kept"]["packed"] == ["view 1", "view 2", "view 3", "view 2", ""]  # 3 threw 2 away, 2 then 3
    assert found["kept"]["kept"] == ["view 1", "view 2"]
    assert found["dense"]["compared"]["cpu"] == found["dense"]["compared"]["cuda"] > 5000
    assert found["dense"]["pixels"] > 200
    assert found["dense"]["largest"] == 0.0


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_there() -> None:
    if machine.version_of("numba-cuda") is None:
        pytest.skip("needs numba-cuda and its NVVM: pip install 'anyview[cuda]'")
    found = run("cuda_assembly.py", "8.0", NUMBA_ENABLE_CUDASIM="0")
    assert [kernel["kind"] for kernel in found] == ["start", "search", "improve"]
    for kernel in found:
        assert kernel["lines"] > 1000
        assert kernel["calls"] == 0, "every part is inlined"
        assert kernel["double"] == 0, "float64 is 32 times slower on most GPUs"
        if "local_bytes" in kernel:
            assert kernel["local_bytes"] < 4096


def test_auto_is_the_processor_where_no_gpu_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.resolve("cpu") == "cpu"
    monkeypatch.setattr(device, "cuda_problem", lambda: device.Problem("no card", "buy one"))
    assert device.resolve("auto") == "cpu"
    with pytest.raises(OptionError, match=r"the dense stage finds no GPU: expected .*, found no card; buy one, or"):
        device.resolve("cuda")
    monkeypatch.setattr(device, "cuda_problem", lambda: None)
    assert device.resolve("auto") == device.resolve("cuda") == "cuda"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    versions: dict[str, str | None] = {"numba-cuda": None}
    monkeypatch.setattr(machine, "version_of", versions.get)
    device.cuda_problem.cache_clear()
    problem = device.cuda_problem()
    assert problem is not None
    assert "numba-cuda is not installed" in problem.found
    assert problem.hint == "pip install 'anyview[cuda]'"
    versions["numba-cuda"] = "0.30"

    def load(name: str) -> object:
        raise ImportError("libcuda.so.1:\n cannot open shared object file")

    monkeypatch.setattr(device, "import_module", lambda name: load(name) if name == "numba.cuda" else NoSimulator)
    device.cuda_problem.cache_clear()
    problem = device.cuda_problem()
    assert problem is not None
    assert "libcuda.so.1: cannot open" in problem.found
    device.cuda_problem.cache_clear()


class NoSimulator:
    ENABLE_CUDASIM = False


def test_a_gpu_that_is_asked_for_and_missing_ends_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device, "cuda_problem", lambda: device.Problem("numba-cuda is not installed", device.INSTALL))
    scene = write_tiny_scene(tmp_path / "scene")
    assert main(["reconstruct", str(scene), "--out", str(tmp_path / "work"), "--dense.device", "cuda"]) == 2
    assert "pip install 'anyview[cuda]'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "work").exists()


def test_the_processors_keys_are_what_they_were_and_a_gpus_are_others(tmp_path: Path) -> None:
    scene, workspace = load_scene(write_tiny_scene(tmp_path / "scene")), Workspace(tmp_path / "work")
    view = next(iter(scene))
    options = asdict(DenseOptions())
    del options["device"]
    run = DenseTasks(workspace, scene, DenseOptions(device="cpu"), 0, {})
    rest = view.pixels.fingerprint(), asdict(run.camera(view)), view.world_from_cam
    assert run.key[view.name] == fingerprint(_VERSION, options, *rest)
    assert DenseTasks(workspace, scene, DenseOptions(device="cuda"), 0, {}).key[view.name] != run.key[view.name]


def test_a_full_gpu_is_emptied_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [replace(TexturedPlane().view(pose), name=str(i)) for i, pose in enumerate(POSES[:3])]
    tries: list[int] = []
    matcher = engine.CudaMatcher(keep_bytes=1 << 30)

    def full(*arguments: Any) -> Any:
        tries.append(len(matcher._kept))
        raise RuntimeError("[CUresult.CUDA_ERROR_OUT_OF_MEMORY] Call to cuMemAlloc results in ...")

    monkeypatch.setattr(engine, "_run", full)
    monkeypatch.setattr(engine, "_sent", lambda value: value)
    matcher._kept[("another", 0)] = np.zeros(3, np.uint32)
    with pytest.raises(OutOfMemoryError, match="max-image-size"):
        matcher.match_view(views[0], views[1:], Pass(1, light=1), None, rho_range=RANGE, rho_step=RHO_STEP)
    assert tries == [3, 2], "what other views left there is gone the second time"

    def broken(*arguments: Any) -> Any:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(engine, "_run", broken)
    with pytest.raises(RuntimeError, match="ILLEGAL"):
        matcher.match_view(views[0], views[1:], Pass(1, light=1), None, rho_range=RANGE, rho_step=RHO_STEP)


def test_the_benchmark_needs_few_libraries_and_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    """It runs where only numba-cuda and what it needs have been brought to."""
    program = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({UNNEEDED!r}))
from anyview.compute import device
device.cuda_problem = lambda: device.Problem("no card", "buy one")
sys.argv = ["gpu.py", "no scene", {str(tmp_path / "out")!r}, "--results", {str(tmp_path / "gpu.json")!r}]
runpy.run_path({str(TESTS.parent / "benchmarks" / "gpu.py")!r}, run_name="__main__")
"""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent / "src"), "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("gpu.py: the dense stage finds no GPU")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@needs_gpu
def test_a_gpu_finds_what_the_processor_finds() -> None:
    """Sums differ in their last bits, and where these decide between planes the paths part; the result must not."""
    surface, matcher = TexturedPlane(), engine.CudaMatcher()
    views = [replace(surface.view(pose), name=str(i)) for i, pose in enumerate(POSES)]
    mine: Planes | None = None
    theirs: Planes | None = None
    for plan in passes(DenseOptions(), 640):
        if plan.geometric:
            views = [
                replace(v, depth=surface.depth(pose).astype(np.float32)) for v, pose in zip(views, POSES, strict=True)
            ]
        settings: dict[str, Any] = {"rho_range": RANGE, "rho_step": RHO_STEP, "seed": 5}
        mine, compared = match_view(views[0], views[1:], plan, mine, **settings)
        theirs, counted = matcher.match_view(views[0], views[1:], plan, theirs, **settings)
        assert counted == pytest.approx(compared, rel=0.05, abs=2000)
    assert mine is not None
    assert theirs is not None
    near = np.abs(mine.rho - theirs.rho)[8:-8, 8:-8] < 0.5 * RHO_STEP
    assert near.mean() > 0.98
    assert abs(float(np.median(mine.cost)) - float(np.median(theirs.cost))) < 0.005
    error = np.abs(theirs.rho - 1 / surface.depth(POSES[0]))[8:-8, 8:-8] / RHO_STEP
    assert np.median(error) < 0.05
