"""Compile every kernel by runs over a few tiny pictures; those of learned engines where their libraries are there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from anyview.compute.kernel_cache import is_compiled, mark_compiled
from anyview.pipelines.reconstruct import reconstruct
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import ReconstructionOptions
from anyview.scene.synthetic import render_scene


def warm_up(progress: Progress = SILENT) -> None:
    """Run what has not run yet in this installation, in a temporary folder; later runs find their kernels compiled.

    The stages of the reconstruction, texture and report included; and, where torch and lightning are installed, steps
    of both radiance fields, and the pooling of segmentation's regions.
    """
    learned = find_spec("torch") is not None and find_spec("lightning") is not None
    work = [_reconstruct] * (not is_compiled())
    if learned:
        work += [_radiance] * (not is_compiled("radiance")) + [_segmentation] * (not is_compiled("segmentation"))
    if not work:
        return
    with tempfile.TemporaryDirectory() as folder, progress.stage("compiling kernels", len(work)) as advance:
        render_scene(6, (96, 96)).write(Path(folder) / "scene")
        for part in work:
            part(Path(folder))
            advance()


def _reconstruct(folder: Path) -> None:
    options = ReconstructionOptions()
    options = replace(options, mesh=replace(options.mesh, texture=True, texture_faces=1000, texture_size=256))
    reconstruct(folder / "scene", folder / "work", options=options)


def _radiance(folder: Path) -> None:
    """Steps of each field, validation included: `grid` in a hull and in all of space, `mip` in both precisions."""
    from anyview.radiance.options import GridOptions, MipOptions, MipTraining, RadianceOptions
    from anyview.radiance.train import train_field
    from anyview.training.options import LoopOptions

    grid = GridOptions(log2_entries=10, cells=16, first_steps=32, steps=32, samples=512, validation_pixels=16)
    mip = MipTraining(
        batch=64, validation_pixels=16, model=MipOptions(intervals=8, width=32, depth=3, degrees=8, head_width=32)
    )
    loop = LoopOptions(steps=16, device="cpu", precision="32-true")
    reduced = replace(loop, precision="bf16-mixed")
    for name, options in {
        "hull": RadianceOptions(grid=grid, loop=loop),
        "open": RadianceOptions(grid=replace(grid, contraction="cube"), loop=loop),
        "mip": RadianceOptions(field="mip", mip=mip, loop=loop),
        "mip_bfloat16": RadianceOptions(field="mip", mip=mip, loop=reduced),
    }.items():
        train_field(folder / "scene", folder / name, options)
    mark_compiled("radiance")


def _segmentation(folder: Path) -> None:
    """Regions of small maps, in both precisions, and the gradients."""
    import torch

    from anyview.segmentation.network.pooling import STRIDES, pool

    regions = torch.tensor([[0.0, 0, 0, 64, 64]])
    for kind in (torch.float32, torch.bfloat16):
        maps = [torch.zeros((1, 16, 64 // k, 64 // k), dtype=kind, requires_grad=True) for k in STRIDES]
        pool(maps, regions, 7).sum().backward()
    mark_compiled("segmentation")
