"""One loop for everything that learns: it resumes, keeps the best, ends in time, and stops cleanly.

A run is a folder: `checkpoints/`, `log.csv`, `tensorboard/`, `validation/`. The same command on the same folder goes on
from the newest whole checkpoint; on a CPU the result is that of an undisturbed run, bit for bit. Lightning Fabric
chooses devices and precision. With several processes the first one writes and decides; only one process has been
tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric

from anyview.compute import cpu_count
from anyview.errors import OptionError, OutOfMemoryError
from anyview.progress import SILENT, Progress
from anyview.training.checkpoint import Checkpoints
from anyview.training.clock import Clock
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

T = TypeVar("T")

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
    fabric = _fabric(options)
    with hold(Workspace(run)) if fabric.is_global_zero else nullcontext():
        config = full_config(config, options)
        checkpoints = Checkpoints(run / "checkpoints", options.keep)
        found = checkpoints.latest(progress.note)
        if found:
            check_same_run(found.meta, trainee.name, trainee.version, config, run)
        record = from_meta(found.meta) if found else Record()
        session = None
        if not record.is_finished(options):
            torch.manual_seed(options.seed)
            trainee.setup(fabric)
            clock = Clock(options.steps, options.max_minutes, began, record.seconds, record.reserve)
            session = Session(trainee, fabric, run, checkpoints, options, config, record, clock, progress)
            if found:
                session.load(found.state)
                progress.note(f"going on from step {record.step}")
        if fabric.is_global_zero:
            begin()
        if session is not None:
            _loop(session)
        last = checkpoints.best if record.best else checkpoints.path(record.step)
        return TrainingResult(record.step, record.seconds, record.figures, record.best, last)


def _loop(session: Session) -> None:
    """Steps, with validations, rows and checkpoints when they are due."""
    trainee, options, record, clock = session.trainee, session.options, session.record, session.clock
    log = TrainingLog(session.run, record.step) if session.fabric.is_global_zero else nullcontext()
    # with a limit of time the steps to come are unknown: the bar then shows thousandths of the time
    timed = options.max_minutes is not None or options.steps is None
    begun = int(1000 * clock.share(record.step)) if timed else record.step
    stage = session.progress.stage("training", max((1000 if timed else options.steps or 0) - begun, 0))
    with log as rows, Interruption() as interruption, stage as advance:
        share = _agreed(session.fabric, clock.share(record.step))
        teller = Teller(session.progress, options.steps, trainee.items, options.better, record.step, share)
        while True:
            due = record.step > 0 and record.step % options.validate_every == 0
            # only a first validation tells how much time the last one needs
            if options.max_minutes is not None and record.validated == 0:
                due |= _agreed(session.fabric, clock.seconds) > _FIRST_VALIDATION * 60 * options.max_minutes
            if (due or share >= 1) and record.validated != record.step:
                seconds = clock.seconds
                figures = session.validate(Moment(record.step, share), rows)
                if rows and figures:
                    named = {f"validation/{name}": value for name, value in figures.items()}
                    rows.add(record.step, named | {"seconds": seconds})  # the step may have no row of its own
                share = _agreed(session.fabric, clock.share(record.step))
            if share >= 1:
                break
            if session.save_is_due():
                session.save()
            try:
                scalars = trainee.step(Moment(record.step, share))
            except torch.OutOfMemoryError as error:
                raise OutOfMemoryError(
                    "out of memory on the GPU", where=f"step {record.step + 1} of {session.run}",
                    hint="close other programs that use it, or choose a smaller batch and another --out",
                ) from error  # fmt: skip
            record.step += 1
            share = _agreed(session.fabric, clock.share(record.step))
            reached = int(1000 * share) if timed else record.step
            advance(reached - begun)
            begun = reached
            look = record.step % options.log_every == 0 or share >= 1
            session.see(scalars["loss"], look)
            if rows and look:
                rows.add(record.step, {k: float(v) for k, v in scalars.items()} | {"seconds": clock.seconds})
            teller.tell(record.step, share, scalars, record.figures)
            if _agreed(session.fabric, interruption.asked):
                session.save()
                raise KeyboardInterrupt
        record.finish(options)
        session.save()
        if interruption.asked:
            raise KeyboardInterrupt


def _fabric(options: LoopOptions) -> Fabric:
    """Fabric on the device that the options mean."""
    there = torch.cuda.is_available()
    if options.device == "cuda" and not there:
        raise OptionError(
            "torch finds no GPU", expected="an NVIDIA GPU and a torch built for it",
            actual=f"torch {torch.__version__}",
            hint="use the processor (device cpu), or install torch for CUDA",
        )  # fmt: skip
    device = "cuda" if options.device != "cpu" and there else "cpu"
    most = torch.cuda.device_count() if device == "cuda" else cpu_count()
    if options.devices > most:
        raise OptionError(
            "there are not so many devices", where="loop.devices",
            expected=f"at most {most} " + ("of the GPUs" if device == "cuda" else "of the processor's cores"),
            actual=options.devices,
        )  # fmt: skip
    precision = "32-true" if options.precision == "auto" else options.precision
    fabric = Fabric(accelerator=device, devices=options.devices, precision=precision)
    fabric.launch()
    return fabric


def _agreed(fabric: Fabric, value: T) -> T:
    """The first process's value, for all."""
    return value if fabric.world_size == 1 else fabric.broadcast(value)
