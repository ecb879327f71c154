"""Sizes, padding and values, against torchvision's transform."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from anyview.errors import OptionError
from anyview.segmentation.network.targets import resized
from anyview.segmentation.network.transform import prepare, resized_size
from anyview.segmentation.options import ImageOptions
from mask_rcnn_pair import pictures, targets

OPTIONS = ImageOptions(min_size=(80,), max_size=120)
THEIRS = GeneralizedRCNNTransform(80, 120, list(OPTIONS.mean), list(OPTIONS.std)).eval()


@pytest.mark.parametrize("sizes", [[(64, 90)], [(64, 90), (64, 90)], [(64, 90), (33, 200), (120, 64), (64, 90)]])
def test_torchvision(sizes: list[tuple[int, int]]) -> None:
    images, truth = pictures(sizes, 0), targets(sizes, 1, [2] * len(sizes))
    wanted, their_truth = THEIRS(images, truth)
    batch = prepare(images, OPTIONS)
    assert batch.sizes == wanted.image_sizes
    assert batch.originals == sizes
    torch.testing.assert_close(batch.images, wanted.tensors, rtol=0, atol=1e-6)  # measured: equal
    assert all(side % 32 == 0 for side in batch.images.shape[-2:])
    for target, original, size, theirs in zip(truth, sizes, batch.sizes, their_truth, strict=True):
        mine = resized(target, original, size)
        assert torch.equal(mine.boxes, theirs["boxes"])
        assert torch.equal(mine.masks, theirs["masks"])
        assert 0 < mine.masks.float().mean() < 1


def test_a_batch_is_a_list() -> None:
    images = pictures([(64, 90)] * 3, 2)
    one, other = prepare(images, OPTIONS), prepare(torch.stack(images), OPTIONS)
    assert torch.equal(one.images, other.images)
    assert one.sizes == other.sizes


def test_sizes_are_drawn_for_training_only() -> None:
    options = ImageOptions(min_size=(60, 70, 80), max_size=500)
    images = pictures([(64, 90)] * 12, 3)
    drawn = prepare(images, options, True, torch.Generator().manual_seed(0)).sizes
    assert {height for height, _ in drawn} == {60, 70, 80}
    assert prepare(images, options, True, torch.Generator().manual_seed(0)).sizes == drawn
    assert {height for height, _ in prepare(images, options).sizes} == {80}


def test_extreme_shapes_keep_a_pixel() -> None:
    assert resized_size((1, 4000), 800, 1333) == (1, 1333)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there are no images"),
        (
            [torch.zeros(3, 4, 4), torch.zeros(4, 4)],
            r"wrong shape in images\[1\]: expected \(3, H, W\), found \(4, 4\)",
        ),
        ([torch.zeros(4, 8, 8)], r"expected \(3, H, W\), found \(4, 8, 8\)"),
        ([torch.zeros(3, 0, 8)], r"wrong shape"),
        (
            [torch.zeros(3, 4, 4, dtype=torch.uint8)],
            r"wrong type in images\[0\].*torch.uint8; divide 8-bit values by 255",
        ),
    ],
)
def test_what_is_no_image(images: list[torch.Tensor], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prepare(images, OPTIONS)
