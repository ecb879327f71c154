"""Compile every kernel by runs over a few tiny pictures; those of learned engines where their libraries are there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from anyview.pipelines.reconstruct import reconstruct
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import ReconstructionOptions
from anyview.scene.synthetic import render_scene


def warm_up(progress: Progress = SILENT) -> None:
    """Run all stages, texture and report included, in a temporary folder; later runs find their kernels compiled."""
    options = ReconstructionOptions()
    options = replace(options, mesh=replace(options.mesh, texture=True, texture_faces=1000, texture_size=256))
    with tempfile.TemporaryDirectory() as folder, progress.stage("compiling kernels", 1) as advance:
        render_scene(6, (96, 96)).write(Path(folder) / "scene")
        reconstruct(Path(folder) / "scene", Path(folder) / "work", options=options)
        if find_spec("torch") and find_spec("lightning"):
            _radiance(Path(folder) / "scene", Path(folder) / "run")
        advance()


def _radiance(scene: Path, run: Path) -> None:
    """A step of the grid field, its validation included."""
    from anyview.radiance.options import GridOptions, RadianceOptions
    from anyview.radiance.train import train_field
    from anyview.training.options import LoopOptions

    grid = GridOptions(log2_entries=10, cells=16, first_steps=32, steps=32, samples=512, validation_pixels=16)
    train_field(scene, run, RadianceOptions(grid=grid, loop=LoopOptions(steps=16, device="cpu")))
