"""A run's folder opened for use: its options, its classes, and its model with the trained weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anyview.errors import FormatError, WorkspaceError
from anyview.formats.files import digest_file
from anyview.progress import SILENT, Progress
from anyview.segmentation.config import read_config
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.trained import NAME, VERSION, NormEpsilon
from anyview.training.checkpoint import Checkpoints, Found, load_checkpoint


@dataclass(frozen=True, eq=False)
class SegmentationRun:
    """A run that has something to show.

    Attributes:
        model: in eval mode, on its device; with the average of the weights where the run has one.
        classes: names and category ids by label.
        options: that it was trained with.
        folder: where it lies.
        step: steps that its weights have seen.
        images: fingerprint of the data that it has learnt from, see `anyview.segmentation.train_data.TrainingData`.
        digest: of the checkpoint that they come from.
    """

    model: MaskRCNN = field(repr=False)
    classes: Classes
    options: SegmentationOptions
    folder: Path
    step: int
    images: str
    digest: str


def open_run(
    run: Path | str,
    checkpoint: Literal["best", "latest"] = "best",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    progress: Progress = SILENT,
) -> SegmentationRun:
    """A run's weights, ready to use.

    Args:
        run: the folder.
        checkpoint: that of the best validation, or the last one. Without a whole best one, the last is taken, and said.
        device: of the model.
        progress: told where another checkpoint than the wanted is taken.

    Raises:
        WorkspaceError: no run, nothing trained, or weights of another model or version.
        FormatError, OptionError: options or all checkpoints are damaged.
    """
    run = Path(run)
    options = read_config(run)
    found = _load(run, checkpoint, progress)
    wanted, actual = (NAME, VERSION), (found.meta.get("model"), found.meta.get("version"))
    if actual != wanted:
        raise WorkspaceError(
            "the checkpoint is of another model", where=run, expected=f"{NAME}, version {VERSION}",
            actual=f"{actual[0]}, version {actual[1]}", hint="train it again with another --out",
        )  # fmt: skip
    model = MaskRCNN(options.model)
    try:
        state = found.state["trainee"]
        model.load_state_dict(_weights(state))
        NormEpsilon(model).load_state_dict(state["norms"])
        step, images = int(found.meta["run"]["step"]), str(found.meta["config"]["images"])
        classes = Classes(options.classes, options.class_ids)
        if len(classes) != options.model.num_classes:
            raise ValueError(f"{len(classes)} classes, for weights of {options.model.num_classes}")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WorkspaceError(
            "the checkpoint does not fit the model", where=found.path, actual=" ".join(str(error).split())[:200],
            hint="config.yaml has been changed, or the file is of another run",
        ) from error  # fmt: skip
    there = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    model.to(torch.device(there), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SegmentationRun(model.eval(), classes, options, run, step, images, digest_file(found.path))


def _weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """A model's state dict from a trainee's state: the average's weights, where there is one."""
    weights: dict[str, Tensor] = dict(state["model"])
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
        raise WorkspaceError("nothing is trained yet", where=run, hint="run `anyview segment train` on it first")
    if which == "best":
        why = "this run has no best weights" if damaged is None else str(damaged)
        progress.note(f"{why}; those of step {found.meta['run']['step']} are taken")
    return found
