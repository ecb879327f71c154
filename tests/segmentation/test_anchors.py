"""Both layouts in numbers, and torchvision's generator."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from anyview.errors import OptionError
from anyview.segmentation import MaskRCNN, generate_base_anchors
from anyview.segmentation.network.anchors import check_anchors, grid_anchors
from anyview.segmentation.options import NINE_ANCHORS, AnchorOptions, MaskRCNNOptions

MAPS = [(200, 272), (100, 136), (50, 68), (25, 34), (13, 17)]
IMAGE = (800, 1088)


def test_base_anchors_of_nine_at_a_place() -> None:
    assert generate_base_anchors((16, 32, 64), (0.5, 1, 2)).tolist() == [
        [-11, -6, 11, 6],
        [-23, -11, 23, 11],
        [-45, -23, 45, 23],
        [-8, -8, 8, 8],
        [-16, -16, 16, 16],
        [-32, -32, 32, 32],
        [-6, -11, 6, 11],
        [-11, -23, 11, 23],
        [-23, -45, 23, 45],
    ]


@pytest.mark.parametrize(
    ("options", "counts", "total"),
    [
        (AnchorOptions(), [163200, 40800, 10200, 2550, 663], 217413),
        (NINE_ANCHORS, [489600, 122400, 30600, 7650, 1989], 652239),
    ],
)
def test_grids(options: AnchorOptions, counts: list[int], total: int) -> None:
    levels = grid_anchors(options, MAPS, IMAGE, torch.device("cpu"))
    assert [len(level) for level in levels] == counts
    assert sum(counts) == total
    theirs = AnchorGenerator(options.sizes, options.ratios)
    images = ImageList(torch.zeros(1, 3, *IMAGE), [IMAGE])
    (wanted,) = theirs(images, [torch.zeros(1, 1, *size) for size in MAPS])
    assert torch.equal(torch.cat(levels), wanted)


def test_the_first_level_of_nine_is_the_base_in_the_corner() -> None:
    levels = grid_anchors(NINE_ANCHORS, MAPS, IMAGE, torch.device("cpu"))
    assert torch.equal(levels[0][:9], generate_base_anchors((16, 32, 64), (0.5, 1, 2)))
    assert torch.equal(levels[2][9:18] - levels[2][:9], torch.tensor([16.0, 0, 16, 0]).expand(9, 4))
    assert torch.equal(levels[2][9 * 68 : 9 * 69] - levels[2][:9], torch.tensor([0.0, 16, 0, 16]).expand(9, 4))


def test_a_model_with_nine_anchors_has_nine_outputs_at_a_place() -> None:
    with torch.device("meta"):
        model = MaskRCNN(MaskRCNNOptions(body="resnet18", anchors=NINE_ANCHORS))
    assert model.rpn.head.cls_logits.out_channels == 9
    assert model.rpn.head.bbox_pred.out_channels == 36


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            AnchorOptions(sizes=((32,), (64,))),
            "anchors do not fit .* in anchors.sizes: expected 5 tuples",
        ),
        (AnchorOptions(ratios=((0.5,),)), "anchors do not fit the feature maps in anchors.ratios"),
        (AnchorOptions(sizes=((32,), (64,), (), (256,), (512,))), "a level's anchors are empty or not positive"),
        (AnchorOptions(ratios=((1,), (-1,), (1,), (1,), (1,))), "a level's anchors are empty or not positive"),
        (AnchorOptions(sizes=((32, 40), (64,), (128,), (256,), (512,))), r"differ .* found \[6, 3, 3, 3, 3\]"),
    ],
)
def test_anchors_that_do_not_fit(options: AnchorOptions, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_anchors(options, 5)
