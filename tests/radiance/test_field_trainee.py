"""What both fields' trainings share: what is behind transparent pixels, and that the options say it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from anyview.radiance.data import TrainingPixels
from anyview.radiance.train import make_trainee
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.training.trainee import Moment
from soft_run import small_options, soft_scene
from soft_scene import write_soft_scene

FIELDS = ("mip", "grid")


def trainee(field: str, *settings: str, scene: Path | None = None) -> MipTrainee | GridTrainee:
    options = small_options(f"field={field}", *settings)
    made = make_trainee(options, field_views(load_scene(scene or soft_scene()), options.data), Path())
    assert isinstance(made, MipTrainee | GridTrainee)
    torch.manual_seed(0)
    made.setup(Fabric(accelerator="cpu", devices=1))
    return made


@pytest.mark.parametrize("background", ["auto", "white", "black", "random"])
@pytest.mark.parametrize("field", FIELDS)
def test_backgrounds(field: str, background: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pictures are transparent, the batch shows the background; validation has one that stays."""
    made = trainee(field, f"data.background={background}", "mip.batch=500", "grid.samples=4096")
    at, drawn = TrainingPixels.at, []

    def noted(self: TrainingPixels, index: torch.Tensor) -> object:
        drawn.append(at(self, index))
        return drawn[-1]

    monkeypatch.setattr(TrainingPixels, "at", noted)
    assert torch.isfinite(torch.as_tensor(made.step(Moment(0, 0.0))["loss"]))
    batch = made.batch()
    assert set(batch) == {"origins", "directions", "radii", "near", "far", "lossmult", "rgb"}
    ((_, _, alpha),) = drawn
    clear = batch["rgb"][alpha[:, 0] < 0.01]
    assert len(clear) > 50
    grey = 0.0 if background == "black" else 1.0
    is_random = background == "random" or (background == "auto" and field == "grid")
    if is_random:
        assert clear.std(dim=0).min() > 0.2  # an even spread has 0.29
    else:
        assert (clear - grey).abs().max() < 0.02
    truth = torch.cat([rgb for _, rgb in made._validation._parts])
    assert (truth - grey).abs().amin(dim=0).max() < 0.02  # the corners of the pictures
    assert np.isfinite(made.validate(Moment(1, 0.1))["psnr"])
    if isinstance(made, MipTrainee):
        assert made._model.module.background == (None if is_random else grey)


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_is_behind_photographs(field: str, tmp_path: Path) -> None:
    """Without alpha the colours to learn are the files', also where the option is `random`."""
    made = trainee(field, "data.background=random", scene=write_soft_scene(tmp_path / "s", 2, size=12, alpha=False))
    made.step(Moment(0, 0.0))
    steps = made.batch()["rgb"] * 255
    assert (steps - steps.round()).abs().max() < 1e-3
    assert not made._random
