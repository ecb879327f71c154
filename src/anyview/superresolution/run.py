"""A run's folder opened for use: its options, and its network with the trained weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from anyview.errors import FormatError, WorkspaceError
from anyview.progress import SILENT, Progress
from anyview.superresolution.build import build, without_weight_norm
from anyview.superresolution.config import read_config
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.train_options import SuperresOptions
from anyview.superresolution.trainee import NAME, VERSION
from anyview.training.checkpoint import Checkpoints, Found, load_checkpoint


@dataclass(frozen=True, eq=False)
class SuperresRun:
    """A run that has something to show.

    Attributes:
        network: in eval mode, on the processor, without weight norm; with the average of the weights where the run has
            one.
        options: that it was trained with.
        folder: where it lies.
        step: steps that its weights have seen.
        minutes: of training until then.
        figures: of the validation before the checkpoint.
    """

    network: Upscaler = field(repr=False)
    options: SuperresOptions
    folder: Path
    step: int
    minutes: float
    figures: dict[str, float]


def open_run(
    run: Path | str, checkpoint: Literal["best", "latest"] | None = None, progress: Progress = SILENT
) -> SuperresRun:
    """A run's weights, ready to use.

    Args:
        run: the folder.
        checkpoint: that of the best validation, or the last one; None is the best, but the last of a GAN, whose PSNR
            falls as images get crisper. Without a whole best one, the last is taken, and said.
        progress: told where another checkpoint than the wanted is taken.

    Raises:
        WorkspaceError: no run, nothing trained, or weights of another model or version.
        FormatError, OptionError: options or all checkpoints are damaged.
    """
    run = Path(run)
    options = read_config(run)
    found = _load(run, checkpoint or ("latest" if options.gan else "best"), progress)
    wanted, actual = (NAME, VERSION), (found.meta.get("model"), found.meta.get("version"))
    if actual != wanted:
        raise WorkspaceError(
            "the checkpoint is of another model", where=run, expected=f"{NAME}, version {VERSION}",
            actual=f"{actual[0]}, version {actual[1]}", hint="train it again with another --out",
        )  # fmt: skip
    network = build(options.model)
    try:
        network.load_state_dict(_weights(found.state["trainee"]))
        record = found.meta["run"]
        step, minutes, figures = int(record["step"]), float(record["seconds"]) / 60, dict(record["figures"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WorkspaceError(
            "the checkpoint does not fit the network", where=found.path, actual=" ".join(str(error).split())[:200],
            hint="config.yaml has been changed, or the file is of another run",
        ) from error  # fmt: skip
    return SuperresRun(without_weight_norm(network).eval(), options, run, step, minutes, figures)


def _weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """A network's state dict from a trainee's state: the average's weights, where there is one."""
    weights: dict[str, Tensor] = dict(state["network"])
    average = state.get("ema")
    return weights if average is None else {**weights, **average["averages"]}


def _load(run: Path, which: str, progress: Progress) -> Found:
    """The wanted checkpoint, or the newest whole one."""
    checkpoints = Checkpoints(run / "checkpoints")
    damaged = None
    if which == "best":
        try:
            return Found(*load_checkpoint(checkpoints.best), checkpoints.best)
        except FormatError as error:
            damaged = error if checkpoints.best.exists() else None
    found = checkpoints.latest(progress.note)
    if found is None:
        raise WorkspaceError("nothing is trained yet", where=run, hint="run `anyview superres train` on it first")
    if which == "best":
        why = "this run has no best weights" if damaged is None else str(damaged)
        progress.note(f"{why}; those of step {found.meta['run']['step']} are taken")
    return found
