"""A run's folder opened for use: its options, its classes, and its model with the trained weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from anyview.compute.torch_device import TorchDevice, torch_device
from anyview.formats.files import digest_file
from anyview.progress import SILENT, Progress
from anyview.segmentation.config import TRAIN, read_config
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.trained import NAME, VERSION, NormEpsilon
from anyview.training.run_folder import averaged, check_model, fits_the_model, wanted_checkpoint


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
    device: TorchDevice = "auto",
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
        FormatError, OptionError: options or all checkpoints are damaged; there is no such device.
    """
    run = Path(run)
    options = read_config(run)
    found = wanted_checkpoint(run, checkpoint, TRAIN, progress)
    check_model(found, run, NAME, VERSION)
    model = MaskRCNN(options.model)
    with fits_the_model(found.path):
        state = found.state["trainee"]
        model.load_state_dict(averaged(state, "model"))
        NormEpsilon(model).load_state_dict(state["norms"])
        step, images = int(found.meta["run"]["step"]), str(found.meta["config"]["images"])
        classes = Classes(options.classes, options.class_ids)
        if len(classes) != options.model.num_classes:
            raise ValueError(f"{len(classes)} classes, for weights of {options.model.num_classes}")
    there = torch.device(torch_device(device))
    model.to(there, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SegmentationRun(model.eval(), classes, options, run, step, images, digest_file(found.path))
