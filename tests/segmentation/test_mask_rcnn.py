"""Against torchvision's models with the same weights: detections and masks, losses and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from anyview.segmentation import roi_heads, rpn
from mask_rcnn_pair import pair, pictures, targets

KEYS = {"boxes", "labels", "scores", "masks"}


def assert_same(mine: list[dict[str, Any]], theirs: list[dict[str, Tensor]], tolerance: float = 1e-4) -> None:
    """Measured: bit for bit, but for masks (6e-7: only one class's logits are computed, in another order)."""
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert set(a) == KEYS
        assert torch.equal(a["labels"], b["labels"])
        for key in ("boxes", "scores", "masks"):
            assert a[key].dtype == b[key].dtype
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=tolerance)


BATCHES = [[(96, 128)], [(96, 128), (70, 101), (200, 90)], [(50, 60), (50, 60)], [(97, 331)]]


@pytest.mark.parametrize("sizes", BATCHES)
@pytest.mark.parametrize("kind", ["18", "18 frozen"])
@torch.no_grad()
def test_detections(kind: str, sizes: list[tuple[int, int]]) -> None:
    theirs, mine = pair(kind)
    images = pictures(sizes, seed=len(sizes))
    wanted = theirs(images)
    assert all(len(w["boxes"]) >= 3 for w in wanted)
    assert_same(mine(images), wanted)


def first(positive: Tensor, negative: Tensor, count: int, share: float, generator: object = None) -> Tensor:
    """Instead of `sample`: the first ones."""
    chosen = positive & (positive.cumsum(1) <= int(count * share))
    return chosen | negative & (negative.cumsum(1) <= count - chosen.sum(1, keepdim=True))


def their_first(sampler: Any, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The same for torchvision."""
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for x in labels:
        positive, negative = x[None] >= 1, x[None] == 0
        chosen = first(positive, negative, sampler.batch_size_per_image, sampler.positive_fraction)
        for into, kind in zip(found, (positive, negative), strict=True):
            into.append((chosen & kind)[0].to(torch.uint8))
    return found


@pytest.fixture
def _first_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpn, "sample", first)
    monkeypatch.setattr(roi_heads, "sample", first)
    monkeypatch.setattr(BalancedPositiveNegativeSampler, "__call__", their_first)


@pytest.mark.usefixtures("_first_samples")
@pytest.mark.parametrize("counts", [[3, 1], [0, 2], [0, 0]])
def test_losses_and_gradients(counts: list[int]) -> None:
    theirs, mine = pair("18")
    sizes = [(96, 128), (110, 70)]
    images, truth = pictures(sizes, seed=5), targets(sizes, seed=6, counts=counts)
    theirs.train()
    mine.train()
    wanted = theirs(images, truth)
    found = mine(images, truth)
    assert isinstance(found, dict)
    assert set(found) == set(wanted)
    for key, loss in wanted.items():
        assert (loss > 1e-3) == (max(counts) > 0 or key in ("loss_objectness", "loss_classifier"))
        torch.testing.assert_close(found[key], loss, rtol=1e-4, atol=1e-6)  # measured: TODO
    sum(wanted.values()).backward()
    sum(found.values()).backward()
    other = dict(theirs.named_parameters())
    for name, parameter in mine.named_parameters():
        assert parameter.grad is not None
        gradient = torch.zeros_like(parameter) if other[name].grad is None else other[name].grad
        scale = float(gradient.abs().max()) + 1e-6
        torch.testing.assert_close(parameter.grad / scale, gradient / scale, rtol=0, atol=1e-3)  # measured: TODO
