"""Progress with and without a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from anyview.cli import progress as module
from anyview.cli.output import result_table
from anyview.cli.progress import TerminalProgress


class Clock:
    """A clock that a test turns."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_lines_where_there_is_no_terminal(clock: Clock) -> None:
    stream = io.StringIO()
    with TerminalProgress(Console(file=stream, soft_wrap=True, highlight=False)) as progress:
        progress.note("compiling kernels, once")
        with progress.stage("dense", 40) as advance:
            for _ in range(40):
                clock.now += 3
                advance()
    assert stream.getvalue().splitlines() == [
        "compiling kernels, once",
        "dense: 4/40, 12 s, about 108 s left",
        *(f"dense: {k}/40, {3 * k} s, about {3 * (40 - k)} s left" for k in range(8, 40, 4)),
        "dense: done, 40 in 120.0 s",
    ]


def test_bars_in_a_terminal() -> None:
    stream = io.StringIO()
    progress = TerminalProgress(Console(file=stream, force_terminal=True))
    with progress:
        with progress.stage("sparse", 3) as advance:
            advance(2)
            progress.note("a [bracket] stays")
            advance()
        with progress.stage("dense", 5) as advance:
            advance(5)
    text = stream.getvalue()
    assert "sparse" in text
    assert "3/3" in text
    assert "5/5" in text
    assert "a [bracket] stays" in text


def failing(progress: TerminalProgress) -> Callable[[], None]:
    def fail() -> None:
        with progress, progress.stage("dense", 5) as advance:
            advance()
            raise ValueError("kernel")

    return fail


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failure_passes_and_says_nothing_of_success(terminal: bool) -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="kernel"):
        failing(TerminalProgress(Console(file=stream, force_terminal=terminal)))()
    assert "done" not in stream.getvalue()


def test_the_table_of_a_run() -> None:
    summary = {
        "views": 48,
        "stages": {"sparse": 12.34, "dense": 200.0, "fuse": 5.0, "mesh": 9.0, "report": 3.0},
        "stage_memory_bytes": {"sparse": 1 << 30, "dense": 3 << 29},
        "peak_memory_bytes": 3 << 29,
        "sparse": {"points": 12833, "mean_reprojection_error": 0.56},
        "dense": {"depth_maps": 48, "points": 1234567},
        "mesh": {"vertices": 10, "faces": 20},
    }
    stream = io.StringIO()
    Console(file=stream, width=100).print(result_table(summary))
    text = stream.getvalue()
    for part in ("48 views", "12,833 points, 0.560 px", "1,234,567 points", "1.50 GiB", "229.3", "48 depth maps"):
        assert part in text
