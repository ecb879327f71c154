"""The numbers of a run stay true when it is skipped, repeated, killed and resumed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from anyview.progress import SILENT, Progress
from anyview.reconstruction import summary as module
from anyview.reconstruction.options import preset
from anyview.reconstruction.summary import read_summary, saved_options, timed, update_summary
from anyview.workspace import Workspace, atomic_write


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Work:
    """A stage of four items, 10 s each, every one a task; stops where it is told to."""

    def __init__(self, workspace: Workspace, clock: Clock, key: object = 1) -> None:
        self.workspace, self.clock, self.key = workspace, clock, key
        self.stop_after = 99

    def __call__(self, progress: Progress) -> int:
        made = 0
        with progress.stage("dense", 4) as advance:
            for i in range(4):
                task = self.workspace.task(f"dense/{i}", self.key)
                if task.fresh:
                    continue
                if made == self.stop_after:
                    raise KeyboardInterrupt
                path = self.workspace.root / f"{i}.bin"
                with atomic_write(path) as temporary:
                    temporary.write_bytes(b"x")
                task.done([path])
                self.clock.now += 10
                made += 1
                advance()
        return made


def seconds(workspace: Workspace) -> float:
    return float(read_summary(workspace)["stages"]["dense"])


def test_a_skipped_stage_keeps_its_seconds(tmp_path: Path, clock: Clock) -> None:
    workspace = Workspace(tmp_path)
    work = Work(workspace, clock)
    assert timed(workspace, "dense", "o", SILENT, work) == 4
    assert seconds(workspace) == 40
    memory = read_summary(workspace)["peak_memory_bytes"]
    assert memory > 10_000_000
    assert timed(workspace, "dense", "o", SILENT, work) == 0
    assert (seconds(workspace), read_summary(workspace)["peak_memory_bytes"]) == (40, memory)


def test_a_repeated_stage_replaces_them(tmp_path: Path, clock: Clock) -> None:
    workspace = Workspace(tmp_path)
    timed(workspace, "dense", "o", SILENT, Work(workspace, clock))
    (tmp_path / "2.bin").write_bytes(b"damaged")
    assert timed(workspace, "dense", "o", SILENT, Work(workspace, clock)) == 1
    assert seconds(workspace) == 10


def test_an_interrupted_stage_counts_on(tmp_path: Path, clock: Clock) -> None:
    workspace = Workspace(tmp_path)
    work = Work(workspace, clock)
    work.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        timed(workspace, "dense", "o", SILENT, work)
    assert read_summary(workspace)["stages"] == {}
    clock.now += 1000  # nobody worked meanwhile
    assert timed(workspace, "dense", "o", SILENT, Work(workspace, clock)) == 2
    assert seconds(workspace) == 40


def test_other_options_start_the_clock_anew(tmp_path: Path, clock: Clock) -> None:
    workspace = Workspace(tmp_path)
    work = Work(workspace, clock)
    work.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        timed(workspace, "dense", "old", SILENT, work)
    timed(workspace, "dense", "new", SILENT, Work(workspace, clock, key=2))
    assert seconds(workspace) == 40


def test_the_required_names(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    timed(workspace, "sparse", 1, SILENT, lambda progress: time.sleep(0))
    update_summary(workspace, sparse={"points": 3, "mean_reprojection_error": 0.5})
    summary = update_summary(workspace, dense={"depth_maps": 7}, views=7)
    summary = update_summary(workspace, dense={"points": 9})
    assert summary == read_summary(workspace)
    assert list(summary["stages"]) == ["sparse"]
    assert isinstance(summary["peak_memory_bytes"], int)
    assert summary["sparse"] == {"points": 3, "mean_reprojection_error": 0.5}
    assert summary["dense"] == {"depth_maps": 7, "points": 9}
    assert "numpy" in summary["versions"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"stages": 3}'])
def test_a_damaged_summary_is_begun_anew(tmp_path: Path, text: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.summary.write_text(text)
    assert read_summary(workspace)["stages"] == {}
    assert saved_options(workspace) == preset("medium")


def test_options_survive(tmp_path: Path) -> None:
    from dataclasses import asdict

    options = replace(preset("high"), seed=3, sparse=replace(preset("high").sparse, pairs="exhaustive"))
    workspace = Workspace(tmp_path)
    update_summary(workspace, options=asdict(options))
    assert saved_options(workspace) == options
