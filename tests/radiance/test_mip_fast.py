"""The compiled mip-NeRF network against its readable twin in double precision: values, gradients, and when it runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from anyview.radiance.encoding import integrated_encoding
from anyview.radiance.fields import mip_fast, mip_float32
from anyview.radiance.fields.mip import MipNeRF, MipOptions, mip_loss
from anyview.radiance.kernels import gradients
from anyview.radiance.kernels.encoding import PANEL, encode
from anyview.radiance.rays import Rays
from mip_network import SMALL, far, network, some


@pytest.mark.parametrize("degrees", [1, 16])
def test_a_panel_is_encoded(degrees: int) -> None:
    gaussians, _ = some(1, 50)
    mean, variance = (x[0].numpy() for x in gaussians)
    variance[3] = 0
    out = np.full(5 + 6 * degrees * PANEL + 7, 9, np.float32)
    encode(mean, variance, 10, 40, degrees, out, 5)
    wanted = integrated_encoding(*(torch.from_numpy(x[10:]).double() for x in (mean, variance)), 0, degrees)
    found = out[5:-7].reshape(-1, PANEL)
    assert np.abs(found[:, :40] - wanted.numpy().T).max() < 6e-7  # measured: 2.4e-7
    assert (found[:, 40:] == 0).all()
    assert (out[:5] == 9).all()
    assert (out[-7:] == 9).all()


@pytest.mark.parametrize(
    ("options", "rays", "intervals"),
    [
        (SMALL, 3, 128),  # two whole panels per ray
        (SMALL, 2, 70),  # a whole and a broken one
        (SMALL, 5, 3),
        (MipOptions(width=32, head_width=96, depth=6, skip=2), 2, 64),
        (MipOptions(width=96, head_width=32, depth=1, skip=9), 1, 64),
        (MipOptions(width=32, head_width=32, degrees=4), 2, 64),
        (MipOptions(width=32, head_width=32, degrees=12), 2, 64),
    ],
)
def test_values_and_gradients_are_the_twins(options: MipOptions, rays: int, intervals: int) -> None:
    mlp, (gaussians, directions) = network(options), some(rays, intervals)
    weights = torch.randn(rays, intervals, 4, generator=torch.Generator().manual_seed(2))
    assert mip_fast.runs_here(mlp, gaussians.mean)

    def backward(density: Tensor, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        (torch.cat([density[..., None], rgb], -1) * weights).sum().backward()
        gradients = [p.grad for p in mlp.parameters() if p.grad is not None]
        mlp.zero_grad()
        return [density.detach(), rgb.detach()], gradients

    found = backward(*mip_fast.field(mlp, gaussians, directions))
    mlp.double()
    encoded = integrated_encoding(*(x.double() for x in gaussians), 0, options.degrees)
    wanted = backward(*mlp(encoded, directions.double()))
    assert [len(x) for x in found] == [len(x) for x in wanted]
    assert all(far(a, b) < 2e-6 for a, b in zip(found[0], wanted[0], strict=True))  # measured: 8e-7
    assert all(far(a, b) < 1e-5 for a, b in zip(found[1], wanted[1], strict=True))  # measured: 6e-7


@pytest.mark.parametrize("intervals", [64, 70])
def test_samples_next_to_no_gradient_are_spared(intervals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, (gaussians, directions) = network(SMALL), some(9, intervals)
    g = torch.Generator().manual_seed(4)
    weights = torch.randn(9, intervals, 4, generator=g)
    weights[torch.rand(9, intervals, generator=g) < 0.7] *= 1e-9
    weights[2] = 0  # a whole ray
    worked, real = [], gradients.backward

    def backward(d_out: np.ndarray, per_ray: int, samples: np.ndarray, *rest: object) -> None:
        worked.append(int((samples >= 0).sum()))
        real(d_out, per_ray, samples, *rest)

    monkeypatch.setattr(gradients, "backward", backward)

    def gradient(density: Tensor, rgb: Tensor, by: Tensor) -> list[Tensor]:
        mlp.zero_grad()
        (torch.cat([density[..., None], rgb], -1) * by).sum().backward()
        return [p.grad.clone() for p in mlp.parameters() if p.grad is not None]

    found = gradient(*mip_fast.field(mlp, gaussians, directions), weights)
    assert sum(worked) == (weights.abs().sum(-1) > 1e-6).sum() < 9 * intervals / 3
    none = gradient(*mip_fast.field(mlp, gaussians, directions), 0 * weights)
    assert all((x == 0).all() for x in none)
    mlp.double()
    encoded = integrated_encoding(*(x.double() for x in gaussians), 0, 16)
    wanted = gradient(*mlp(encoded, directions.double()), weights.double())
    assert all(far(a, b) < 1e-5 for a, b in zip(found, wanted, strict=True))  # measured: 6e-7


def some_rays(count: int = 20) -> Rays:
    g, one = torch.Generator().manual_seed(3), torch.ones(count, 1)
    towards = torch.randn(count, 3, generator=g)
    return Rays(-4 * towards / towards.norm(dim=-1, keepdim=True), towards, 1e-3 * one, 2 * one, 6 * one, one)


def step(model: MipNeRF) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients."""
    rays = some_rays()
    model.zero_grad()
    loss = mip_loss(model(rays, torch.Generator().manual_seed(0)), rays.origins.sigmoid(), rays.lossmult)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_a_training_step_is_the_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = MipNeRF(MipOptions(intervals=32, width=64, head_width=32))
    loss, gradients = step(model)
    again = step(model)  # in memory that was used before
    assert torch.equal(loss, again[0])
    assert all(torch.equal(a, b) for a, b in zip(gradients, again[1], strict=True))
    monkeypatch.setattr(mip_fast, "runs_here", lambda *_: False)
    wanted, twins = step(model)
    assert not torch.equal(gradients[0], twins[0])  # it was another way
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert all(far(a, b) < 2e-2 for a, b in zip(gradients, twins, strict=True))  # measured: 2e-3, float32 phases


def test_threads_and_gradients_do_not_change_values() -> None:
    mlp, (gaussians, directions) = network(SMALL), some(40, 64)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            density, _ = mip_fast.field(mlp, gaussians, directions)
            density.square().sum().backward()
            found.append([density.detach(), *(p.grad.clone() for p in mlp.trunk.parameters() if p.grad is not None)])
            mlp.zero_grad()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    with torch.no_grad():
        assert torch.equal(mip_fast.field(mlp, gaussians, directions)[0], found[0][0])


def test_what_is_not_a_number_stays_so() -> None:
    mlp, (gaussians, directions) = network(SMALL), some(2, 64)
    gaussians.mean[1, 5, 2] = torch.nan
    density, _ = mip_fast.field(mlp, gaussians, directions)
    bad = torch.isnan(density)
    assert bad[1, 5]
    assert bad.sum() == 1


def test_nothing_is_kept_where_no_gradient_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, (gaussians, directions) = network(SMALL), some(3, 64)
    wanted = mip_fast.field(mlp, gaussians, directions)[0]
    monkeypatch.setattr(mip_float32, "taken", None)  # would be called
    with torch.no_grad():
        assert torch.equal(mip_fast.field(mlp, gaussians, directions)[0], wanted)
    assert torch.equal(mip_fast.field(mlp.requires_grad_(False), gaussians, directions)[0], wanted)


def test_no_rays_and_gradients_without_bounds() -> None:
    mlp = network(SMALL)
    for bfloat16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            empty, _ = mip_fast.field(mlp, *some(0, 64))
            density, _ = mip_fast.field(mlp, *some(5, 64))
        empty.sum().backward()
        assert all((p.grad == 0).all() for p in mlp.parameters() if p.grad is not None)
        (density.sum() + torch.inf * density[2, 7]).backward()
        assert not mlp.density.weight.grad.isfinite().all()  # and not zero, as if there were nothing to learn
        mlp.zero_grad()


def test_a_picture_has_one_backward_pass() -> None:
    density, _ = mip_fast.field(network(SMALL), *some(1, 64))
    density.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="render it again"):
        density.sum().backward()


def test_other_networks_and_numbers_are_left_to_the_twin() -> None:
    places = torch.zeros(1, 1, 3)
    assert mip_fast.runs_here(network(SMALL), places)
    assert not mip_fast.runs_here(network(SMALL), places.clone().requires_grad_())
    assert not mip_fast.runs_here(network(SMALL).double(), places)
    assert not mip_fast.runs_here(network(SMALL), places.half())
    assert not mip_fast.runs_here(network(MipOptions(width=48, head_width=32)), places)
    assert not mip_fast.runs_here(network(MipOptions(width=32, head_width=32, depth=9)), places)  # joins the heads
    for degrees in (6, 10):  # 36 and 60 rows: no whole number of the kernels' strips
        assert not mip_fast.runs_here(network(MipOptions(width=32, head_width=32, degrees=degrees)), places)
    with torch.autocast("cpu", torch.float16):
        assert not mip_fast.runs_here(network(SMALL), places)
    with torch.autocast("cpu", torch.bfloat16):
        assert mip_fast.runs_here(network(SMALL), places)
        assert not mip_fast.runs_here(network(MipOptions(width=32, head_width=32, degrees=4)), places)
