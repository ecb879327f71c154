"""The picture of each validation: truth, render and depth of one view, reduced; seeing it changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from anyview.radiance.data import shots_of
from anyview.radiance.evaluate import view_figures
from anyview.radiance.pictures import read_picture
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Seen
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.validation_picture import ValidationPicture
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.training.trainee import Moment
from soft_run import small_options, soft_scene, soft_trainee

START = Moment(0, 0.0)
FIELDS = ("mip", "grid")
TRAINEES: dict[str, type[MipTrainee] | type[GridTrainee]] = {"mip": MipTrainee, "grid": GridTrainee}


class Ramp:
    """Sees brightness and depth that grow with each ray; every fourth ray meets next to nothing."""

    rays_at_once = 1 << 10

    def __init__(self) -> None:
        self.rays: Rays | None = None

    def render(self, rays: Rays) -> Seen:
        self.rays = rays
        share = torch.linspace(0, 1, len(rays.origins))
        opacity = torch.where(torch.arange(len(share)) % 4 == 3, 0.4, 1.0)
        return Seen((1.2 * share - 0.1)[:, None].expand(-1, 3), 2 + share, opacity)

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return points[:, 0]


def test_truth_render_and_depth_side_by_side() -> None:
    (view, *_) = field_views(load_scene(soft_scene()), small_options().data).val
    renderer = Ramp()
    picture, none = ValidationPicture(view, 8, background=1.0).of(renderer)
    assert none is None  # smaller than a window
    assert picture.shape == (8, 24, 3)
    truth, seen, depth = np.split(picture, 3, axis=1)
    means = read_picture(view).over(1.0).reshape(8, 2, 8, 2, 3).mean((1, 3))
    assert np.abs(truth - 255 * means).max() <= 0.51
    share = np.linspace(0, 1, 64).reshape(8, 8, 1)
    assert np.abs(seen - 255 * (1.2 * share - 0.1).clip(0, 1)).max() <= 0.51
    assert (depth[:, 3::4] == 0).all()
    assert (depth[:, :3].max(axis=2) > 0).all()
    assert depth[0, 0, 0] > depth[0, 0, 2]  # near is red
    assert depth[7, 6, 2] > depth[7, 6, 1]
    # each small pixel is seen through a cone as wide as its four
    (shot,) = shots_of([view])
    assert renderer.rays is not None
    wide = renderer.rays.radii
    torch.testing.assert_close(wide, torch.full_like(wide, 2 * 2 / 12**0.5 / shot.camera.fy))


def test_small_views_are_not_enlarged() -> None:
    (view, *_) = field_views(load_scene(soft_scene()), small_options().data).val
    assert ValidationPicture(view, 200).of(Ramp()).picture.shape == (16, 48, 3)
    assert ValidationPicture(view, 200, downscale=2).of(Ramp()).picture.shape == (8, 24, 3)


@pytest.mark.parametrize("field", FIELDS)
def test_looking_changes_nothing(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither random sequences nor what the next step learns."""
    monkeypatch.setattr(TRAINEES[field], "_picture_width", 8)
    made, other = soft_trainee(field), soft_trainee(field)
    made.step(START)
    other.step(START)
    states = made._generator.get_state(), torch.get_rng_state()
    picture = made.picture(Moment(1, 0.2))
    assert picture is not None
    assert picture.shape == (8, 24, 3)
    assert torch.equal(states[0], made._generator.get_state())
    assert torch.equal(states[1], torch.get_rng_state())
    again = made.picture(Moment(1, 0.2))
    assert again is not None
    assert np.array_equal(picture, again)
    losses = [float(one.step(Moment(1, 0.2))["loss"]) for one in (made, other)]
    assert losses[0] == losses[1]


def test_similarity_is_that_of_an_evaluation() -> None:
    (view, *_) = field_views(load_scene(soft_scene()), small_options().data).val
    found = ValidationPicture(view, 16).of(Ramp()).ssim
    truth = read_picture(view).over(1.0)
    seen = (1.2 * np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16, 1) - 0.1).clip(0, 1)
    assert found == pytest.approx(view_figures(truth, np.broadcast_to(seen, (16, 16, 3)))["ssim"], abs=1e-5)


@pytest.mark.parametrize("field", FIELDS)
def test_a_validation_tells_the_similarity_of_its_picture_and_renders_it_once(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, drawn = soft_trainee(field), []
    of = ValidationPicture.of
    monkeypatch.setattr(ValidationPicture, "of", lambda self, by: drawn.append(of(self, by)) or drawn[-1])
    figures = made.validate(START)
    assert set(figures) == {"psnr", "picture_ssim"}
    assert figures["picture_ssim"] == drawn[0].ssim
    assert -1 <= figures["picture_ssim"] < 0.99
    assert made.picture(START) is drawn[0].picture
    assert len(drawn) == 1
    made.step(START)
    later = made.picture(Moment(1, 0.2))  # of the weights of now
    assert len(drawn) == 2
    assert later is drawn[1].picture


@pytest.mark.parametrize("field", FIELDS)
def test_without_validation_views_there_is_no_picture(field: str) -> None:
    options = small_options(f"field={field}")
    none = TRAINEES[field](options, replace(field_views(load_scene(soft_scene()), options.data), val=()))
    none.setup(Fabric(accelerator="cpu", devices=1))
    assert none.picture(START) is None


@pytest.mark.parametrize("field", FIELDS)
def test_what_is_worked_on_are_rays(field: str) -> None:
    assert TRAINEES[field].items == "rays"
