"""Rays of constant radius, and NeRF's encoding of points: the whole model against its parts, and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anyview.radiance import MipNeRF
from anyview.radiance.cones import interval_gaussians
from anyview.radiance.evaluate import evaluate
from anyview.radiance.fields.mip import MipOptions
from anyview.radiance.rays import Rays
from anyview.radiance.run import open_run
from anyview.radiance.sampling import even_posts
from anyview.radiance.train import train_field
from soft_run import small_options, soft_scene

SMALL = {"intervals": 8, "degrees": 5, "depth": 3, "width": 32, "head_width": 16}


def some_rays(count: int = 6, radius: float = 0.2) -> Rays:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(count, 3, generator=generator)
    ones = torch.ones(count, 1)
    return Rays(-4 * directions, directions, radius * ones, 2 * ones, 6 * ones, ones)


def model(**values: object) -> MipNeRF:
    torch.manual_seed(0)
    return MipNeRF(MipOptions(**SMALL, **values))  # type: ignore[arg-type]


def encoded(made: MipNeRF, rays: Rays, monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, ...]]:
    """The Gaussians that the model looks at, both levels."""
    seen = []

    def noted(*values: object) -> object:
        seen.append(interval_gaussians(*values))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr("anyview.radiance.fields.mip.interval_gaussians", noted)
    made(rays)
    return seen


def test_a_cylinder_is_as_wide_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Across its axis the variance is r^2 / 4 (a disc's), whatever the depth; a cone's grows with depth."""
    rays = some_rays()
    found = encoded(model(ray_shape="cylinder"), rays, monkeypatch)
    assert len(found) == 2
    for mean, variance in found:
        d = rays.directions[:, None]
        axis = d / d.norm(dim=-1, keepdim=True)
        across = 0.2**2 / 4 * (1 - axis.square())  # diagonal of r^2/4 (I - d d' / |d|^2)
        along = variance - across
        assert (along > -1e-6).all()
        torch.testing.assert_close(along / d.square(), (along / d.square()).mean(-1, keepdim=True).expand_as(along),
                                   rtol=2e-3, atol=1e-5)  # fmt: skip
        assert mean.shape == (6, 8, 3)
    t = even_posts(rays.near, rays.far, 8)
    middle = (t[:, 1:] + t[:, :-1])[..., None] / 2
    torch.testing.assert_close(
        found[0][0], rays.origins[:, None] + middle * rays.directions[:, None], rtol=1e-5, atol=1e-5
    )
    cones = encoded(model(), rays, monkeypatch)[0]
    assert (cones[1].sum(-1).diff(dim=1) > 0).all()


def test_pictures_of_cones_and_cylinders_differ() -> None:
    cone, cylinder = model(), model(ray_shape="cylinder")
    cylinder.load_state_dict(cone.state_dict())
    assert (cone(some_rays())[1].rgb - cylinder(some_rays())[1].rgb).abs().max() > 1e-4


def test_points_are_encoded_without_their_variance() -> None:
    """As `disable_integration`: every factor exp(-variance / 2) is 1, so the radius tells nothing."""
    point = model(disable_integration=True, ray_shape="cylinder")
    wide, thin = point(some_rays())[0].rgb, point(some_rays(radius=1e-4))[0].rgb
    torch.testing.assert_close(wide, thin)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_cylinders_are_trained_rendered_and_scored(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    settings = ("mip.model.ray_shape=cylinder", "loop.steps=12", "loop.validate_every=6", f"loop.precision={precision}")
    result = train_field(soft_scene(), tmp_path / "run", small_options(*settings))
    run = open_run(tmp_path / "run")
    assert run.options.mip.model.ray_shape == "cylinder"
    figures = evaluate(run, "val")
    assert result.best is not None
    assert np.isfinite(figures.means()["psnr"])
    assert abs(figures.means()["psnr"] - result.best.value) < 3  # some pixels of every view, and all
