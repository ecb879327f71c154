"""From a scene's folder to a trained field: the shared loop with the field that the options name."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.radiance.fields.mip_work import forget
from anyview.radiance.options import USUAL_STEPS, RadianceOptions
from anyview.radiance.precision import with_precision
from anyview.radiance.reconstructed import reconstruction_fingerprint
from anyview.radiance.run import write_config
from anyview.radiance.sight import check_sight
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.views import FieldViews, field_views
from anyview.scene.load import load_scene
from anyview.training.loop import TrainingResult, train
from anyview.training.several import as_one
from anyview.training.trainee import Trainee

_NOT_THE_RESULT = ("anyview", "scene")  # where a scene lies does not change what is learnt; its views have a digest


def train_field(scene: Path, run: Path, options: RadianceOptions, progress: Progress = SILENT) -> TrainingResult:
    """Train, or go on training; the folder then has `config.yaml`, `checkpoints/`, `log.csv`, `tensorboard/`,
    `validation/`.

    Args:
        scene: folder with posed images.
        run: the folder.
        options: a run that has begun must have the same, but for how long it goes. They are written to `config.yaml`
            once nothing is left to be refused.
        progress: told how it goes.

    Raises:
        SceneError, FormatError: the scene is not usable.
        OptionError: the field cannot have these options.
        KeyboardInterrupt, AnyviewError: as `anyview.training.loop.train`.
    """
    if options.geometry is not None and options.field == "mip":
        raise OptionError("the field mip takes no geometry", where="geometry", hint="choose --field grid")
    return as_one(options.loop, _train, progress, scene, run, with_precision(options))


def _train(progress: Progress, scene: Path, run: Path, options: RadianceOptions) -> TrainingResult:
    """One process's part."""
    views = field_views(load_scene(scene), options.data)
    of_training = replace(views.scene, views=views.train)
    check_sight(views.train, {"val": views.val, "test": views.test}, of_training, progress.note)
    trainee = make_trainee(options, views, run, progress)
    loop = options.loop
    if loop.steps is None and loop.max_minutes is None:
        loop = replace(loop, steps=USUAL_STEPS[options.field])
    try:
        return train(trainee, run, loop, _config(options, views), progress, lambda: write_config(run, options, scene))
    finally:
        forget()


def make_trainee(options: RadianceOptions, views: FieldViews, run: Path, progress: Progress = SILENT) -> Trainee:
    """The trainee of the field that the options name."""
    if options.field == "mip":
        return MipTrainee(options, views, run, progress)
    return GridTrainee(options, views, run, progress)


def _config(options: RadianceOptions, views: FieldViews) -> dict[str, object]:
    """What decides the result; of both fields only the one that is trained."""
    other = "grid" if options.field == "mip" else "mip"
    config = {k: v for k, v in asdict(options).items() if k not in (*_NOT_THE_RESULT, other, "loop")}
    config["data"].pop("memory_gib")
    inputs = {"the images": views.pixels_fingerprint()}
    if options.geometry is not None:
        inputs["the reconstruction"] = reconstruction_fingerprint(Path(options.geometry))
    return {**config, "views": views.fingerprint(), "inputs": inputs}
