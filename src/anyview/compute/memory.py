"""What the process may use and has used: cores and memory, as the scheduler and the container grant them."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cpu_count() -> int:
    """Cores that this process may use: its affinity, and the container's share of time rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cpu_quota(_CGROUP)
    return max(1, min(cores, math.ceil(quota) if quota else cores))


def peak_memory_bytes() -> int:
    """The most memory that this process ever held (resident set), bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if (exact := _high_water(Path("/proc/self/status"))) is not None:
        return exact
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def available_memory_bytes() -> int:
    """Memory that can be had without swapping, within the container's limit, bytes."""
    import psutil

    available = int(psutil.virtual_memory().available)
    limit = _memory_left(_CGROUP)
    return available if limit is None else min(available, limit)


def _high_water(status: Path) -> int | None:
    """Linux's mark for this program alone; getrusage's also remembers the process that started it."""
    try:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cpu_quota(root: Path) -> float | None:
    """Cores that the control group grants (version 2: `cpu.max`; version 1: quota over period), or None."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max": no limit
    return share if share > 0 else None


def _memory_left(root: Path) -> int | None:
    """Bytes between the control group's limit and its use, or None without a limit."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int((root / limit).read_text()) - int((root / used).read_text()))
        except (OSError, ValueError):
            continue
    return None
