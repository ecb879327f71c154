"""A run in work: its state out of and into checkpoints, validations, and a stop where it is poisoned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from time import monotonic
from typing import Any

from lightning.fabric import Fabric
from torch import Tensor

from anyview.errors import TrainingError, WorkspaceError, is_out_of_memory
from anyview.progress import Progress
from anyview.training.checkpoint import Checkpoints, save_checkpoint
from anyview.training.clock import Clock
from anyview.training.group import Group
from anyview.training.log import TrainingLog
from anyview.training.options import LoopOptions
from anyview.training.record import Best, Record, to_meta
from anyview.training.trainee import Exporting, GeneratorState, Illustrated, Moment, Trainee, default_generators
from anyview.training.watch import LossWatch, bad_weights, digest_weights


@dataclass
class Session:
    """What the loop works on."""

    trainee: Trainee
    fabric: Fabric
    group: Group
    run: Path
    checkpoints: Checkpoints
    options: LoopOptions
    config: Mapping[str, Any]
    record: Record
    clock: Clock
    progress: Progress
    _watch: LossWatch = field(default_factory=LossWatch)
    _saved: float = 0.0
    _save_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Time counts from here; a run that is in work is not finished."""
        self._saved = monotonic()
        self.record.finished_steps = self.record.finished_minutes = None

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a checkpoint's state.

        Raises:
            WorkspaceError: it does not fit the model.
        """
        parts, saved = self.trainee.state(), state["trainee"]
        if parts.keys() != saved.keys():
            raise _misfit(self.run, ", ".join(sorted(parts)), ", ".join(sorted(saved)))
        for name, part in parts.items():
            try:
                part.load_state_dict(saved[name])
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                if is_out_of_memory(error):
                    raise
                raise _misfit(self.run, f"the state of `{name}`", " ".join(str(error).split())) from error
        for name, generator in default_generators(self.fabric.device).items():
            if name in state["torch"]:
                generator.load_state_dict(state["torch"][name])
        if not self.group.is_first:
            own, places = state["others"][self.group.rank - 1], self._generators()
            for name in own.keys() & places.keys():
                places[name].load_state_dict(own[name])
        self.fabric.strategy.precision.load_state_dict(state["precision"])

    def save_is_due(self) -> bool:
        """Whether the last checkpoint is old."""
        return monotonic() - self._saved >= self.options.save_every_seconds

    def save(self) -> None:
        """Write a checkpoint; the first process does, together with the others.

        Raises:
            WorkspaceError: the disk is full; earlier checkpoints are whole.
            TrainingError: the run is poisoned; earlier checkpoints stay.
        """
        self._check()
        began = monotonic()
        self.record.seconds = self.clock.seconds
        state = self._state()
        if self.group.is_first:
            self.checkpoints.save(self.record.step, state, self._meta())
        self.group.wait()
        self._saved = monotonic()
        self._save_seconds = self._saved - began

    def validate(self, moment: Moment, log: TrainingLog | None = None) -> dict[str, float]:
        """Figures of the present weights, by the first process; the best so far are kept in a checkpoint.

        Args:
            moment: the present.
            log: gets the trainee's picture, where it makes one.

        Raises:
            WorkspaceError, TrainingError: as `save`.
        """
        self._check()
        record, better = self.record, self.options.better
        began = monotonic()
        figures = self.trainee.validate(moment) if self.group.is_first else {}
        record.figures = self.group.agreed({name: float(value) for name, value in figures.items()})
        record.validated = record.step
        if log is not None and isinstance(self.trainee, Illustrated):
            picture = self.trainee.picture(moment)
            if picture is not None:
                log.add_picture(record.step, picture)
        value = record.figures.get(better)
        if value is None and record.figures:
            self.progress.note(f"no figure `{better}` among {', '.join(record.figures)}: no best checkpoint is kept")
        best = value is not None and self._is_best(value)
        if value is not None and best:
            record.best = Best(better, value, record.step)
            record.seconds = self.clock.seconds
            state = self._state()
            if self.group.is_first:
                self.checkpoints.save_best(state, self._meta())
        if self.group.is_first and isinstance(self.trainee, Exporting):
            self.trainee.export(moment, record.figures, best)
        record.reserve = self.clock.reserve = monotonic() - began + self._save_seconds
        return record.figures

    def see(self, loss: Tensor | float, look: bool) -> None:
        """Take the loss of the step just done.

        Args:
            loss: a scalar, the same in all processes.
            look: wait for the device, if need be, to know whether all losses so far are finite.

        Raises:
            TrainingError: one is not.
        """
        if self._watch.see(self.record.step, loss) or look:
            self._check(weights=False)

    def _is_best(self, value: float) -> bool:
        best = self.record.best
        if isnan(value) or best is None:
            return not isnan(value)
        return value > best.value if self.options.best_is == "largest" else value < best.value

    def _check(self, weights: bool = True) -> None:
        """Raise a TrainingError where a loss was not finite, or (with `weights`) a weight is not, or is not the same in
        all processes."""
        first = self._watch.first()
        bad = bad_weights(self.trainee.state()) if weights and first is None else None
        if first is None and bad is None:
            if weights and self.group.size > 1:
                self._check_same()
            return
        step = self.record.step
        path = self.run / f"nan_batch_{step}.safetensors"
        batch, *others = self.group.gathered(dict(self.trainee.batch()))
        batch |= {f"process {k}/{name}": value for k, one in enumerate(others, 2) for name, value in one.items()}
        if self.group.is_first:
            save_checkpoint(path, batch, {"model": self.trainee.name, "step": step})
        raise TrainingError(
            "the loss is not finite" if bad is None else f"the weights `{bad}` are not finite",
            where=f"step {step if first is None else first} of {self.run}",
            hint=f"the batch of step {step} is in {path.name}, and earlier checkpoints stay; try a lower learning rate "
            "in another --out",
        )  # fmt: skip

    def _check_same(self) -> None:
        if len(set(self.group.gathered(digest_weights(self.trainee.state())))) > 1:
            raise TrainingError(
                "the weights are no longer the same in all processes", where=f"step {self.record.step} of {self.run}",
                hint="train on devices of one kind, or on one",
            )  # fmt: skip

    def _generators(self) -> dict[str, GeneratorState]:
        """What is not the same in all processes."""
        own = {name: part for name, part in self.trainee.state().items() if isinstance(part, GeneratorState)}
        return own | {f"torch.{name}": one for name, one in default_generators(self.fabric.device).items()}

    def _state(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self.trainee.state().items()}
        generators = {name: one.state_dict() for name, one in default_generators(self.fabric.device).items()}
        scale = dict(self.fabric.strategy.precision.state_dict())  # of the loss in 16 bits; Fabric itself keeps none
        state = {"trainee": parts, "torch": generators, "precision": scale}
        if self.group.size > 1:
            own = {name: one.state_dict() for name, one in self._generators().items()}
            state["others"] = self.group.gathered(own)[1:]
        return state

    def _meta(self) -> dict[str, Any]:
        return to_meta(self.record, self.trainee.name, self.trainee.version, self.config)


def _misfit(run: Path, expected: str, actual: str) -> WorkspaceError:
    return WorkspaceError(
        "the checkpoint does not fit the model", where=run, expected=expected, actual=actual,
        hint="choose another --out",
    )  # fmt: skip
