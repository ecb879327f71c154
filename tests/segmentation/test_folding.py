"""Folded norms: the same function."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from anyview.segmentation.network.folding import fold_batch_norm
from anyview.segmentation.network.layers import FrozenBatchNorm
from mask_rcnn_pair import pair, pictures

NORMS = nn.BatchNorm2d | FrozenBatchNorm


@pytest.mark.parametrize("kind", ["18 frozen", "v2"])
@torch.no_grad()
def test_equal_features(kind: str) -> None:
    """In float64, so that nothing but the formula counts."""
    model = deepcopy(pair(kind)[1].backbone).double()
    folded = fold_batch_norm(model)
    assert any(isinstance(m, NORMS) for m in model.modules())
    assert not any(isinstance(m, NORMS) for m in folded.modules())
    images = torch.stack(pictures([(64, 96)] * 2, 0)).double()
    for a, b in zip(folded(images), model(images), strict=True):
        torch.testing.assert_close(a / b.std(), b / b.std(), rtol=0, atol=1e-10)  # measured: 2.5e-13


@torch.no_grad()
def test_equal_detections() -> None:
    _, model = pair("18")
    images = pictures([(96, 128)], 0)
    for a, b in zip(fold_batch_norm(model).detect(images), model.detect(images), strict=True):
        assert len(b["boxes"]) >= 3
        assert torch.equal(a["labels"], b["labels"])
        torch.testing.assert_close(a["boxes"], b["boxes"], rtol=0, atol=3e-3)  # measured: 2.7e-4 pixels
        torch.testing.assert_close(a["scores"], b["scores"], rtol=0, atol=5e-5)  # measured: 4.7e-6


@torch.no_grad()
def test_heads_are_folded_too() -> None:
    _, model = pair("v2")
    folded = fold_batch_norm(model)
    assert any(isinstance(m, NORMS) for m in model.roi_heads.modules())
    assert not any(isinstance(m, NORMS) for m in folded.modules())
    x = torch.randn((3, 256, 7, 7), generator=torch.Generator().manual_seed(0))
    found, wanted = (m.roi_heads.box_head.double()(x.double()) for m in (folded, deepcopy(model)))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.std()))  # measured: 5.7e-7
