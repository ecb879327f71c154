"""Images without masks: the field learns all of space; how bright each was taken is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from anyview.formats.images import write_image
from anyview.progress import SILENT
from anyview.radiance.options import GridOptions, RadianceOptions
from anyview.radiance.run import open_run
from anyview.radiance.train import train_field
from anyview.scene.load import load_scene
from anyview.scene.save import convert_scene
from anyview.scene.synthetic import render_scene
from anyview.training.checkpoint import load_checkpoint
from anyview.training.options import LoopOptions

GRID = GridOptions(
    levels=4, finest=64, log2_entries=12, width=16, harmonics=1, cells=32, first_steps=64, steps=64, samples=4096,
    validation_pixels=256,
)  # fmt: skip


def options(steps: int, grid: GridOptions = GRID) -> RadianceOptions:
    return RadianceOptions(grid=grid, loop=LoopOptions(steps=steps, validate_every=100, log_every=50, device="cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("with_points", [False, True])
def test_learns_all_of_space(with_points: bool, tmp_path: Path) -> None:
    made = render_scene(12, (48, 48), transparent=False)
    made.write(tmp_path / "scene")
    folder = tmp_path / "scene"
    if with_points:
        rng = np.random.default_rng(0)
        points = np.stack([*rng.uniform(-3, 3, (2, 200)), np.zeros(200)], 1)
        folder = tmp_path / "colmap"
        convert_scene(replace(load_scene(tmp_path / "scene"), points=points), folder, "colmap-bin")
    result = train_field(folder, tmp_path / "run", options(300), SILENT)
    run = open_run(tmp_path / "run", "latest")
    truth = np.stack([view.read()[0] for view in run.views.train])
    mean = -10 * np.log10(np.mean((truth - truth.mean((0, 1, 2))) ** 2))
    assert result.best is not None
    assert result.best.value > mean + 4
    state, _ = load_checkpoint(sorted((tmp_path / "run" / "checkpoints").glob("step*"))[-1])
    occupancy = state["trainee"]["field"]
    assert bool(occupancy["occupancy.contracted"])
    assert 0.02 < float(occupancy["occupancy.open"].float().mean()) < 1  # some of it turned out empty


@pytest.mark.slow
def test_gains_are_found(tmp_path: Path) -> None:
    render_scene(24, (48, 48)).write(tmp_path / "scene")
    rng = np.random.default_rng(0)
    gains = {}
    for path in sorted((tmp_path / "scene").glob("train/*.png")):
        rgba = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
        gains[f"train/{path.name}"] = rng.uniform(0.55, 1, 3)
        rgba[..., :3] = np.round(rgba[..., :3] * gains[f"train/{path.name}"])
        write_image(path, rgba)
    made = options(600, replace(GRID, exposure=True))
    train_field(tmp_path / "scene", tmp_path / "run", made, SILENT)
    run = open_run(tmp_path / "run", "latest")
    state, _ = load_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000600.safetensors")
    free = state["trainee"]["exposure"]["free"].numpy()
    truth = np.log([gains[view.name] for view in run.views.train])
    error = (free - free.mean(0)) - (truth - truth.mean(0))
    assert error.std() < 0.35 * (truth - truth.mean(0)).std()  # measured 0.26


@pytest.mark.slow
def test_resumes_to_the_bit(tmp_path: Path) -> None:
    render_scene(8, (32, 32), transparent=False).write(tmp_path / "scene")
    grid = replace(GRID, exposure=True, multisamples=6, samples=2048)
    train_field(tmp_path / "scene", tmp_path / "whole", options(40, grid), SILENT)

    class Stop(Exception):
        pass

    import anyview.radiance.train_grid as module

    usual, stopped = module.GridTrainee.step, []

    def stopping(self: module.GridTrainee, moment: object) -> object:
        if moment.step == 20 and not stopped:  # type: ignore[attr-defined]
            stopped.append(True)
            raise Stop
        return usual(self, moment)  # type: ignore[arg-type]

    often = replace(options(40, grid), loop=replace(options(40, grid).loop, save_every_seconds=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.GridTrainee, "step", stopping)
        with pytest.raises(Stop):
            train_field(tmp_path / "scene", tmp_path / "parts", often, SILENT)
        train_field(tmp_path / "scene", tmp_path / "parts", often, SILENT)
    name = "checkpoints/step_00000040.safetensors"
    (one, _), (two, _) = (load_checkpoint(tmp_path / folder / name) for folder in ("whole", "parts"))
    for part in ("field", "exposure"):
        for key, value in one["trainee"][part].items():
            assert torch.equal(value, two["trainee"][part][key]), key
    assert float(one["trainee"]["exposure"]["free"].abs().max()) > 0
