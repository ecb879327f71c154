"""Packed convolutions: the same function as PyTorch's convolution, sum and ReLU."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from anyview.segmentation.network.folding import fold_batch_norm
from anyview.segmentation.network.packed import PackedConv, pack, packable
from mask_rcnn_pair import pair, pictures

DTYPES = [t for t in (torch.float32, torch.bfloat16) if packable(t)]
pytestmark = pytest.mark.skipif(not DTYPES, reason="PyTorch's operators for oneDNN are not there")


@torch.no_grad()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "stride", "inputs"), [(1, 1, 32), (3, 1, 32), (3, 2, 16), (1, 2, 32), (7, 2, 3)])
def test_sum_and_relu(dtype: torch.dtype, kernel: int, stride: int, inputs: int) -> None:
    g = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(inputs, 48, kernel, stride, kernel // 2)
    x = torch.randn((2, inputs, 13, 18), generator=g)  # channels first, as images come
    wanted = conv(x)
    beside = torch.randn(wanted.shape, generator=g)
    packed, allowed = PackedConv(conv.to(dtype)), 1e-5 if dtype == torch.float32 else 0.05
    into = beside.to(dtype).contiguous(memory_format=torch.channels_last)
    results: list[tuple[Tensor, Tensor]] = [
        (packed(x), wanted),
        (packed(x, rectify=True), wanted.relu()),
        (PackedConv(conv, rectify=True)(x), wanted.relu()),
        (packed(x, into.clone(memory_format=torch.preserve_format)), wanted + beside),
        (packed(x, into, rectify=True), (wanted + beside).relu()),
    ]
    for found, truth in results:
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.float(), truth, rtol=0, atol=allowed)  # measured: 1.7e-6 and 0.018


@torch.no_grad()
def test_a_backbone() -> None:
    """Every map, for two sizes of images, each asked for twice: what is overwritten belongs to nobody else."""
    folded = fold_batch_norm(pair("18 frozen")[1].backbone)
    packed = deepcopy(folded)
    pack(packed)
    assert not any(isinstance(m, nn.Conv2d | nn.ReLU) for m in packed.modules())
    for size in ((64, 96), (96, 64)):
        images = torch.stack(pictures([size] * 2, 0))
        before = images.clone()
        first, again, wanted = packed(images), packed(images), folded(images)
        assert torch.equal(images, before)
        for a, b, w in zip(first, again, wanted, strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a / w.std(), w / w.std(), rtol=0, atol=1e-4)  # measured: 1.1e-5
