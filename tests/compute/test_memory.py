"""Cores and memory against the kernel's own words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from anyview.compute.memory import _cpu_quota, _memory_left, available_memory_bytes, cpu_count, peak_memory_bytes

MIB = 1 << 20


def test_peak_memory_sees_an_allocation_that_is_gone_again() -> None:
    code = (
        "from anyview.compute.memory import peak_memory_bytes as p\n"
        "a = p(); x = bytearray(b'x' * (200 << 20)); del x; print(a, p())"
    )
    before, after = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert 200 * MIB <= after - before <= 420 * MIB  # the literal and the array are both held for a moment


def test_peak_memory_does_not_count_the_parents() -> None:
    """A small process that a big one starts is small."""
    big = bytearray(b"x" * (400 * MIB))
    code = "from anyview.compute.memory import peak_memory_bytes as p; print(p())"
    peak = int(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert peak < len(big)


def test_peak_memory_is_at_least_what_is_held_now() -> None:
    assert peak_memory_bytes() >= 0.9 * psutil.Process().memory_info().rss


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinity")
def test_cpu_count_follows_affinity() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from anyview.compute.memory import cpu_count; print(cpu_count())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"
    assert 1 <= cpu_count() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("text", "expected"), [("150000 100000", 1.5), ("max 100000", None), ("", None)])
def test_cpu_quota_version_2(tmp_path: Path, text: str, expected: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert _cpu_quota(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("50000", 0.5), ("-1", None)])
def test_cpu_quota_version_1(tmp_path: Path, quota: str, expected: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert _cpu_quota(tmp_path) == expected


def test_memory_left_in_a_container(tmp_path: Path) -> None:
    assert _memory_left(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert _memory_left(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert _memory_left(tmp_path) is None


def test_available_memory_is_below_all_memory() -> None:
    assert 0 < available_memory_bytes() <= psutil.virtual_memory().total
