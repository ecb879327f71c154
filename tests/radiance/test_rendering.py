"""Compositing against closed forms and a walk along one ray."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.radiance.rendering import composite, compositing_weights


def medium(rays: int = 10, intervals: int = 12) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    t = 1 + torch.rand(rays, intervals + 1, generator=g, dtype=torch.float64).cumsum(-1)
    density = torch.rand(rays, intervals, generator=g, dtype=torch.float64) * 2
    return torch.rand(rays, intervals, 3, generator=g), density, t, torch.randn(rays, 3, generator=g).double()


def test_weights_are_a_walk_along_the_ray() -> None:
    _, density, t, directions = medium()
    found = compositing_weights(density, t, directions).numpy()
    density, t = density.numpy(), t.numpy()
    for i, row in enumerate(found):
        light, length = 1.0, np.linalg.norm(directions[i])
        for j, weight in enumerate(row):
            stays = 1 - np.exp(-density[i, j] * (t[i, j + 1] - t[i, j]) * length)
            assert weight == pytest.approx(light * float(stays), abs=1e-12)
            light *= 1 - float(stays)
        assert row.sum() == pytest.approx(1 - light, abs=1e-12)


def test_an_even_fog() -> None:
    """Opacity 1 - exp(-density length) however it is cut; the mean depth of an endless fog is 1 / density."""
    direction = torch.tensor([[0.0, 3.0, 4.0]])
    for intervals in (1, 7, 1000):
        t = torch.linspace(0, 2, intervals + 1)[None]
        found = composite(torch.ones(1, intervals, 3), torch.full((1, intervals), 0.1), t, direction)
        assert float(found.opacity) == pytest.approx(1 - np.exp(-0.1 * 2 * 5), rel=1e-4)
    t = torch.linspace(0, 40, 4001)[None]
    found = composite(torch.ones(1, 4000, 3), torch.ones(1, 4000), t, torch.tensor([[0.0, 0, 1]]))
    assert float(found.depth) == pytest.approx(1, rel=1e-3)


def test_depth_is_that_of_what_is_there_and_none_where_nothing_is() -> None:
    t = torch.linspace(2, 6, 129)[None].expand(3, 129)
    density = torch.zeros(3, 128)
    density[0, 64] = 1e9  # opaque
    density[1, 64] = 5.0  # half seen through: depth is still that of the slab
    found = composite(torch.full((3, 128, 3), 0.25), density, t, torch.tensor([[0.0, 0, 1]]).expand(3, 3), 1.0)
    middle = (t[0, 64] + t[0, 65]) / 2
    assert found.depth[:2].tolist() == pytest.approx([float(middle)] * 2, abs=1e-5)
    assert found.depth[2] == 0
    assert 0.1 < found.opacity[1] < 0.9
    assert found.rgb[0].tolist() == pytest.approx([0.25] * 3)
    assert found.rgb[2].tolist() == [1, 1, 1]
    assert float(found.rgb[1, 0]) == pytest.approx(0.25 * float(found.opacity[1]) + 1 - float(found.opacity[1]))


def test_gradients_and_half_precision() -> None:
    rgb, density, t, directions = medium(3, 5)
    density.requires_grad_()
    assert torch.autograd.gradcheck(lambda d: compositing_weights(d, t, directions), density)
    found = composite(rgb.bfloat16(), density.bfloat16(), t.float(), directions.float())
    assert found.rgb.dtype == found.weights.dtype == torch.float32
