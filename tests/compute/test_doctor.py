"""The doctor finds what is wrong when something is wrong, and says so in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyview.compute import doctor, machine
from anyview.compute.doctor import GIB


def test_this_machine_is_healthy(tmp_path: Path) -> None:
    checks = doctor.examine(tmp_path)
    assert doctor.healthy(checks), [c for c in checks if c.state == "broken"]
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert {"python", "numba", "kernels", "kernel cache", "processor", "gpu", "memory", "disk", "torch"} <= set(names)
    for check in checks:
        assert bool(check.advice) == (check.state != "fine"), check
        assert "\n" not in check.advice


def test_the_required_libraries_are_read_from_the_package() -> None:
    assert {"numpy", "numba", "pycolmap", "tyro"} <= set(machine.required())
    assert "torch" not in machine.required()
    assert set(machine.versions()) == {"python", "anyview", *machine.required()}


def test_a_missing_library_is_broken() -> None:
    check = doctor._library("no-such-library")
    assert (check.state, check.found) == ("broken", "not installed")
    assert not doctor.healthy([check])


def test_a_library_that_does_not_load_is_broken() -> None:
    def load(name: str) -> object:
        raise ImportError("libGL.so.1: cannot open shared object file")

    check = doctor._library("numpy", load)
    assert check.state == "broken"
    assert "libGL.so.1" in check.found


@pytest.mark.parametrize(("gib", "state"), [(1, "slow"), (8, "fine")])
def test_memory_and_disk(tmp_path: Path, gib: int, state: str) -> None:
    assert doctor._memory(gib * GIB).state == state
    assert doctor._disk(tmp_path, gib * GIB).state == state


def test_kernel_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    assert doctor._kernel_cache().state == "fine"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))  # a file is no folder, whoever asks
    assert doctor._kernel_cache().state == "slow"


def test_gpus_are_read_from_the_drivers_words() -> None:
    text = "NVIDIA H200, 143771, 550.54.15\nNVIDIA GeForce RTX 3060, 12288, 550.54.15\nNo devices were found\n"
    assert [(g.name, g.memory_bytes >> 20) for g in machine.parse_gpus(text)] == [
        ("NVIDIA H200", 143771),
        ("NVIDIA GeForce RTX 3060", 12288),
    ]


def test_features_agree_with_the_kernel() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or "flags" not in cpuinfo.read_text():
        pytest.skip("needs Linux on x86")
    flags = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")).split()
    assert ("AVX2" in machine.cpu_features()) == ("avx2" in flags)
    assert ("AVX-512" in machine.cpu_features()) == ("avx512f" in flags)


def test_free_disk_of_a_folder_that_is_not_made_yet(tmp_path: Path) -> None:
    assert machine.free_disk_bytes(tmp_path / "a" / "b") == pytest.approx(machine.free_disk_bytes(tmp_path), rel=0.1)
