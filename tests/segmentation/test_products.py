"""A convolution as a product is the convolution, its gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from anyview.segmentation.network.layers import normed
from anyview.segmentation.network.products import convolve, suits


def pair(size: tuple[int, int], kernel: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(5)
    x, weight = (torch.randn(shape, generator=g, dtype=dtype) for shape in ((2, 6, *size), (5, 6, kernel, kernel)))
    return tuple(t.to(memory_format=torch.channels_last).requires_grad_() for t in (x, weight))  # type: ignore[return-value]


@pytest.mark.parametrize("size", [(5, 5), (6, 9), (1, 2)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1), (1, 2), (5, 1)])
def test_values_and_gradients(size: tuple[int, int], kernel: int, stride: int) -> None:
    x, weight = pair(size, kernel)
    ours, plain = convolve(x, weight, stride), functional.conv2d(x, weight, None, stride, kernel // 2)
    assert ours.shape == plain.shape
    assert (ours - plain).abs().max() < 1e-13
    slope = torch.randn(plain.shape, generator=torch.Generator().manual_seed(6), dtype=plain.dtype)
    gradients = (torch.autograd.grad(y, (x, weight), slope) for y in (ours, plain))
    for a, b in zip(*gradients, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() < 1e-13


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    x, weight = pair((5, 5), 3)
    convolve(x.detach(), weight).sum().backward()
    assert weight.grad is not None
    convolve(x, weight.detach()).sum().backward()
    assert x.grad is not None


def test_where_it_is_taken() -> None:
    deep, x = nn.Conv2d(256, 256, 3, padding=1, bias=False), torch.zeros(2, 256, 5, 5)
    assert not suits(x, deep)  # float32
    with torch.autocast("cpu", torch.bfloat16):
        assert suits(x, deep)
        assert not suits(torch.zeros(2, 256, 50, 50), deep)
        assert not suits(x, nn.Conv2d(64, 64, 3, padding=1, bias=False))
        with torch.no_grad():
            assert not suits(x, deep)


def test_in_a_block_bfloat16_is_as_near_to_float32_as_pytorchs() -> None:
    torch.manual_seed(7)
    conv, x = nn.Conv2d(256, 256, 3, 2, 1, bias=False), torch.randn(2, 256, 6, 6)
    conv = conv.to(memory_format=torch.channels_last)

    def learnt(block: bool) -> tuple[Tensor, Tensor]:
        y = normed(x, conv, nn.Identity()) if block else conv(x)
        (gradient,) = torch.autograd.grad(y.float().square().sum(), conv.weight)
        return y.detach().float(), gradient

    exact = learnt(False)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = learnt(True), learnt(False)
    for a, b, c in zip(ours, theirs, exact, strict=True):
        error, usual = ((v - c).norm() / c.norm() for v in (a, b))
        assert 0 < error < 1.2 * usual < 0.01
