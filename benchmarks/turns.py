"""Programs timed in turns: other work on the machine, or its host's, then takes its time from all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

Times = dict[str, list[float]]
"""By program the seconds of every turn."""


def in_turns(programs: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Each program once per round; all should have run before, for what they compile and the memory that they take."""
    times: Times = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return times


def ratio(times: Times, name: str, to: str) -> float:
    """How many times as fast a program is as another: the median over turns that followed each other."""
    return round(median(b / a for a, b in zip(times[name], times[to], strict=True)), 3)


def stolen_seconds() -> float:
    """Time of all processors, since the machine began, in which their host ran other machines; 0 where unknown."""
    try:
        return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


class Stolen:
    """In its context: the share of the processors' time that the host gave to others, and the seconds that passed."""

    share: float
    seconds: float

    def __enter__(self) -> Stolen:
        self._began, self._stolen = time.perf_counter(), stolen_seconds()
        return self

    def __exit__(self, *reason: object) -> None:
        self.seconds = round(time.perf_counter() - self._began, 1)
        self.share = round((stolen_seconds() - self._stolen) / self.seconds / (os.cpu_count() or 1), 3)
