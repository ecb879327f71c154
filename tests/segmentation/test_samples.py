"""Which of an image's objects teach the mask head."""

from __future__ import annotations

import pytest
import torch

from anyview.errors import OptionError
from anyview.segmentation.network.samples import spread_over
from anyview.segmentation.options import DetectionOptions, MaskRCNNOptions


def test_so_many_of_each_image_at_equal_distances() -> None:
    image = torch.tensor([0, 0, 2, 2, 2, 2, 2, 2, 2, 3])
    chosen = spread_over(image, 3)
    assert chosen.tolist() == [True, True, False, False, True, False, True, False, True, True]
    assert image[chosen].bincount().tolist() == [2, 0, 3, 1]


def test_all_where_there_is_no_limit_or_it_is_not_met() -> None:
    image = torch.tensor([0, 0, 1])
    assert spread_over(image, None).all()
    assert spread_over(image, 2).all()
    assert spread_over(image[:0], 2).shape == (0,)


def test_no_masks_at_all_is_refused() -> None:
    with pytest.raises(OptionError, match=r"model\.detections\.mask_samples: expected 1 or more, found 0"):
        MaskRCNNOptions(detections=DetectionOptions(mask_samples=0))
