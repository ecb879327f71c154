"""What both fields' trainings share: what is behind transparent pixels, and that the options say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anyview.radiance.data import TrainingPixels
from anyview.radiance.rays import Rays
from anyview.radiance.render_grid import GridRenderer
from anyview.radiance.render_mip import MipRenderer
from anyview.radiance.train_mip import MipTrainee
from anyview.scene.load import load_scene
from anyview.scene.save import convert_scene
from anyview.training.trainee import Moment
from soft_run import soft_trainee
from soft_scene import write_soft_scene

FIELDS = ("mip", "grid")


@pytest.mark.parametrize("background", ["auto", "white", "black", "random"])
@pytest.mark.parametrize("field", FIELDS)
def test_backgrounds(field: str, background: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pictures are transparent, the batch shows the background; validation has one that stays."""
    made = soft_trainee(field, f"data.background={background}", "mip.batch=500", "grid.samples=4096")
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
    made = soft_trainee(
        field, "data.background=random", scene=write_soft_scene(tmp_path / "s", 2, size=12, alpha=False)
    )
    made.step(Moment(0, 0.0))
    steps = made.batch()["rgb"] * 255
    assert (steps - steps.round()).abs().max() < 1e-3
    assert not made._random


@pytest.mark.parametrize("field", FIELDS)
def test_the_weights_of_pixels_count(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch half of which weighs nothing teaches what the other half teaches."""
    plain = TrainingPixels.at

    def weights(weigh: Callable[[torch.Tensor], torch.Tensor], spoil: bool) -> torch.Tensor:
        def at(self: TrainingPixels, index: torch.Tensor) -> object:
            rays, rgb, alpha = plain(self, index)
            rest = (torch.arange(len(index)) >= len(index) // 2)[:, None]
            return rays._replace(lossmult=weigh(rays.lossmult)), torch.where(rest & spoil, 1 - rgb, rgb), alpha

        made = soft_trainee(field, "data.background=white")
        with monkeypatch.context() as patch:
            patch.setattr(TrainingPixels, "at", at)
            made.step(Moment(0, 0.0))
        module: Any = made.state()["model" if field == "mip" else "field"]
        return torch.cat([p.detach().ravel() for p in module.parameters()])

    def first_half(given: torch.Tensor) -> torch.Tensor:
        return given * (torch.arange(len(given)) < len(given) // 2)[:, None]

    assert torch.equal(weights(first_half, False), weights(first_half, True))
    assert not torch.equal(weights(torch.clone, False), weights(torch.clone, True))


@pytest.mark.parametrize("field", FIELDS)
def test_reduced_pictures_are_seen_with_wider_cones(field: str, tmp_path: Path) -> None:
    """Each level of a multi-scale scene has its radius and weight, and the field answers to the radius."""
    convert_scene(load_scene(write_soft_scene(tmp_path / "s", 2, size=16)), tmp_path / "multi", "multiscale")
    made = soft_trainee(field, scene=tmp_path / "multi")
    sizes = [16 * 16, 8 * 8, 4 * 4, 2 * 2]
    rays, *_ = made._pixels.at(torch.arange(sum(sizes)))
    start = 0
    for level, count in enumerate(sizes):
        some = slice(start, start + count)
        torch.testing.assert_close(rays.radii[some], 2.0**level * rays.radii[:1].expand(count, 1))
        assert (rays.lossmult[some] == 4**level).all()
        start += count
    for step in range(3):
        made.step(Moment(step, 0.0))
    renderer = MipRenderer(made._model.module) if isinstance(made, MipTrainee) else GridRenderer(made._field)
    here = Rays(*(values[: sizes[0]] for values in rays))
    seen, wide = renderer.render(here), renderer.render(here._replace(radii=8 * here.radii))
    assert (seen.rgb - wide.rgb).abs().max() > 1e-5
