"""Targets that would give wrong or infinite losses are refused by name."""

from __future__ import annotations

import pytest
import torch

from anyview.errors import OptionError
from anyview.segmentation.network.targets import check_targets, pick, resized
from mask_rcnn_pair import targets

SIZES = [(20, 30), (40, 50)]


def good() -> list[dict[str, torch.Tensor]]:
    return targets(SIZES, 0, [2, 3])


def test_good_ones_pass() -> None:
    check_targets(good(), SIZES, 5)
    check_targets(targets(SIZES, 0, [0, 1]), SIZES, 5)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "boxes",
            [[5.0, 5, 9, 9], [5, 5, 5, 9], [0, 0, 1, 1]],
            r"box 1 has no area in targets\[1\]: .*5\.0, 5\.0, 5\.0, 9\.0",
        ),
        ("boxes", [[5.0, 5, 9, 4], [5, 5, 6, 9], [0, 0, 1, 1]], "box 0 has no area"),
        ("boxes", [[5.0, 5, 9, 8], [5, 5, 6, 9], [0, 0, float("nan"), 1]], "box 2 has no area"),
        ("boxes", [[5.0, 5, 9, 8], [5, 5, 6, 9], [0, 0, float("inf"), 1]], "box 2 has no area"),
        ("boxes", [[5.0, 5, 9]] * 3, r"boxes have the wrong shape in targets\[1\]: expected \(3, 4\), found \(3, 3\)"),
        ("boxes", [[5, 5, 9, 9]] * 3, "boxes have the wrong type.*expected floats, found torch.int64"),
        ("labels", [1, 0, 2], r"label 1 is not one .*expected 1 to 4 \(0 is the background\), found 0"),
        ("labels", [1, 2, 5], "label 2 is not one of the model's classes"),
        ("labels", [1, 2], "labels have the wrong shape"),
        ("labels", [1.0, 2, 3], "labels have the wrong type"),
        ("iscrowd", [0, 1], "iscrowd have the wrong shape"),
    ],
)
def test_bad_values(key: str, value: list[object], message: str) -> None:
    bad = good()
    bad[1][key] = torch.tensor(value)
    with pytest.raises(OptionError, match=message):
        check_targets(bad, SIZES, 5)


def test_bad_masks_and_missing_entries() -> None:
    with pytest.raises(OptionError, match="images and targets differ in number: expected 2, found 1"):
        check_targets(good()[:1], SIZES, 5)
    bad = good()
    bad[0]["masks"] = bad[0]["masks"][:, 1:]
    with pytest.raises(OptionError, match=r"masks have the wrong shape in targets\[0\]"):
        check_targets(bad, SIZES, 5)
    bad[0]["masks"] = torch.zeros(2, 20, 30)
    with pytest.raises(OptionError, match="masks have the wrong type"):
        check_targets(bad, SIZES, 5)
    del bad[0]["masks"], bad[0]["labels"]
    with pytest.raises(OptionError, match=r"a target lacks tensors in targets\[0\]: expected labels, masks"):
        check_targets(bad, SIZES, 5)


def test_crowds_are_no_objects() -> None:
    (target,) = targets([(20, 30)], 1, [4])
    target["iscrowd"] = torch.tensor([0, 1, 0, 1])
    truth = resized(target, (20, 30), (40, 90))
    assert torch.equal(truth.labels, target["labels"][[0, 2]])
    torch.testing.assert_close(truth.crowds, target["boxes"][[1, 3]] * torch.tensor([3.0, 2, 3, 2]))
    assert truth.masks.shape == (2, 40, 90)


def test_picking_by_image_and_index() -> None:
    truth = [
        resized(t, size, size) for t, size in zip(targets(SIZES + SIZES, 2, [2, 0, 3, 1]), SIZES + SIZES, strict=True)
    ]
    found = pick([t.boxes for t in truth], torch.tensor([0, 2, 2, 3]), torch.tensor([1, 0, 2, 0]))
    assert torch.equal(found, torch.stack([truth[0].boxes[1], truth[2].boxes[0], truth[2].boxes[2], truth[3].boxes[0]]))
