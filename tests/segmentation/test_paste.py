"""Masks in the image, against torchvision's, pixel by pixel."""

from __future__ import annotations

import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from anyview.segmentation.network.paste import crop_masks, paste_binary, paste_masks

SIZE = (60, 83)
BOXES = torch.tensor(
    [
        [10.0, 10, 40, 30],
        [0.3, 0.2, 82.9, 59.9],
        [70.5, 50.2, 83, 60],
        [0, 0, 2.5, 1.1],
        [20.7, 8.9, 20.9, 55],
        [-15, -20, 5, 9],
        [75, 40, 140, 90],
        [82.99, 59.99, 83, 60],
    ]
)
MASKS = torch.rand((len(BOXES), 28, 28), generator=torch.Generator().manual_seed(0))


def test_torchvision() -> None:
    wanted = paste_masks_in_image(MASKS[:, None], BOXES, SIZE)[:, 0]
    assert torch.equal(paste_masks(MASKS, BOXES, SIZE), wanted)
    assert (wanted.flatten(1).amax(1) > 0)[:7].all()


def test_small_forms_are_the_threshold_of_the_large_one() -> None:
    wanted = paste_masks(MASKS, BOXES, SIZE) >= 0.5
    assert 0 < wanted.float().mean() < 0.5
    assert torch.equal(paste_binary(MASKS, BOXES, SIZE), wanted)
    crops = crop_masks(MASKS, BOXES, SIZE)
    assert len(crops) == len(BOXES)
    assert torch.equal(torch.stack([crops.full(i) for i in range(len(crops))]), wanted)
    assert crops.crops[0].numel() < 34 * 24  # the box and its rim


def test_a_box_outside_the_image() -> None:
    box = torch.tensor([[-50.0, -50, -30, -30], [200, 200, 220, 230]])
    assert not paste_masks(MASKS[:2], box, SIZE).any()
    assert all(crop.numel() == 0 for crop in crop_masks(MASKS[:2], box, SIZE).crops)


def test_no_masks() -> None:
    none, no_box = torch.zeros(0, 28, 28), torch.zeros(0, 4)
    assert paste_masks(none, no_box, SIZE).shape == (0, *SIZE)
    assert paste_binary(none, no_box, SIZE).dtype == torch.bool
    assert len(crop_masks(none, no_box, SIZE)) == 0
