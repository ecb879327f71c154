"""Offsets there and back, and torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image

from anyview.segmentation.network.boxes import DETECTION_WEIGHTS, PROPOSAL_WEIGHTS, at_least, clip, decode, encode

WEIGHTS = [PROPOSAL_WEIGHTS, DETECTION_WEIGHTS]


def random_boxes(count: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand((count, 2), generator=g) * 300
    return torch.cat([corner, corner + 1 + 200 * torch.rand((count, 2), generator=g)], 1)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_there_and_back(weights: tuple[float, float, float, float]) -> None:
    boxes, references = random_boxes(50, 0), random_boxes(50, 1)
    back = decode(encode(boxes, references, weights), references, weights)
    torch.testing.assert_close(back, boxes, rtol=0, atol=2e-4)  # measured: 6e-5 pixels of 500
    assert not encode(boxes, boxes, weights).any()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_torchvision(weights: tuple[float, float, float, float]) -> None:
    theirs = BoxCoder(weights)
    boxes, references = random_boxes(50, 2), random_boxes(50, 3)
    torch.testing.assert_close(encode(boxes, references, weights), theirs.encode_single(boxes, references))
    offsets = 3 * torch.randn((50, 4), generator=torch.Generator().manual_seed(4))
    found = decode(offsets, references, weights)
    torch.testing.assert_close(found, theirs.decode_single(offsets, references))


def test_growth_has_an_end() -> None:
    huge = decode(torch.tensor([[0, 0, 80.0, 80.0]]), torch.tensor([[0.0, 0, 16, 16]]), PROPOSAL_WEIGHTS)
    torch.testing.assert_close(huge[0, 2] - huge[0, 0], torch.tensor(1000.0))


def test_clip() -> None:
    boxes = torch.stack([random_boxes(20, 5) - 50, random_boxes(20, 6)])
    sizes = [(120, 200), (333, 90)]
    found = clip(boxes, torch.tensor(sizes, dtype=torch.float32))
    for box, size, one in zip(boxes, sizes, found, strict=True):
        assert torch.equal(one, clip_boxes_to_image(box, size))
    assert not torch.equal(found, boxes)


def test_small_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 0.5], [3, 3, 2, 9], [0, 0, float("nan"), 5]])
    assert at_least(boxes, 0.6).tolist() == [True, False, False, False]
