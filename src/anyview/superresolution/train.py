"""From pictures to a trained network: the shared loop with the network that the options describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.superresolution.config import WEIGHTS, load_first, notes, read_config
from anyview.superresolution.gan_trainee import GanTrainee, content_loss
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.run import open_run
from anyview.superresolution.train_data import TrainingPictures, training_pictures
from anyview.superresolution.train_options import USUAL_STEPS, SuperresOptions
from anyview.superresolution.trainee import PixelTrainee
from anyview.superresolution.weights import save_weights
from anyview.training.group import current
from anyview.training.loop import TrainingResult, train
from anyview.training.precision import settled
from anyview.training.run_folder import write_options
from anyview.training.settings import has_checkpoints
from anyview.training.several import as_one

_NOT_THE_RESULT = ("anyview", "folder", "loop")
_NOT_THE_RESULT_OF_DATA = ("low", "val", "threads")  # where pictures lie does not change what is learnt


def train_superresolution(
    folder: str | Path,
    run: Path,
    options: SuperresOptions,
    progress: Progress = SILENT,
    *,
    command: str = "",
    extractor: nn.Module | None = None,
) -> TrainingResult:
    """Train, or go on training; the folder then has `config.yaml`, `checkpoints/`, `log.csv`, `validation/`, and
    `weights.safetensors`: the best weights (a GAN's last ones), for `load_weights`.

    Args:
        folder: pictures, see `anyview.superresolution.train_data.training_pictures`.
        run: the folder.
        options: a run that has begun must have the same, but for how long it goes. They are written to `config.yaml`
            once nothing is left to be refused.
        progress: told how it goes.
        command: noted in the exported weights.
        extractor: of features for a GAN's content loss, in the place of VGG19.

    Raises:
        FormatError: a picture is damaged, or the weights are.
        OptionError: no such data, options that cannot be, weights of another network.
        KeyboardInterrupt, AnyviewError: as `anyview.training.loop.train`.
    """
    options = replace(options, loop=settled(options.loop, on_processors=True))
    return as_one(options.loop, _train, progress, folder, run, options, command, extractor)


def _train(
    progress: Progress,
    folder: str | Path,
    run: Path,
    options: SuperresOptions,
    command: str,
    extractor: nn.Module | None,
) -> TrainingResult:
    """One process's part."""
    begun = has_checkpoints(run)
    if begun:
        _check_network(options, run)
    first = None if begun else _first(options)
    content = content_loss(options.adversary, extractor) if options.gan else None
    o = options.data
    data = training_pictures(
        folder, options.model.scale, low=o.low, val=o.val, track=o.track, seed=options.loop.seed, progress=progress
    )
    options = replace(options, folder=str(Path(folder).resolve()))

    def begin() -> None:
        write_options(run, options)

    def export(network: Upscaler, step: int, figures: Mapping[str, float], **more: object) -> None:
        score = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        pictures = f"{len(data.train)}, {data.train.fingerprint()}"
        facts = {"steps": step, "score": score, "pictures": pictures, **more}
        save_weights(network, run / WEIGHTS, notes(options, command, facts))

    loop = options.loop
    if loop.steps is None and loop.max_minutes is None:
        loop = replace(loop, steps=USUAL_STEPS)
    if content is None:
        trainee = PixelTrainee(options, data, first, export, progress)
    else:
        trainee = GanTrainee(options, data, content, first, export, progress)
    with trainee:
        result = train(trainee, run, loop, _config(options, data), progress, begin)
    if current().is_first:  # without a validation nothing has been exported, and then by the minute of training
        done = open_run(run, progress=progress)
        export(done.network, done.step, done.figures, minutes=f"{done.minutes:.1f}")
    return result


def _first(options: SuperresOptions) -> Callable[[], Upscaler] | None:
    """Gives the weights that a run begins with; they are looked at before anything is written."""
    if options.init is None:
        if options.gan:
            raise OptionError(
                "a GAN begins with trained weights", expected="--init RUN, trained without --gan before"
            )  # fmt: skip
        return None
    network = load_first(options.init)
    if network.options != options.model:
        raise OptionError(
            "the weights are of another network", where=options.init, expected=options.model, actual=network.options
        )
    return lambda: network


def _check_network(options: SuperresOptions, run: Path) -> None:
    """Refuse a run of another network, before pictures are made ready for this one."""
    before = read_config(run).model
    if before != options.model:
        raise OptionError(
            "this run is of another network", where=run, expected=before, actual=options.model,
            hint="leave --arch and --scale as they were, or choose another --out",
        )  # fmt: skip


def _config(options: SuperresOptions, data: TrainingPictures) -> dict[str, Any]:
    """What decides the result."""
    config = {key: value for key, value in asdict(options).items() if key not in _NOT_THE_RESULT}
    config["data"] = {key: value for key, value in config["data"].items() if key not in _NOT_THE_RESULT_OF_DATA}
    if not options.data.blind:
        del config["degradation"]
    if not options.gan:
        del config["adversary"]
    inputs = {"the pictures to learn from": data.train.fingerprint()}
    if data.val is not None:
        inputs["the pictures to validate on"] = data.val.fingerprint()
    return {**config, "inputs": inputs}
