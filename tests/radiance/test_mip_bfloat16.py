"""mip-NeRF's network in bfloat16: no farther from double precision than PyTorch's autocast, in values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from anyview.jit import njit
from anyview.kernels.bfloat16 import narrow, widen
from anyview.radiance.cones import Gaussians
from anyview.radiance.encoding import integrated_encoding
from anyview.radiance.fields import mip_bfloat16, mip_fast
from anyview.radiance.fields.mip_mlp import MipMLP
from anyview.radiance.kernels import mip_rows
from anyview.radiance.options import MipOptions
from mip_network import SMALL, far, network, some


@njit
def _there(numbers: np.ndarray, halves: np.ndarray) -> None:
    for k in range(0, len(numbers), 16):
        narrow(numbers, k, halves, k)


@njit
def _back(halves: np.ndarray, numbers: np.ndarray) -> None:
    for k in range(0, len(numbers), 16):
        widen(halves, k, numbers, k)


def test_numbers_are_rounded_as_torch_does() -> None:
    g = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (1 << 16,), generator=g, dtype=torch.int64).to(torch.int32)
    x = bits.view(torch.float32).nan_to_num_(torch.nan, torch.inf, -torch.inf)  # the NaN that arithmetic gives
    x[:8] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1 + 2**-8, 1 + 3 * 2**-8, 3.4e38])
    halves, again = np.empty(len(x), np.uint16), np.empty(len(x), np.float32)
    _there(x.numpy(), halves)
    _back(halves, again)
    assert torch.equal(torch.from_numpy(again).isnan(), x.isnan())
    there = ~x.isnan()
    assert torch.equal(torch.from_numpy(again)[there], x.bfloat16().float()[there])


def gradients(mlp: MipMLP, found: tuple[Tensor, Tensor], weights: Tensor) -> list[Tensor]:
    density, rgb = found
    (torch.cat([density[..., None], rgb], -1) * weights).sum().backward()
    grown = [p.grad.clone() for p in mlp.parameters() if p.grad is not None]
    mlp.zero_grad()
    return [density.detach(), rgb.detach(), *grown]


def quick(mlp: MipMLP, gaussians: Gaussians, directions: Tensor) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        assert mip_fast.runs_here(mlp, gaussians.mean)
        return mip_fast.field(mlp, gaussians, directions)


@pytest.mark.parametrize(
    ("options", "rays", "intervals"),
    [
        (SMALL, 40, 128),  # two groups and a half
        (SMALL, 5, 3),
        (MipOptions(width=32, head_width=96, depth=6, skip=2, degrees=8), 2, 64),  # the encoding joins twice
        (MipOptions(width=96, head_width=32, depth=1, skip=9), 1, 64),
    ],
)
def test_no_farther_from_the_truth_than_autocast(options: MipOptions, rays: int, intervals: int) -> None:
    mlp, (gaussians, directions) = network(options), some(rays, intervals)
    weights = torch.randn(rays, intervals, 4, generator=torch.Generator().manual_seed(2))
    found = gradients(mlp, quick(mlp, gaussians, directions), weights)
    encoded = integrated_encoding(*(x.double() for x in gaussians), 0, options.degrees)
    with torch.autocast("cpu", torch.bfloat16):
        density, rgb = mlp(encoded.float(), directions)
    usual = gradients(mlp, (density.float(), rgb.float()), weights)
    mlp.double()
    truth = gradients(mlp, mlp(encoded, directions.double()), weights.double())
    assert len(found) == len(usual) == len(truth)
    for ours, theirs, exact in zip(found, usual, truth, strict=True):
        assert ours.dtype == torch.float32
        assert far(ours, exact) < max(1.4 * far(theirs, exact), 1e-2)  # measured: 1.22; gradients are up to 0.2 off


def test_samples_next_to_no_gradient_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, (gaussians, directions) = network(SMALL), some(40, 128)
    weights = torch.randn(40, 128, 4, generator=torch.Generator().manual_seed(4))
    weights[torch.rand(40, 128, generator=torch.Generator().manual_seed(5)) < 0.7] *= 1e-9
    weights[2] = 0
    found = gradients(mlp, quick(mlp, gaussians, directions), weights)
    monkeypatch.setattr(mip_bfloat16, "telling", lambda _: None)
    whole = gradients(mlp, quick(mlp, gaussians, directions), weights)
    assert all(far(a, b) < 5e-3 for a, b in zip(found[2:], whole[2:], strict=True))
    assert not torch.equal(found[2], whole[2])  # it was another way
    monkeypatch.undo()
    none = gradients(mlp, quick(mlp, gaussians, directions), 0 * weights)
    assert all((x == 0).all() for x in none[2:])


def test_threads_and_gradients_do_not_change_values() -> None:
    mlp, (gaussians, directions) = network(SMALL), some(80, 64)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(gradients(mlp, quick(mlp, gaussians, directions), torch.ones(80, 64, 4)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    with torch.no_grad():
        assert torch.equal(quick(mlp, gaussians, directions)[0], found[0][0])


def test_memory_that_was_used_before_and_none_where_no_gradient_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, (gaussians, directions) = network(SMALL), some(40, 64)
    first = gradients(mlp, quick(mlp, gaussians, directions), torch.ones(40, 64, 4))
    again = gradients(mlp, quick(mlp, gaussians, directions), torch.ones(40, 64, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    monkeypatch.setattr(mip_bfloat16, "taken", None)  # would be called
    with torch.no_grad():
        assert torch.equal(quick(mlp, gaussians, directions)[0], first[0])


def test_threads_are_given_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(mip_rows, "answers", full)
    before = torch.get_num_threads()
    with pytest.raises(MemoryError):
        quick(network(SMALL), *some(40, 128))
    assert torch.get_num_threads() == before


def test_what_is_not_a_number_stays_so() -> None:
    mlp, (gaussians, directions) = network(SMALL), some(2, 64)
    gaussians.mean[1, 5, 2] = torch.nan
    density, _ = quick(mlp, gaussians, directions)
    bad = torch.isnan(density)
    assert bad[1, 5]
    assert bad.sum() == 1


def test_a_picture_has_one_backward_pass() -> None:
    density, _ = quick(network(SMALL), *some(1, 64))
    density.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="render it again"):
        density.sum().backward()
