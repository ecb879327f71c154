"""From labelled images to a trained Mask R-CNN: the shared loop with the model that the options describe."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from anyview.compute import cpu_count
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.whole import check_whole
from anyview.segmentation.first_weights import check_first, load_first
from anyview.segmentation.train_data import TrainingData, data_config, training_data
from anyview.segmentation.train_options import SYNTHETIC, USUAL_STEPS, SegmentationOptions
from anyview.segmentation.trainee import MaskRCNNTrainee
from anyview.training.group import current
from anyview.training.loop import TrainingResult, train
from anyview.training.precision import settled
from anyview.training.run_folder import write_options
from anyview.training.settings import has_checkpoints
from anyview.training.several import as_one

_NOT_THE_RESULT = ("anyview", "folder", "loop")  # where images lie does not change what is learnt


def train_segmentation(
    folder: str | Path, run: Path, options: SegmentationOptions, progress: Progress = SILENT
) -> TrainingResult:
    """Train, or go on training; the folder then has `config.yaml`, `checkpoints/`, `log.csv`, `tensorboard/`.

    Args:
        folder: labelled images, see `anyview.segmentation.data.folder.open_data`; or "synthetic".
        run: the folder.
        options: a run that has begun must have the same, but for how long it goes. With the data's classes they are
            written to `config.yaml` once nothing is left to be refused.
        progress: told how it goes.

    Raises:
        FormatError: labels or an image are damaged, or the weights are.
        OptionError: no such data, options that cannot be, weights that do not fit.
        KeyboardInterrupt, AnyviewError: as `anyview.training.loop.train`.
    """
    # float32 where nobody says: what bfloat16 costs a Mask R-CNN in training has not been measured yet
    options = replace(options, loop=settled(options.loop, on_processors=False))
    return as_one(options.loop, _train, progress, folder, run, options)


def _train(progress: Progress, folder: str | Path, run: Path, options: SegmentationOptions) -> TrainingResult:
    """One process's part."""
    begun = has_checkpoints(run)
    if not begun:
        check_first(options)
    data = training_data(folder, options, progress)
    if not begun and options.data.check and str(folder) != SYNTHETIC:
        parts = [data.train] if data.val is None else [data.train, data.val]
        check_whole(parts, max(cpu_count() // current().size, 1), progress)
    classes = data.train.classes
    options = replace(
        options, model=replace(options.model, num_classes=len(classes)), classes=classes.names, class_ids=classes.ids,
        folder=SYNTHETIC if str(folder) == SYNTHETIC else str(Path(folder).resolve()),
    )  # fmt: skip

    def begin() -> None:
        write_options(run, options)

    trainee = MaskRCNNTrainee(
        options, data, lambda model: None if begun else load_first(model, options, progress), progress
    )
    loop = options.loop
    if loop.steps is None and loop.max_minutes is None:
        loop = replace(loop, steps=USUAL_STEPS)
    with trainee:
        return train(trainee, run, loop, _config(options, data), progress, begin)


def _config(options: SegmentationOptions, data: TrainingData) -> dict[str, Any]:
    """What decides the result."""
    config = {key: value for key, value in asdict(options).items() if key not in _NOT_THE_RESULT}
    if options.folder != SYNTHETIC:
        del config["synthetic"]
    return {**config, "data": data_config(options), "images": data.fingerprint()}
