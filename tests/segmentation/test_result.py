"""Results: their choice, their forms, and the way back from a turned picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anyview.errors import OptionError
from anyview.formats.coco import result_dicts
from anyview.formats.coco_masks import decode_mask, encode_crop, encode_mask
from anyview.formats.images import read_rgb
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.orientation import as_stored
from anyview.segmentation.result import Result, result_of

CLASSES = Classes(("background", "cup", "", "dog"), (-1, 7, -1, 40))


def result() -> Result:
    """A cup, a dog over its lower corner, another cup; 20x30 pixels."""
    corners = [(2, 3), (7, 9), (0, 25)]
    crops = [torch.ones((8, 9), dtype=torch.bool), torch.eye(6).bool(), torch.ones((20, 5), dtype=torch.bool)]
    rows = zip(corners, crops, strict=True)
    boxes = torch.tensor([[left, top, left + c.shape[1], top + c.shape[0]] for (top, left), c in rows])
    labels, scores = torch.tensor([1, 3, 1]), torch.tensor([0.9, 0.8, 0.3])
    return Result("a.png", CLASSES, boxes.float(), labels, scores, MaskCrops(crops, corners, (20, 30)))


def whole_masks() -> np.ndarray:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:10, 3:12] = True
    masks[1, range(7, 13), range(9, 15)] = True
    masks[2, :, 25:] = True
    return masks


def test_masks() -> None:
    masks = whole_masks()
    assert np.array_equal(result().masks(), masks)
    assert np.array_equal(result().union(), masks.any(0))
    assert np.array_equal(result().union(keep=["dog"]), masks[1])
    assert np.array_equal(result().union(keep=[]), np.zeros((20, 30), bool))
    numbers = np.where(masks[0], 1, np.where(masks[1], 2, np.where(masks[2], 3, 0)))
    assert np.array_equal(result().numbers(), numbers)


def test_select() -> None:
    assert result().names == ["cup", "dog", "cup"]
    assert result().select(["cup"]).scores.tolist() == pytest.approx([0.9, 0.3])
    assert result().select(["cup"], 0.5).scores.tolist() == pytest.approx([0.9])
    assert np.array_equal(result().select(["cup"]).masks(), whole_masks()[[0, 2]])
    assert len(result().select(min_score=0.95)) == 0
    with pytest.raises(OptionError, match="class that the model does not know: expected one of cup, dog, found cat"):
        result().select(["cat"])


def test_to_coco() -> None:
    found = result().coco_results(5)
    assert json.loads(json.dumps(result().to_coco(5))) == result_dicts(found)
    assert [(r.image_id, r.category_id) for r in found] == [(5, 7), (5, 40), (5, 7)]
    assert [r.box for r in found] == [(3, 2, 9, 8), (9, 7, 6, 6), (25, 0, 5, 20)]
    for r, mask in zip(found, whole_masks(), strict=True):
        assert r.mask == encode_mask(mask)


def test_labels_that_nothing_has_are_left_out() -> None:
    whole = result()
    found = {"boxes": whole.boxes, "labels": torch.tensor([2, 3, 1]), "scores": whole.scores, "masks": whole.crops}
    made = result_of(found, "a.png", CLASSES)
    assert made.names == ["dog", "cup"]
    assert np.array_equal(made.masks(), whole_masks()[1:])
    assert [r.category_id for r in made.coco_results(0)] == [40, 7]


@given(st.data())
def test_run_lengths_of_a_crop_are_those_of_the_mask(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    top, left = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    rows, columns = data.draw(st.integers(0, height - top)), data.draw(st.integers(0, width - left))
    crop = np.random.default_rng(data.draw(st.integers(0, 99))).random((rows, columns)) < data.draw(st.floats(0, 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + rows, left : left + columns] = crop
    rle = encode_crop(crop, (top, left), (height, width))
    assert rle == encode_mask(mask)
    assert np.array_equal(decode_mask(rle), mask)


def test_supervision_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.segmentation.result.find_spec", lambda name: None)
    with pytest.raises(OptionError, match="the package supervision is not installed"):
        result().to_supervision()


def test_to_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(Detections=lambda **given: given, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "supervision", stand_in)
    given = result().to_supervision()
    assert set(given) == {"xyxy", "mask", "confidence", "class_id", "data"}
    assert given["xyxy"].tolist() == result().boxes.tolist()
    assert np.array_equal(given["mask"], whole_masks())
    assert given["data"]["class_name"].tolist() == ["cup", "dog", "cup"]


def test_to_the_real_supervision() -> None:
    supervision = pytest.importorskip("supervision")
    found = result().to_supervision()
    assert isinstance(found, supervision.Detections)
    assert len(found) == 3
    assert np.array_equal(found.mask, whole_masks())
    assert found.xyxy.tolist() == result().boxes.tolist()
    assert found[found.confidence > 0.5].data["class_name"].tolist() == ["cup", "dog"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_back_to_stored_pixels(tmp_path: Path, orientation: int) -> None:
    """A picture of an F in a corner, turned by EXIF as Pillow does it."""
    stored = np.zeros((40, 30, 3), np.uint8)
    stored[4:17, 5:8] = stored[4:7, 5:13] = stored[9:12, 5:11] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "f.png", exif=exif)
    upright = read_rgb(tmp_path / "f.png", upright=True)[:, :, 0] > 0
    ys, xs = np.nonzero(upright)
    top, left, bottom, right = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
    crop = torch.from_numpy(upright[top:bottom, left:right].copy())
    boxes = torch.tensor([[left, top, right, bottom]], dtype=torch.float32)
    seen = Result(
        "f.png", CLASSES, boxes, torch.tensor([1]), torch.tensor([1.0]),
        MaskCrops([crop], [(int(top), int(left))], (upright.shape[0], upright.shape[1])),
    )  # fmt: skip
    found = as_stored(seen, orientation)
    assert np.array_equal(found.union(), stored[:, :, 0] > 0)
    assert found.boxes.tolist() == [[5, 4, 13, 17]]
