"""What makes a run end in the middle: SIGKILL when a certain file takes its place, or a disk without room for it.

Each changes the process that it is called in for good; `own_process` calls it in one that is there for nothing else.
"""

from __future__ import annotations

import errno
import os
import signal
from fnmatch import fnmatch
from itertools import count
from pathlib import Path
from typing import Literal


def die_at(moment: Literal["before", "after"], pattern: str, number: int) -> None:
    """End by SIGKILL right before or right after the number-th file whose path matches the pattern takes its place."""
    plain, seen = Path.replace, count(1)

    def replace(self: Path, target: Path) -> Path:
        # Two threads may write at once: each takes its own number, so that neither can pass the other's by.
        now = fnmatch(str(target), pattern) and next(seen) == number
        if now and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        placed = plain(self, target)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return placed

    Path.replace = replace  # type: ignore[method-assign, assignment]


def fill_disk(pattern: str) -> None:
    """No room for any file whose temporary name has the pattern in it."""
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        if pattern in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


def heed_interruption() -> None:
    """SIGINT interrupts: a suite that runs in the background was told to ignore it, and hands that down."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
