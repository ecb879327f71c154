"""Encodings against their definitions, and the integrated one against draws from the Gaussians."""

from __future__ import annotations

import numpy as np
import torch

from anyview.radiance.encoding import integrated_encoding, positional_encoding


def test_the_expectation_over_draws() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.3, -1.2, 2.0]), np.array([0.05, 0.3, 0.8])
    draws = rng.normal(mean, deviation, (500_000, 3))
    scales = 2.0 ** np.arange(6)[:, None]
    phase = (draws[:, None] * scales).reshape(len(draws), -1)
    wanted = np.concatenate([np.sin(phase).mean(0), np.cos(phase).mean(0)])
    found = integrated_encoding(torch.tensor(mean), torch.tensor(deviation**2), 0, 6).numpy()
    assert np.abs(found - wanted).max() < 0.005  # 500,000 draws: 0.001 to 0.0014 each


def test_the_papers_sizes_and_order() -> None:
    mean = torch.randn(4, 7, 3)
    assert integrated_encoding(mean, torch.ones_like(mean)).shape == (4, 7, 96)
    assert positional_encoding(mean).shape == (4, 7, 27)
    x = torch.tensor([0.1, 0.2, 0.3])
    found = positional_encoding(x, 0, 2)
    wanted = [*x, *torch.sin(x), *torch.sin(2 * x), *torch.cos(x), *torch.cos(2 * x)]
    assert torch.allclose(found, torch.stack(wanted), atol=1e-6)


def test_without_variance_it_is_the_plain_encoding() -> None:
    x = torch.randn(100, 3, dtype=torch.float64)
    plain = positional_encoding(x, 0, 16, identity=False)
    assert torch.allclose(integrated_encoding(x, torch.zeros_like(x)), plain, atol=1e-12)


def test_what_is_wider_than_the_period_fades() -> None:
    x = torch.ones(1, 3, dtype=torch.float64)
    found = integrated_encoding(x, torch.full_like(x, 0.01)).reshape(2, 16, 3)
    assert found[:, :2].abs().max() > 0.5
    assert found[:, 8:].abs().max() < 1e-100  # exp(-0.5 * 4^8 * 0.01)


def test_half_precision_keeps_its_phases() -> None:
    """Phases of degree 15 need all of float32: inputs in bfloat16 are encoded in float32."""
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16)
    found = integrated_encoding(x, torch.zeros_like(x))
    assert found.dtype == torch.float32
    assert torch.allclose(found, integrated_encoding(x.double(), torch.zeros(3).double()).float(), atol=2e-3)


def test_gradients_are_those_of_finite_differences() -> None:
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    variance = torch.rand(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, v: integrated_encoding(m, v, 0, 4), (x, variance))
