"""`WORK/summary.json`: the numbers of a run, kept true when a run is killed, resumed, or skips what is done.

Seconds and memory belong to the work, not to the command that happened to be running: a stage that finds all of its
tasks done keeps the seconds it took when it did them, and a stage that was killed counts on from where the clock stood.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from anyview.compute import cpu_count, peak_memory_bytes
from anyview.compute.machine import cpu_name, versions
from anyview.errors import OptionError
from anyview.progress import Advance, Progress
from anyview.reconstruction.options import (
    DenseOptions,
    FusionOptions,
    MeshOptions,
    ReconstructionOptions,
    SparseOptions,
)
from anyview.workspace import Workspace, fingerprint

Result = TypeVar("Result")

Stage: TypeAlias = Literal["sparse", "dense", "fuse", "mesh"]
STAGES: tuple[Stage, ...] = get_args(Stage)
_PARTS: dict[str, Any] = {"sparse": SparseOptions, "dense": DenseOptions, "fusion": FusionOptions, "mesh": MeshOptions}
_KEPT_EVERY = 2.0  # seconds between the clock's notes


def read_summary(workspace: Workspace) -> dict[str, Any]:
    """The summary as it stands; an empty one where there is none or it is damaged."""
    try:
        summary = json.loads(workspace.summary.read_text())
    except (OSError, ValueError):
        summary = None
    if not isinstance(summary, dict):
        summary = {}
    for name in ("stages", "stage_memory_bytes", "sparse", "dense", "mesh"):
        if not isinstance(summary.get(name), dict):
            summary[name] = {}
    return summary


def update_summary(workspace: Workspace, **facts: object) -> dict[str, Any]:
    """Add facts, and what is always told: peak memory, versions, machine. Dictionaries are merged, not replaced."""
    summary = read_summary(workspace)
    for name, fact in facts.items():
        if isinstance(fact, dict) and isinstance(summary.get(name), dict):
            fact = {**summary[name], **fact}
        summary[name] = fact
    summary["peak_memory_bytes"] = max(summary["stage_memory_bytes"].values(), default=0)
    summary["versions"] = versions()
    summary["machine"] = {"cpu": cpu_name(), "cores": cpu_count()}
    workspace.write_json(workspace.summary, summary)
    return summary


def saved_options(workspace: Workspace) -> ReconstructionOptions:
    """The options that the workspace was last run with; the defaults where it does not say.

    Raises:
        OptionError: they are of another version of anyview.
    """
    saved = read_summary(workspace).get("options") or {}
    parts = {name: _known(kind, saved.get(name) or {}, workspace) for name, kind in _PARTS.items()}
    whole = {name: value for name, value in saved.items() if name not in _PARTS}
    return ReconstructionOptions(
        **_known(ReconstructionOptions, whole, workspace),
        **{name: _PARTS[name](**values) for name, values in parts.items()},
    )


def _known(kind: type, values: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """The values, after making sure that the dataclass has such fields."""
    names = {field.name for field in fields(kind)}
    if unknown := sorted(set(values) - names):
        raise OptionError(
            "the saved options are of another version of anyview",
            where=workspace.summary,
            actual=", ".join(unknown),
            hint="run `anyview reconstruct SCENE --out WORK` again",
        )
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def timed(
    workspace: Workspace, name: str, options: object, progress: Progress, work: Callable[[Progress], Result]
) -> Result:
    """Run a stage and put its seconds and the process's peak memory into the summary, unless all was done before."""
    before = _records(workspace)
    clock = _Clock(workspace, name, fingerprint(name, options), progress)
    result = work(clock)
    if _records(workspace) != before or name not in read_summary(workspace)["stages"]:
        memory = max(clock.memory, peak_memory_bytes())
        update_summary(workspace, stages={name: round(clock.seconds, 3)}, stage_memory_bytes={name: memory})
    clock.forget()
    return result


def _records(workspace: Workspace) -> dict[str, tuple[int, int]]:
    """Which records of tasks there are, and the marks that change whenever one is written."""
    folder = workspace.root / ".anyview" / "tasks"
    return {str(p): ((s := p.stat()).st_mtime_ns, s.st_ino) for p in folder.rglob("*.json")}


class _Clock:
    """A progress that also notes the time, so that a killed stage does not lose the seconds it has spent."""

    def __init__(self, workspace: Workspace, name: str, key: str, progress: Progress) -> None:
        self._workspace, self._name, self._key, self._progress = workspace, name, key, progress
        self._path: Path = workspace.root / ".anyview" / "clock.json"
        self._lock = Lock()
        self._start = self._noted = time.monotonic()
        self._carried = 0.0
        self.memory = 0
        try:
            noted = json.loads(self._path.read_text())
            if noted["key"] == key:
                self._carried, self.memory = float(noted["seconds"]), int(noted["memory"])
        except (OSError, ValueError, KeyError, TypeError):
            pass

    @property
    def seconds(self) -> float:
        """Spent on this stage, those of a killed run included."""
        return self._carried + time.monotonic() - self._start

    def forget(self) -> None:
        """The stage is over."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """See `Progress.stage`."""
        with self._progress.stage(name, total) as advance:

            def noting(steps: int = 1) -> None:
                advance(steps)
                self._note()

            yield noting

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self._progress.note(message)

    def _note(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._noted < _KEPT_EVERY:
                return
            self._noted = now
        memory = max(self.memory, peak_memory_bytes())
        self._workspace.write_json(self._path, {"key": self._key, "seconds": self.seconds, "memory": memory})
