"""A constant norm in its convolution, and regions filled up: the same function, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anyview.segmentation.network.layers import FrozenBatchNorm, conv_block, normed, region_block


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("last", [False, True])
def test_a_constant_norm_scales_the_weights(dtype: torch.dtype, last: bool) -> None:
    g = torch.Generator().manual_seed(0)
    conv, norm = nn.Conv2d(5, 7, 3, 2, 1, bias=False).to(dtype), FrozenBatchNorm(7).double()
    for name, buffer in norm.named_buffers():
        buffer.copy_(torch.rand(buffer.shape, generator=g) + (0.5 if name.endswith("var") else 0))
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn((2, 5, 9, 12), generator=g).to(dtype).contiguous(memory_format=form).requires_grad_()
    wanted = norm(conv(x).double())
    found = normed(x, conv, norm if dtype == torch.float64 else norm.to(dtype))
    # measured: 4.4e-16 in float64, 0.008 in bfloat16
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-14 if dtype == torch.float64 else 0.05)
    if dtype == torch.float64:
        given = torch.randn(found.shape, generator=g, dtype=dtype)
        for a, b in zip(
            torch.autograd.grad(found, (x, conv.weight), given),
            torch.autograd.grad(wanted, (x, conv.weight), given),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)  # measured: 7.1e-15


@pytest.mark.parametrize("regions", [1, 5, 16, 150])
def test_filling_up_regions_changes_nothing(regions: int) -> None:
    g = torch.Generator().manual_seed(8)
    x = torch.randn((regions, 4, 7, 7), generator=g, dtype=torch.float64)
    filled = region_block(4, 6, nn.BatchNorm2d).double()
    plain = conv_block(4, 6, 3, nn.BatchNorm2d).double()
    plain.load_state_dict(filled.state_dict())
    seen: list[int] = []
    filled[0].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    slopes = []
    for block in (filled, plain):
        y = block(x)
        slopes.append([y, *torch.autograd.grad(y.square().sum(), list(block.parameters())), block[1].running_var])
    assert seen == [{1: 16, 5: 16, 16: 16, 150: 160}[regions]]
    for a, b in zip(*slopes, strict=True):
        assert (a - b).abs().max() < 1e-11 * b.abs().max().clamp_min(1)
