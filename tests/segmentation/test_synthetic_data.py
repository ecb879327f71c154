"""Rendered data: classes of the things, masks of what they show, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.errors import OptionError
from anyview.formats.coco_masks import decode_mask
from anyview.scene.things import CLASSES, render_things
from anyview.segmentation.data.items import InstanceData, mask_areas, mask_boxes
from anyview.segmentation.data.synthetic_data import SyntheticInstances


def test_items_are_the_pictures_of_things() -> None:
    data = SyntheticInstances(6, (64, 48), 2, least=20)
    assert isinstance(data, InstanceData)
    assert (len(data), list(data.sizes)) == (6, [(48, 64)] * 6)
    assert data.classes.names == ("background", *CLASSES)
    for index in range(6):
        image, target = data[index]
        made = render_things(2, index, (64, 48))
        np.testing.assert_array_equal(image.permute(1, 2, 0), made.rgb)
        shown = [n for n in range(1, len(made.kinds) + 1) if (made.instance == n).sum() >= 20]
        assert target["labels"].tolist() == [made.kinds[n - 1] + 1 for n in shown]
        for mask, number in zip(target["masks"], shown, strict=True):
            np.testing.assert_array_equal(mask, made.instance == number)
        assert torch.equal(target["boxes"], mask_boxes(target["masks"]))
        assert torch.equal(target["area"], mask_areas(target["masks"]))
        again = data[index]  # from memory
        assert torch.equal(again[0], image)
        assert all(torch.equal(again[1][name], value) for name, value in target.items())


def test_seeds_have_no_picture_in_common_and_memory_is_bounded() -> None:
    one, two = SyntheticInstances(3, (40, 40), 0, keep=1), SyntheticInstances(3, (40, 40), 1)
    pictures = {data[i][0].numpy().tobytes() for data in (one, two) for i in range(3)}
    assert len(pictures) == 6
    assert len(one._kept) == 1
    assert one[2][0].numpy().tobytes() in pictures


def test_ground_truth() -> None:
    data = SyntheticInstances(3, (64, 48), 7)
    truth = data.ground_truth()
    assert [c.name for c in truth.categories] == list(CLASSES)
    assert [(i.width, i.height) for i in truth.images] == [(64, 48)] * 3
    annotations = iter(truth.annotations)
    for index in range(3):
        target = data[index][1]
        for label, mask in zip(target["labels"].tolist(), target["masks"], strict=True):
            annotation = next(annotations)
            assert (annotation.image_id, annotation.category_id) == (index, label)
            np.testing.assert_array_equal(decode_mask(annotation.segmentation), mask)  # type: ignore[arg-type]
    assert [a.id for a in truth.annotations] == list(range(1, len(truth.annotations) + 1))


def test_impossible_data() -> None:
    with pytest.raises(OptionError, match=r"no such images: .* found 0 of 160x160, seed 0, up to 7 things"):
        SyntheticInstances(0)
    with pytest.raises(IndexError):
        SyntheticInstances(2)[2]
