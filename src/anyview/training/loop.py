"""One loop for everything that learns: it resumes, keeps the best, ends in time, and stops cleanly.

A run is a folder: `checkpoints/`, `log.csv`, `tensorboard/`, `validation/`. The same command on the same folder goes on
from the newest whole checkpoint; on a CPU the result is that of an undisturbed run, bit for bit. Lightning Fabric
chooses the device and the precision. Of several processes (`anyview.training.several`), each with a device of its own,
the first one writes and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import torch
from lightning.fabric import Fabric

from anyview.errors import OptionError, OutOfMemoryError
from anyview.progress import SILENT, Progress
from anyview.training.checkpoint import Checkpoints
from anyview.training.clock import Clock
from anyview.training.devices import chosen_device
from anyview.training.group import Group, current
from anyview.training.interruption import Interruption
from anyview.training.log import TrainingLog
from anyview.training.options import LoopOptions
from anyview.training.record import Best, Record, check_same_run, from_meta, full_config
from anyview.training.session import Session
from anyview.training.telling import Teller
from anyview.training.trainee import GeneratorState, Moment, Stateful, Trainee
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Workspace

__all__ = ["GeneratorState", "LoopOptions", "Moment", "Stateful", "Trainee", "TrainingResult", "train"]

_FIRST_VALIDATION = 0.25  # share of a limited time after which there has been one


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run has."""

    step: int
    """Steps done."""
    seconds: float
    """Of training, over all resumed parts."""
    figures: dict[str, float]
    """Of the last validation."""
    best: Best | None
    """The best validation; None where there was nothing to validate on."""
    checkpoint: Path
    """The best checkpoint, or the last one where there is no best."""


def train(
    trainee: Trainee,
    run: Path,
    options: LoopOptions,
    config: Mapping[str, Any],
    progress: Progress = SILENT,
    begin: Callable[[], None] = lambda: None,
) -> TrainingResult:
    """Train until `options.steps` or `options.max_minutes` are reached; a run that is finished returns at once.

    Torch's own random sequences are seeded here, and resumed like those of the trainee.

    Args:
        trainee: what is trained.
        run: the folder, made where it is missing.
        options: of the loop.
        config: everything else that decides the result, JSON-like: model, data. A resumed run must have the same. Its
            key "loop" is the loop's own.
        progress: told of steps, and every ten seconds of loss, speed and time left.
        begin: called once by the first process, when the folder is ours and nothing is left to be refused: the trainee
            is set up and has the checkpoint's state. What the folder says of the run is written here.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the step was finished and a checkpoint written.
        TrainingError: the loss or the weights are not finite; the last step's batch lies in the run's folder.
        OptionError: an option differs from those that the run began with, no end, or there is no such device or not so
            many.
        WorkspaceError: disk full, folder in use, checkpoints of another model.
        FormatError: all checkpoints are damaged.
        OutOfMemoryError: a step does not fit the GPU.
    """
    began = monotonic()
    if options.steps is None and options.max_minutes is None:
        raise OptionError("nothing says when training ends", expected="a number of steps, or of minutes")
    group, device = current(), chosen_device(options)
    if options.devices != group.size:
        raise OptionError(
            "this model trains on one device", where="loop.devices", expected=group.size, actual=options.devices
        )
    with hold(Workspace(run)) if group.is_first else nullcontext():
        config = full_config(config, options)
        checkpoints = Checkpoints(run / "checkpoints", options.keep)
        found = checkpoints.latest(progress.note)
        if found:
            check_same_run(found.meta, trainee.name, trainee.version, config, run)
        record = from_meta(found.meta) if found else Record()
        session = None
        if not record.is_finished(options):
            fabric = _fabric(options, device, group)
            torch.manual_seed(options.seed)
            trainee.setup(fabric)
            if not group.is_first:
                torch.manual_seed(group.seed(options.seed))
            clock = Clock(options.steps, options.max_minutes, began, record.seconds, record.reserve)
            session = Session(trainee, fabric, group, run, checkpoints, options, config, record, clock, progress)
            if found:
                session.load(found.state)
                progress.note(f"going on from step {record.step}")
        if group.is_first:
            begin()
        if session is not None:
            _loop(session)
        last = checkpoints.best if record.best else checkpoints.path(record.step)
        return TrainingResult(record.step, record.seconds, record.figures, record.best, last)


@dataclass(frozen=True)
class _Now:
    """What the first process decides between two steps."""

    share: float
    """How much of the training is behind."""
    look: bool
    """Whether there must be a validation, which tells how much time the last one needs."""
    save: bool
    """Whether the last checkpoint is old."""
    stop: bool
    """Whether the user wants to stop."""


def _decided(session: Session, interruption: Interruption) -> _Now:
    """The same in all processes."""
    options, record, clock = session.options, session.record, session.clock
    limit = options.max_minutes if record.validated == 0 else None
    look = limit is not None and clock.seconds > _FIRST_VALIDATION * 60 * limit
    return session.group.agreed(_Now(clock.share(record.step), look, session.save_is_due(), interruption.asked))


def _loop(session: Session) -> None:
    """Steps, with validations, rows and checkpoints when they are due."""
    trainee, options, record, clock = session.trainee, session.options, session.record, session.clock
    log = TrainingLog(session.run, record.step) if session.group.is_first else nullcontext()
    # with a limit of time the steps to come are unknown: the bar then shows thousandths of the time
    timed = options.max_minutes is not None or options.steps is None
    begun = int(1000 * clock.share(record.step)) if timed else record.step
    stage = session.progress.stage("training", max((1000 if timed else options.steps or 0) - begun, 0))
    with log as rows, Interruption() as interruption, stage as advance:
        now = _decided(session, interruption)
        teller = Teller(session.progress, options.steps, trainee.items, options.better, record.step, now.share)
        while True:
            due = record.step > 0 and record.step % options.validate_every == 0
            if (due or now.look or now.share >= 1) and record.validated != record.step:
                figures = session.validate(Moment(record.step, now.share), rows)
                if rows and figures:
                    rows.add(record.step, {f"validation/{name}": value for name, value in figures.items()})
                now = _decided(session, interruption)
            if now.share >= 1:
                break
            if now.save:
                session.save()
            try:
                scalars = trainee.step(Moment(record.step, now.share))
            except torch.OutOfMemoryError as error:
                raise OutOfMemoryError(
                    "out of memory on the GPU", where=f"step {record.step + 1} of {session.run}",
                    hint="close other programs that use it, or choose a smaller batch and another --out",
                ) from error  # fmt: skip
            record.step += 1
            now = _decided(session, interruption)
            reached = int(1000 * now.share) if timed else record.step
            advance(reached - begun)
            begun = reached
            look = record.step % options.log_every == 0 or now.share >= 1
            session.see(scalars["loss"], look)
            if rows and look:
                rows.add(record.step, {k: float(v) for k, v in scalars.items()} | {"seconds": clock.seconds})
            teller.tell(record.step, now.share, scalars, record.figures)
            if now.stop:
                session.save()
                raise KeyboardInterrupt
        record.finish(options)
        session.save()
        if interruption.asked:
            raise KeyboardInterrupt


def _fabric(options: LoopOptions, device: Literal["cpu", "cuda"], group: Group) -> Fabric:
    """Fabric on this process's device; it knows nothing of the others, whom the group connects."""
    precision = "32-true" if options.precision == "auto" else options.precision
    fabric = Fabric(accelerator=device, devices=[group.rank] if device == "cuda" else 1, precision=precision)
    fabric.launch()
    group.join(fabric.device)
    return fabric
