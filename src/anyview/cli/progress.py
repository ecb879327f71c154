"""Progress in the terminal: a bar per stage with the time left, or, where nobody watches, a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from anyview.progress import Advance

_QUIET = 10.0  # seconds between lines where there is no terminal


class TerminalProgress:
    """`anyview.progress.Progress` on stderr; a context that leaves the terminal as it was."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """See `anyview.progress.Progress.stage`."""
        if not self._console.is_terminal:
            with self._lines(name, total) as advance:
                yield advance
            return
        task = self._bars.add_task(name, total=total)

        def advance_bar(steps: int = 1) -> None:
            self._bars.advance(task, steps)

        try:
            yield advance_bar
        finally:
            self._bars.stop_task(task)

    def note(self, message: str) -> None:
        """See `anyview.progress.Progress.note`."""
        self._console.print(message, markup=False, highlight=False)

    @contextmanager
    def _lines(self, name: str, total: int) -> Iterator[Advance]:
        start = told = time.monotonic()
        done = 0
        lock = Lock()

        def advance(steps: int = 1) -> None:
            nonlocal told, done
            with lock:
                done += steps
                now = time.monotonic()
                if now - told < _QUIET or done >= total:
                    return
                told = now
            left = (now - start) * (total - done) / max(done, 1)
            self.note(f"{name}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left")

        yield advance
        self.note(f"{name}: done, {total} in {time.monotonic() - start:.1f} s")
