"""Compile every kernel of the reconstruction, by a run over a few tiny pictures."""

from __future__ import annotations

import tempfile
from dataclasses import replace
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
        advance()
