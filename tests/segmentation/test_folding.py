"""Folded norms: the same function."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anyview.segmentation.folding import fold_batch_norm
from anyview.segmentation.layers import FrozenBatchNorm
from mask_rcnn_pair import pair, pictures


@pytest.mark.parametrize("kind", ["18", "18 frozen", "v2"])
@torch.no_grad()
def test_equal_results(kind: str) -> None:
    _, model = pair(kind)
    folded = fold_batch_norm(model)
    norms = nn.BatchNorm2d | FrozenBatchNorm
    assert any(isinstance(m, norms) for m in model.modules())
    assert not any(isinstance(m, norms) for m in folded.modules())
    images = torch.stack(pictures([(96, 128)] * 2, 0))
    for a, b in zip(folded.backbone(images), model.backbone(images), strict=True):
        torch.testing.assert_close(a / b.std(), b / b.std(), rtol=0, atol=2e-5)  # measured: TODO
    for a, b in zip(folded.detect(images), model.detect(images), strict=True):
        assert len(b["boxes"]) >= 3
        assert torch.equal(a["labels"], b["labels"])
        torch.testing.assert_close(a["boxes"], b["boxes"], rtol=0, atol=1e-2)  # measured: TODO pixels
        torch.testing.assert_close(a["scores"], b["scores"], rtol=0, atol=1e-4)  # measured: TODO
