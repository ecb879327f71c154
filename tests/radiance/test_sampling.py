"""Sampling along rays against loops over single rays, and what the samples must have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.radiance.sampling import blurred, even_posts, resample


def histogram(rays: int = 30, intervals: int = 16, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    t = 2 + torch.rand(rays, intervals + 1, generator=g, dtype=torch.float64).cumsum(-1)
    return t, torch.rand(rays, intervals, generator=g, dtype=torch.float64) ** 4


def test_even_posts() -> None:
    near, far = torch.full((5, 1), 2.0), torch.full((5, 1), 6.0)
    t = even_posts(near, far, 4)
    assert t[0].tolist() == [2, 3, 4, 5, 6]
    many = torch.cat([even_posts(near, far, 4, torch.Generator().manual_seed(s)) for s in range(400)])
    assert (many.diff(dim=-1) > 0).all()
    low, high = torch.tensor([2.0, 2.5, 3.5, 4.5, 5.5]), torch.tensor([2.5, 3.5, 4.5, 5.5, 6.0])
    assert ((many >= low) & (many <= high)).all()
    assert torch.allclose(many.mean(0), (low + high) / 2, atol=0.03)  # 2000 draws: 0.0065
    assert torch.allclose(many.amax(0), high, atol=0.01)


def test_blurred_is_its_plain_twin() -> None:
    _, weights = histogram()
    for row, found in zip(weights.numpy(), blurred(weights, 0.01).numpy(), strict=True):
        edged = [row[0], *row, row[-1]]
        wanted = [(max(edged[i - 1 : i + 1]) + max(edged[i : i + 2])) / 2 + 0.01 for i in range(1, len(row) + 1)]
        assert np.allclose(found, wanted, rtol=1e-12)


def inverse(t: np.ndarray, weights: np.ndarray, u: float) -> float:
    """Where the distribution of a histogram reaches u, found by walking along it."""
    share = weights / weights.sum()
    reached = 0.0
    for low, high, w in zip(t[:-1], t[1:], share, strict=True):
        if u < reached + w:
            return float(low + (u - reached) / w * (high - low))
        reached += w
    return float(t[-1])


def test_resample_is_the_inverse_distribution() -> None:
    t, weights = histogram()
    found = resample(t, weights, 33).numpy()
    steps = np.linspace(0, 1 - np.finfo(np.float64).eps, 33)
    wanted = [[inverse(a, b, u) for u in steps] for a, b in zip(t.numpy(), weights.numpy(), strict=True)]
    assert np.allclose(found, wanted, atol=1e-9)


def test_random_places_follow_the_histogram() -> None:
    t, weights = histogram(rays=1)
    g = torch.Generator().manual_seed(0)
    places = torch.cat([resample(t, weights, 129, g) for _ in range(2000)])
    assert (places.diff(dim=-1) >= 0).all()
    counts = torch.histogram(places.ravel(), t[0])[0]
    assert torch.allclose(counts / counts.sum(), (weights / weights.sum())[0], atol=2e-3)  # measured 2e-4


@pytest.mark.parametrize("random", [False, True])
def test_degenerate_histograms(random: bool) -> None:
    """No weight at all is as good as even weight; a single weight takes everything; nothing leaves the ray."""
    t = torch.linspace(2, 6, 9).expand(2, 9).contiguous()
    weights = torch.zeros(2, 8)
    weights[1, 3] = 1
    found = resample(t, weights, 65, torch.Generator().manual_seed(0) if random else None)
    assert torch.isfinite(found).all()
    assert ((found >= 2) & (found <= 6)).all()
    even = torch.linspace(2, 6, 65)
    assert torch.allclose(found[0], even, atol=4 / 64 + 1e-4)
    assert ((found[1] >= t[1, 3] - 1e-6) & (found[1] <= t[1, 4] + 1e-6)).all()


def test_no_gradient_goes_through_and_seeds_decide() -> None:
    t, weights = histogram()
    weights.requires_grad_()
    assert not resample(t, blurred(weights, 0.01), 17).requires_grad
    one, same, other = (resample(t, weights, 17, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
