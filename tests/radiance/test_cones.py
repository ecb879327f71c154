"""The closed forms of frustums and cylinders against uniform points inside them, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.radiance.cones import (
    Moments,
    cylinder_moments,
    frustum_moments,
    interval_gaussians,
    lift,
)

COUNT = 400_000


def uniform_in_frustum(t0: float, t1: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    """(COUNT, 3) points, z along the axis: a slice's area grows with t squared."""
    t = np.cbrt(rng.uniform(t0**3, t1**3, COUNT))
    angle, r = rng.uniform(0, 2 * np.pi, COUNT), radius * t * np.sqrt(rng.uniform(0, 1, COUNT))
    return np.stack([r * np.cos(angle), r * np.sin(angle), t], 1)


@pytest.mark.parametrize(("t0", "t1", "radius"), [(2.0, 2.1, 0.002), (0.1, 3.0, 0.5), (1.0, 6.0, 0.1), (0.0, 1.0, 1.0)])
def test_frustum_moments_are_those_of_points_in_it(t0: float, t1: float, radius: float) -> None:
    points = uniform_in_frustum(t0, t1, radius, np.random.default_rng(0))
    found = frustum_moments(*(torch.tensor([[v]], dtype=torch.float64) for v in (t0, t1, radius)))
    t_mean, t_var, r_var = (float(v) for v in found)
    assert t_mean == pytest.approx(points[:, 2].mean(), rel=3e-3)  # 400,000 points: 0.002 of the deviations
    assert t_var == pytest.approx(points[:, 2].var(), rel=1e-2)
    assert r_var == pytest.approx(points[:, 0].var(), rel=1e-2)
    assert r_var == pytest.approx(points[:, 1].var(), rel=1e-2)


def test_cylinder_moments_are_those_of_points_in_it() -> None:
    rng = np.random.default_rng(0)
    t, angle, r = rng.uniform(1, 3, COUNT), rng.uniform(0, 2 * np.pi, COUNT), 0.3 * np.sqrt(rng.uniform(0, 1, COUNT))
    one = [torch.tensor([[v]], dtype=torch.float64) for v in (1.0, 3.0, 0.3)]
    t_mean, t_var, r_var = (float(v) for v in cylinder_moments(*one))
    assert t_mean == pytest.approx(t.mean(), rel=3e-3)
    assert t_var == pytest.approx(t.var(), rel=1e-2)
    assert r_var == pytest.approx((r * np.cos(angle)).var(), rel=1e-2)


def test_short_intervals_far_away_keep_their_digits_in_float32() -> None:
    """The textbook form subtracts fifth powers: at this distance nothing of it would be left."""
    t0 = torch.linspace(2, 100, 50)[:, None]
    exact = frustum_moments(t0.double(), t0.double() + 2.0**-7, torch.full_like(t0, 1e-3).double())
    single = frustum_moments(t0, t0 + 2.0**-7, torch.full_like(t0, 1e-3))
    for name in ("t_mean", "t_var", "r_var"):
        relative = ((getattr(single, name) - getattr(exact, name)) / getattr(exact, name)).abs().max()
        assert relative < 2e-4, name  # float32 posts 1/128 apart at 100 differ by 0.1 % of nothing; measured 1e-6


def full_covariance(directions: torch.Tensor, moments: Moments) -> torch.Tensor:
    """(B, S, 3, 3), what `lift` gives the diagonal of: t_var d d^T + r_var (I - d d^T / |d|^2), equation 16."""
    outer = directions[:, :, None] * directions[:, None, :]
    across = torch.eye(3, dtype=directions.dtype) - outer / (directions**2).sum(-1)[:, None, None]
    return moments.t_var[..., None, None] * outer[:, None] + moments.r_var[..., None, None] * across[:, None]


def test_the_covariance_is_that_of_points_in_the_world() -> None:
    rng = np.random.default_rng(1)
    direction = np.array([0.4, -0.7, 1.3])  # not a unit vector: t is in its lengths
    axis = direction / np.linalg.norm(direction)
    side = np.cross(axis, [1.0, 0, 0])
    side /= np.linalg.norm(side)
    local = uniform_in_frustum(1.0, 2.0, 0.3, rng)
    world = local[:, :1] * side + local[:, 1:2] * np.cross(axis, side) + local[:, 2:] * direction
    d = torch.tensor(direction)[None]
    moments = frustum_moments(*(torch.tensor([[v]], dtype=torch.float64) for v in (1.0, 2.0, 0.3)))
    covariance = full_covariance(d, moments)[0, 0].numpy()
    assert np.allclose(covariance, np.cov(world.T), atol=0.01 * covariance.max())
    found = lift(torch.zeros(1, 3, dtype=torch.float64), d, moments)
    assert np.allclose(found.mean[0, 0], world.mean(0), atol=0.005)
    assert np.allclose(found.variance[0, 0], np.diag(covariance), rtol=1e-12)


def random_rays(count: int = 20) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    origins, directions = (torch.randn(count, 3, generator=g, dtype=torch.float64) for _ in range(2))
    t = torch.rand(count, 9, generator=g, dtype=torch.float64).cumsum(-1) + 0.5
    return t, origins, directions, torch.rand(count, 1, generator=g, dtype=torch.float64) * 0.1


@pytest.mark.parametrize("shape", ["cone", "cylinder"])
def test_a_larger_world_is_the_same_world(shape: str) -> None:
    t, origins, directions, radii = random_rays()
    one = interval_gaussians(t, origins, directions, radii, shape)
    other = interval_gaussians(t, 7 * origins, 7 * directions, 7 * radii, shape)  # t counts directions
    assert torch.allclose(other.mean, 7 * one.mean, rtol=1e-12)
    assert torch.allclose(other.variance, 49 * one.variance, rtol=1e-12)


@pytest.mark.parametrize("shape", ["cone", "cylinder"])
def test_a_turned_world_is_the_same_world(shape: str) -> None:
    """A quarter turn exchanges axes, and with them the diagonal's entries; any turn keeps the trace."""
    t, origins, directions, radii = random_rays()
    one = interval_gaussians(t, origins, directions, radii, shape)
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    other = interval_gaussians(t, origins @ quarter.T, directions @ quarter.T, radii, shape)
    assert torch.allclose(other.mean, one.mean @ quarter.T, rtol=1e-12)
    assert torch.allclose(other.variance, one.variance @ quarter.abs().T, rtol=1e-12)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    other = interval_gaussians(t, origins @ turn.T, directions @ turn.T, radii, shape)
    assert torch.allclose(other.variance.sum(-1), one.variance.sum(-1), rtol=1e-12)


def test_the_same_cone_however_long_its_direction_is() -> None:
    t, origins, directions, radii = random_rays()
    one = interval_gaussians(t, origins, directions, radii)
    other = interval_gaussians(t / 3, origins, 3 * directions, 3 * radii)
    assert torch.allclose(other.mean, one.mean, rtol=1e-12)
    assert torch.allclose(other.variance, one.variance, rtol=1e-11)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="ray shape 'line': expected one of cone, cylinder"):
        interval_gaussians(*random_rays(), shape="line")
