"""Against torchvision's models with the same weights: detections and masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from anyview.errors import OptionError
from anyview.segmentation.network.folding import fold_batch_norm
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.network.transform import prepare
from mask_rcnn_pair import own_pair, pair, pictures

KEYS = {"boxes", "labels", "scores", "masks"}


def assert_same(mine: Any, theirs: list[dict[str, Tensor]], tolerance: float = 1e-4) -> None:
    """Measured: boxes, labels and scores bit for bit, masks within 1.8e-7 (one class is computed, not all)."""
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert set(a) == KEYS
        assert torch.equal(a["labels"], b["labels"])
        for key in ("boxes", "scores", "masks"):
            assert a[key].dtype == b[key].dtype
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("18", [(96, 128)]),
        ("18", [(96, 128), (70, 101), (200, 90)]),
        ("18", [(50, 60), (50, 60)]),
        ("18 frozen", [(97, 331), (60, 60)]),
        ("v1", [(120, 90)]),
        ("v2", [(120, 90), (96, 110)]),
    ],
)
@torch.no_grad()
def test_detections(kind: str, sizes: list[tuple[int, int]]) -> None:
    theirs, mine = pair(kind)
    images = pictures(sizes, seed=len(sizes))
    wanted = theirs(images)
    assert all(len(w["boxes"]) >= 3 for w in wanted)
    assert_same(mine(images), wanted)


@torch.no_grad()
def test_a_batch_is_a_list() -> None:
    _, mine = pair("18")
    images = pictures([(96, 128)] * 2, seed=3)
    assert_same(mine(torch.stack(images)), mine(images), 0)


@torch.no_grad()
def test_no_objects() -> None:
    theirs, mine = own_pair("18")
    images = pictures([(96, 128), (128, 96)], seed=4)
    scores = torch.cat([found["scores"] for found in theirs(images)])
    for threshold, counts in ((float(scores[0]) - 1e-6, "some"), (1.0, "none")):
        theirs.roi_heads.score_thresh = threshold
        mine.roi_heads.options = replace(mine.roi_heads.options, score_threshold=threshold)
        wanted = theirs(images)
        assert ({len(w["boxes"]) for w in wanted} == {0}) == (counts == "none")
        assert_same(mine(images), wanted)
        assert mine(images)[0]["masks"].shape[1:] == (1, 96, 128)


@torch.no_grad()
def test_forms_of_masks_and_least_score() -> None:
    _, mine = pair("18")
    images = pictures([(96, 128), (128, 96)], seed=5)
    soft = mine.detect(images)
    least = float(soft[0]["scores"][2])
    counts = []
    for form in ("binary", "crops"):
        for found, whole in zip(mine.detect(images, least, form), soft, strict=True):
            chosen = whole["scores"] >= least
            counts.append((int(chosen.sum()), len(chosen)))
            assert torch.equal(found["boxes"], whole["boxes"][chosen])
            wanted = whole["masks"][chosen] >= 0.5
            if form == "binary":
                assert torch.equal(found["masks"], wanted)
            else:
                assert isinstance(found["masks"], MaskCrops)
                assert all(torch.equal(found["masks"].full(i), w[0]) for i, w in enumerate(wanted))
    assert counts[:2] == counts[2:]
    assert 0 < counts[0][0] < counts[0][1]


@pytest.mark.parametrize("kind", ["18", "18 frozen"])
@torch.no_grad()
def test_lower_precision_inside_is_float32_outside(kind: str) -> None:
    _, mine = pair(kind)
    images = pictures([(96, 128)], seed=6)
    batch = prepare(images, mine.options.images)
    wanted = mine.look(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = mine.look(batch)
        (objects,) = mine.detect(images)
        assert mine.backbone(batch.images)[0].dtype == torch.bfloat16
    for a, b in zip(found.objectness[:2], wanted.objectness[:2], strict=True):
        assert a.dtype == torch.float32
        assert (a - b).std() < 0.1 * b.std()  # measured: 0.038
    assert [objects[key].dtype for key in ("boxes", "scores", "masks")] == [torch.float32] * 3
    assert len(objects["boxes"]) >= 3


@pytest.mark.parametrize("kind", ["18", "v1", "v2"])
def test_state_dicts_go_both_ways(kind: str) -> None:
    """A pair has torchvision's weights: that was one way."""
    theirs, mine = pair(kind)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())


def test_bad_images_are_named() -> None:
    with pytest.raises(OptionError, match=r"wrong shape in images\[1\]"):
        pair("18")[1]([torch.zeros(3, 64, 64), torch.zeros(1, 64, 64)])


@torch.no_grad()
def test_memory_formats_and_folded_norms_together() -> None:
    """As for inference on processors."""
    _, mine = pair("18")
    quick = fold_batch_norm(mine).to(memory_format=torch.channels_last)
    images = torch.stack(pictures([(96, 128)], seed=6)).to(memory_format=torch.channels_last)
    for a, b in zip(quick.detect(images), mine.detect(images), strict=True):
        assert torch.equal(a["labels"], b["labels"])
        torch.testing.assert_close(a["boxes"], b["boxes"], rtol=0, atol=3e-3)  # measured: 7.6e-5 pixels
