"""Targets: boxes and areas of masks, things that vanish, counted oddities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import masks_to_boxes

from anyview.segmentation.data.items import keep, make_target, mask_areas, mask_boxes, remasked
from anyview.segmentation.data.oddities import Oddities
from little_coco import Notes


def some_masks(seed: int, count: int, height: int, width: int, share: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, height, width, generator=generator) < share).byte()


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(0, 4), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.01, 0.3, 1]))
def test_boxes_are_torchvisions_with_the_last_pixel_inside(
    seed: int, count: int, height: int, width: int, share: float
) -> None:
    masks = some_masks(seed, count, height, width, share)
    boxes, areas = mask_boxes(masks), mask_areas(masks)
    some = masks.bool().flatten(1).any(1)
    expected = masks_to_boxes(masks[some]) + torch.tensor([0.0, 0, 1, 1])
    assert torch.equal(boxes[some], expected)
    assert not boxes[~some].any()
    assert torch.equal(areas, masks.sum((1, 2)).float())


def test_things_without_a_pixel_are_gone() -> None:
    masks = torch.zeros((3, 4, 5), dtype=torch.uint8)
    masks[0, 1, 2] = masks[2, 3, 4] = 1
    target = make_target(masks, torch.tensor([5, 6, 7]), 9)
    assert target["labels"].tolist() == [5, 7]
    assert target["boxes"].tolist() == [[2, 1, 3, 2], [4, 3, 5, 4]]
    masks = target["masks"] * torch.tensor([0, 1], dtype=torch.uint8)[:, None, None]
    after = remasked(target, masks, target["boxes"])
    assert {k: len(v) for k, v in after.items() if k != "image_id"} == dict.fromkeys(
        ("boxes", "labels", "masks", "iscrowd", "area"), 1
    )
    assert int(after["image_id"]) == 9
    assert keep(after, torch.tensor([], dtype=torch.int64))["masks"].shape == (0, 4, 5)


def test_oddities_are_told_by_kind() -> None:
    odd, notes = Oddities(), Notes()
    for i in range(3):
        odd.add("spots", f"{i}.png")
    odd.add("scratches", "x.png")
    odd.tell(notes, "a.json")
    assert notes.lines == ["a.json: spots: 3, the first in 0.png", "a.json: scratches: 1, the first in x.png"]


@pytest.mark.parametrize("height", [0, 3])
def test_no_pixels_at_all(height: int) -> None:
    assert np.array_equal(mask_boxes(torch.zeros((2, height, 0), dtype=torch.uint8)), np.zeros((2, 4)))
