"""A run's folder: what it was asked for (`config.yaml`), and its weights as a renderer.

Nothing here loads the training loop, whose library takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from anyview.compute.torch_device import TorchDevice, torch_device
from anyview.errors import SceneError
from anyview.formats.files import digest_file
from anyview.progress import SILENT, Progress
from anyview.radiance.fields import grid, mip
from anyview.radiance.occupancy import unknown_occupancy
from anyview.radiance.options import RadianceOptions
from anyview.radiance.pictures import BACKGROUNDS
from anyview.radiance.rays import RADIUS_PER_PIXEL
from anyview.radiance.render_grid import GridRenderer
from anyview.radiance.render_mip import MipRenderer
from anyview.radiance.renderer import Renderer
from anyview.radiance.views import FieldViews, field_views
from anyview.scene.load import load_scene
from anyview.scene.scene import Scene
from anyview.training.run_folder import (
    check_model,
    fits_the_model,
    read_options,
    wanted_checkpoint,
    write_options,
)

TRAIN = "anyview radiance train SCENE"
"""The command, for errors."""

_VERSIONS = {"mip": mip.VERSION, "grid": grid.VERSION}


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has something to show.

    Attributes:
        folder: where it lies.
        options: that it was trained with.
        views: of its scene.
        renderer: of its field.
        step: steps that its weights have seen.
        digest: of the checkpoint that they come from.
    """

    folder: Path
    options: RadianceOptions
    views: FieldViews
    renderer: Renderer
    step: int
    digest: str

    @property
    def background(self) -> float:
        """Grey level behind its pictures."""
        return BACKGROUNDS[self.options.data.background]


def read_config(run: Path) -> RadianceOptions:
    """The options of a run.

    Raises:
        WorkspaceError: the folder is no run.
        FormatError, OptionError: its options are damaged.
    """
    return read_options(RadianceOptions, run, TRAIN)


def write_config(run: Path, options: RadianceOptions, scene: Path) -> None:
    """Write a run's options, with the scene's place and the version of anyview that began the run.

    Whether a run that has begun may have these options is for its checkpoints to say, and has been asked before.

    Raises:
        FormatError, OptionError: the options that stand there are damaged.
        WorkspaceError: the folder cannot be written to.
    """
    write_options(run, replace(options, scene=str(scene.resolve())))


def open_run(
    run: Path,
    which: Literal["best", "latest"] = "best",
    scene: Scene | Path | None = None,
    device: TorchDevice = "auto",
    progress: Progress = SILENT,
) -> Run:
    """A run's weights, ready to render.

    Args:
        run: the folder.
        which: those of the best validation, or the last ones. Without whole best ones, the last are taken and said.
        scene: the run's own by default; or the folder where that lies now, and it is said where its views differ.
        device: of the field.
        progress: told where other weights than the wanted are taken, or the scene is another.

    Raises:
        OptionError: there is no such device.
        WorkspaceError: no run, nothing trained, or weights of another model or version.
        FormatError: options or all checkpoints are damaged.
        SceneError: the scene has gone, or is not usable.
    """
    options = read_config(run)
    found = wanted_checkpoint(run, which, TRAIN, progress)
    if isinstance(scene, Path):
        options = replace(options, scene=str(scene.resolve()))
    elif scene is None and not Path(options.scene).exists():
        raise SceneError("the run's scene has gone", where=options.scene, hint="name its new place with --scene")
    views = field_views(scene if isinstance(scene, Scene) else load_scene(options.scene), options.data)
    if isinstance(scene, Path) and views.fingerprint() != found.meta.get("config", {}).get("views"):
        progress.note(f"the views in {scene} are not those that this run began with")
    check_model(found, run, options.field, _VERSIONS[options.field])
    there = torch.device(torch_device(device))
    with fits_the_model(found.path):
        renderer = make_renderer(options, views, found.state["trainee"], there)
        step = int(found.meta["run"]["step"])
    return Run(run, options, views, renderer, step, digest_file(found.path))


def make_renderer(
    options: RadianceOptions, views: FieldViews, state: Mapping[str, Any], device: torch.device
) -> Renderer:
    """A field from its trainee's state.

    Raises:
        KeyError, RuntimeError: the state is of another model.
    """
    if options.field == "mip":
        model = mip.MipNeRF(options.mip.model, BACKGROUNDS[options.data.background])
        model.load_state_dict(state["model"])
        return MipRenderer(model.to(device).eval(), _footprint(views), options.loop.precision)
    field = grid.GridField(options.grid, unknown_occupancy(options.grid.cells), torch.Generator())
    field.load_state_dict(state["field"])
    return GridRenderer(field.to(device).eval(), BACKGROUNDS[options.data.background])


def shot_depths(views: FieldViews) -> tuple[float, float]:
    """Near and far for cameras that are none of the scene's: what all of its views need."""
    return min(v.near or 0.0 for v in views.train), max(v.far or views.far for v in views.train)


def _footprint(views: FieldViews) -> float:
    """Standard deviation of what a pixel covers amid near and far, in each direction across the ray, scene units."""
    radii = [RADIUS_PER_PIXEL / v.camera.fy * ((v.near or 0) + (v.far or 0)) / 2 for v in views.train]
    return float(np.median(radii)) / 2
