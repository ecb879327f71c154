"""What a run's checkpoints say about it, and whether a run may go on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anyview import __version__
from anyview.errors import OptionError, WorkspaceError
from anyview.training.options import FIXED, LoopOptions

_ANOTHER = "choose another --out"
_INPUTS = "inputs"


@dataclass(frozen=True)
class Best:
    """The best validation so far."""

    figure: str
    value: float
    step: int


@dataclass
class Record:
    """How far a run is."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Of training, everything included."""
    reserve: float = 0.0
    """Seconds that a validation and a checkpoint take."""
    validated: int = 0
    """Step of the last validation."""
    figures: dict[str, float] = field(default_factory=dict)
    """Of the last validation."""
    best: Best | None = None
    finished_steps: int | None = None
    """What the run was asked for when it finished, or reached where only time was asked for; None while it has not."""
    finished_minutes: float | None = None

    def is_finished(self, options: LoopOptions) -> bool:
        """Whether nothing is left to do."""
        if self.finished_steps is None:
            return False
        before, now = self.finished_minutes, options.max_minutes
        enough = options.steps is not None and self.step >= options.steps
        return enough or (before is not None and now is not None and before >= now)

    def finish(self, options: LoopOptions) -> None:
        """Note that the run did what was asked for."""
        self.finished_steps = self.step if options.steps is None else options.steps
        self.finished_minutes = options.max_minutes


def to_meta(record: Record, name: str, version: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's facts."""
    return {"anyview": __version__, "model": name, "version": version, "config": config, "run": asdict(record)}


def from_meta(meta: Mapping[str, Any]) -> Record:
    """The record in a checkpoint's facts."""
    values = {key: value for key, value in meta["run"].items() if key in {f.name for f in fields(Record)}}
    best = values.pop("best", None)
    return Record(**values, best=Best(**best) if best else None)


def full_config(config: Mapping[str, Any], options: LoopOptions) -> dict[str, Any]:
    """The options that make a run what it is, as JSON gives them back; "loop" has those of the loop that are fixed."""
    loop = {name: getattr(options, name) for name in FIXED}
    return json.loads(json.dumps({**config, "loop": loop}, default=str))


def check_same_run(meta: Mapping[str, Any], name: str, version: int, config: Mapping[str, Any], run: Path) -> None:
    """Refuse checkpoints that are not of this model with these options.

    The config's "inputs", where it has them, are digests by what they are of; older checkpoints do not know them.

    Raises:
        WorkspaceError: another model, another version of it, or an input has changed.
        OptionError: an option differs.
    """
    for what, key, wanted in (("model", "model", name), ("version of the model", "version", version)):
        if meta.get(key) != wanted:
            raise WorkspaceError(
                f"checkpoints are of another {what}", where=run, expected=wanted, actual=meta.get(key), hint=_ANOTHER
            )
    before = meta.get("config", {})
    if "loop" in before:  # older checkpoints are of one device, and do not say so
        before = {**before, "loop": {"devices": 1, **before["loop"]}}
    difference = _difference(_without(before, _INPUTS), _without(config, _INPUTS))
    if difference:
        key, then, now = difference
        raise OptionError(
            f"option `{key}` is not what this run began with", where=run, expected=then, actual=now,
            hint=f"leave it as it was, or {_ANOTHER}",
        )  # fmt: skip
    known = before.get(_INPUTS, {})
    for what, digest in config.get(_INPUTS, {}).items():
        if digest is not None and known.get(what) not in (None, digest):
            raise WorkspaceError(
                f"{what} changed since this run began", where=run, hint=f"put back what was there, or {_ANOTHER}"
            )


def _without(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


def _difference(before: Any, now: Any, path: str = "") -> tuple[str, str, str] | None:
    """The first key whose values differ, and both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            there, here = before.get(key, _NOTHING), now.get(key, _NOTHING)
            if found := _difference(there, here, f"{path}.{key}" if path else key):
                return found
        return None
    # NaN differs from itself, its word does not
    return None if before == now or json.dumps(before) == json.dumps(now) else (path, _shown(before), _shown(now))


_NOTHING = "(nothing)"


def _shown(value: Any) -> str:
    return value if value is _NOTHING else json.dumps(value)
