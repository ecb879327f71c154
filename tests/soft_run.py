"""A run of a few steps on the fog, made once per test session and copied for each test that wants to spoil it."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from lightning.fabric import Fabric

from anyview.radiance.options import RadianceOptions
from anyview.radiance.train import make_trainee, train_field
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.training.config import with_values
from soft_scene import write_soft_scene

SMALL = (
    "field=mip", "mip.batch=64", "mip.delay=0", "mip.lr_first=5e-3", "mip.lr_last=1e-4", "mip.model.intervals=8",
    "mip.model.width=32", "mip.model.depth=3", "mip.model.degrees=5", "mip.model.head_width=16",
    "mip.validation_pixels=64", "grid.levels=4", "grid.finest=64", "grid.log2_entries=10", "grid.width=16",
    "grid.harmonics=1", "grid.cells=16", "grid.first_steps=32", "grid.steps=32", "grid.samples=1024",
    "grid.validation_pixels=64", "loop.steps=6", "loop.validate_every=3", "loop.device=cpu", "loop.precision=32-true",
)  # fmt: skip


def small_options(*settings: str) -> RadianceOptions:
    """Networks that take milliseconds per step; the field is `mip` where it is not told."""
    return with_values(RadianceOptions(), [*SMALL, *settings])


@cache
def soft_scene() -> Path:
    """The scene of all these runs; not to be changed."""
    return write_soft_scene(Path(mkdtemp(prefix="anyview-soft-")) / "scene", 3, 2, 2, size=16)


@cache
def _made(field: str) -> Path:
    folder = soft_scene().parent / field
    train_field(soft_scene(), folder, small_options(f"field={field}"))
    return folder


def soft_run(folder: Path, field: str = "mip") -> Path:
    """A run of its own; its scene is shared."""
    shutil.copytree(_made(field), folder)
    return folder


def soft_trainee(field: str, *settings: str, scene: Path | None = None) -> MipTrainee | GridTrainee:
    """What trains the field, ready for its first step."""
    options = small_options(f"field={field}", *settings)
    made = make_trainee(options, field_views(load_scene(scene or soft_scene()), options.data), Path())
    assert isinstance(made, MipTrainee | GridTrainee)
    torch.manual_seed(0)
    made.setup(Fabric(accelerator="cpu", devices=1, precision=options.loop.precision))
    return made
