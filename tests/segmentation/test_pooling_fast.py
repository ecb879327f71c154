"""The compiled RoIAlign against torchvision's operator."""

from __future__ import annotations

import pytest
import torch

from anyview.segmentation.network.pooling import STRIDES, _pool, levels, pool, ready
from anyview.segmentation.network.pooling_fast import pool_fast, pools_here

MAPS = [torch.randn((2, 32, 64 // k, 96 // k), generator=torch.Generator().manual_seed(k)) for k in (1, 2, 4, 8)]


def regions() -> torch.Tensor:
    """Of all levels and both images, 256 by 384 pixels; some reach beyond them, lie outside or have next to no area."""
    g = torch.Generator().manual_seed(0)
    corner = torch.rand((200, 2), generator=g) * torch.tensor([384.0, 256]) - 20
    side = torch.rand((200, 2), generator=g) ** 3 * 500
    odd = torch.tensor(
        [[0, -90, -90, -40, -40.0], [1, 50, 50, 50, 50], [0, 383.5, 255.5, 384, 256], [1, 500, 9, 700, 99]]
    )
    image = torch.arange(200.0)[:, None] % 2
    return torch.cat([torch.cat([image, corner, corner + side], 1), odd])


@pytest.mark.parametrize("side", [7, 14])
def test_float32(side: int) -> None:
    found = pool_fast(MAPS, STRIDES, regions(), levels(regions()), side)
    wanted = _pool(MAPS, regions(), side)
    assert len(set(levels(regions()).tolist())) == 4
    assert found.is_contiguous(memory_format=torch.channels_last)
    # both are 2e-5 from float64, by the rounding of places, on maps whose neighbours differ by several deviations
    assert (found - wanted).abs().max() < 5e-5
    assert (found[-4] == 0).all()
    assert (found[-1] == 0).all()


def test_bfloat16_is_rounded_once() -> None:
    halves = [m.bfloat16() for m in MAPS]
    found = pool(halves, regions(), 7)
    assert found.dtype == torch.bfloat16
    wanted = _pool([m.float() for m in halves], regions(), 7)
    assert ((found.float() - wanted).abs() <= wanted.abs() * 2**-8 + 5e-5).all()


def test_what_the_kernel_does_not_do_goes_the_other_way() -> None:
    assert pools_here(MAPS)
    assert not pools_here([m[:, :5] for m in MAPS])
    assert not pools_here([m.double() for m in MAPS])
    assert [m.dtype for m in ready([m[:, :5].bfloat16() for m in MAPS])] == [torch.float32] * 4
    assert pool(MAPS, torch.zeros(0, 5), 14).shape == (0, 32, 14, 14)


def test_maps_of_any_layout() -> None:
    strange = [m.transpose(2, 3).contiguous().transpose(2, 3) for m in MAPS]
    assert torch.equal(pool(strange, regions(), 7), pool(ready(MAPS), regions(), 7))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_gradients(kind: torch.dtype) -> None:
    given = torch.randn((204, 32, 7, 7), generator=torch.Generator().manual_seed(1)).to(kind)
    found, wanted = ([m.to(kind).float().detach().clone().requires_grad_() for m in MAPS] for _ in range(2))
    pool([m.to(kind) for m in found], regions(), 7).backward(given)
    _pool(wanted, regions(), 7).backward(given.float())
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        # sums of some thousand products in another order; bfloat16 is rounded once, at the end
        assert (ours.grad - theirs.grad).abs().max() < (
            5e-5 if kind == torch.float32 else 2**-8
        ) * theirs.grad.abs().max()
