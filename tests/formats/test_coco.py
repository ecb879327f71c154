"""COCO's JSON: what is read is what was written, and what is broken says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyview.errors import FormatError
from anyview.formats.coco import (
    CocoAnnotation,
    CocoCategory,
    CocoData,
    CocoImage,
    CocoResult,
    read_coco,
    write_coco,
    write_results,
)
from anyview.formats.coco_masks import RLE, decode_mask, encode_mask

MASK = np.zeros((6, 8), np.uint8)
MASK[1:4, 2:7] = 1


def content() -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a/b.jpg", "width": 8, "height": 6, "license": 3}],
        "categories": [{"id": 90, "name": "toothbrush", "supercategory": "indoor"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2.5, 3, 4], "area": 12.5, "iscrowd": 0,
             "segmentation": [[1, 2, 4, 2, 4, 6], [0, 0, 1, 0, 1, 1]]},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [0, 0, 8, 6], "area": 48, "iscrowd": 1,
             "segmentation": {"size": [6, 8], "counts": [3, 5, 40]}},
            {"id": 3, "image_id": 7, "category_id": 90,
             "segmentation": {"size": [6, 8], "counts": encode_mask(MASK).counts.decode()}},
            {"id": 4, "image_id": 7, "category_id": 90, "bbox": [0, 0, 8, 6], "segmentation": []},
        ],
    }  # fmt: skip


def save(folder: Path, value: Any) -> Path:
    path = folder / "instances.json"
    path.write_text(json.dumps(value))
    return path


def test_every_kind_of_mask_is_read(tmp_path: Path) -> None:
    data = read_coco(save(tmp_path, content()))
    assert data.images == (CocoImage(7, "a/b.jpg", 8, 6),)
    assert data.categories == (CocoCategory(90, "toothbrush", "indoor"), CocoCategory(3, "car"))
    polygons, crowd, packed, bare = data.annotations
    assert isinstance(polygons.segmentation, tuple)
    assert [p.tolist() for p in polygons.segmentation] == [[1, 2, 4, 2, 4, 6], [0, 0, 1, 0, 1, 1]]
    assert (polygons.box, polygons.area, polygons.crowd) == ((1, 2.5, 3, 4), 12.5, False)
    assert crowd.crowd
    assert isinstance(crowd.segmentation, RLE)
    assert np.flatnonzero(decode_mask(crowd.segmentation).T.reshape(-1)).tolist() == [3, 4, 5, 6, 7]
    assert isinstance(packed.segmentation, RLE)
    np.testing.assert_array_equal(decode_mask(packed.segmentation), MASK)
    assert (packed.box, packed.area) == (None, None)
    assert bare.segmentation is None


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    first = read_coco(save(tmp_path, content()))
    write_coco(tmp_path / "again.json", first)
    second = read_coco(tmp_path / "again.json")
    assert (second.images, second.categories) == (first.images, first.categories)
    for a, b in zip(first.annotations, second.annotations, strict=True):
        assert (a.id, a.image_id, a.category_id, a.box, a.area, a.crowd) == (
            b.id, b.image_id, b.category_id, b.box, b.area, b.crowd,
        )  # fmt: skip
        if isinstance(a.segmentation, tuple):
            assert isinstance(b.segmentation, tuple)
            assert [p.tolist() for p in a.segmentation] == [p.tolist() for p in b.segmentation]
        else:
            assert a.segmentation == b.segmentation


def test_cocos_own_evaluation_takes_what_is_written(tmp_path: Path) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    rle = encode_mask(MASK)
    truth = CocoAnnotation(1, 7, 3, (2, 1, 5, 3), rle, 15.0)
    write_coco(tmp_path / "a.json", CocoData((CocoImage(7, "a.jpg", 8, 6),), (truth,), (CocoCategory(3, "car"),)))
    write_results(tmp_path / "r.json", [CocoResult(7, 3, (2, 1, 5, 3), 0.9, rle), CocoResult(7, 3, (0, 0, 1, 1), 0.2)])
    given = json.loads((tmp_path / "r.json").read_text())
    assert "segmentation" not in given[1]
    shown = COCO(str(tmp_path / "a.json"))
    for kind, results in (("bbox", given), ("segm", given[:1])):
        evaluation = COCOeval_faster(shown, shown.loadRes(results), kind, print_function=lambda *_: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1)


def changed(kind: str, name: str, value: Any) -> dict[str, Any]:
    made = content()
    entry = made[kind][0]
    if value is KeyError:
        del entry[name]
    else:
        entry[name] = value
    return made


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "wrong JSON in .*: expected an object, found list"),
        ({"images": []}, "lists are missing in .*: expected annotations, categories"),
        (changed("images", "file_name", KeyError), r"image without `file_name` in .*\(image 0\)"),
        (changed("images", "width", "wide"), r"image that cannot be understood in .*: found 'wide' is no whole number"),
        (changed("images", "height", 0), r"cannot be understood in .*\(image 0\): found 8x0 pixels"),
        (changed("annotations", "image_id", None), "annotation that cannot be understood"),
        (changed("annotations", "category_id", KeyError), "annotation without `category_id`"),
        (changed("annotations", "bbox", [1, 2, 3]), r"annotation that cannot be understood in .*\(annotation 0\)"),
        (changed("annotations", "segmentation", [["a", 2]]), "annotation that cannot be understood"),
        (changed("annotations", "segmentation", {"counts": "abc"}), "annotation without `size`"),
        (changed("categories", "name", 5), r"category that cannot be understood in .*: found 5 is no text"),
        (changed("annotations", "id", 2), "two entries of one id among the annotation entries in .*: found id 2"),
        ({**content(), "images": [5]}, "image that cannot be understood"),
    ],
)
def test_broken_entries_are_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_coco(save(tmp_path, value))


def test_broken_json(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content())[:-9])
    with pytest.raises(FormatError, match=r"not JSON \(.*\) in .*instances.json"):
        read_coco(path)
    with pytest.raises(FormatError, match=r"cannot read in .*none\.json"):
        read_coco(tmp_path / "none.json")


def test_run_lengths_that_make_no_mask_are_kept_as_damage(tmp_path: Path) -> None:
    made = content()
    made["annotations"][1]["segmentation"]["counts"] = [3, 5, 4000]
    data = read_coco(save(tmp_path, made))
    assert data.annotations[1].segmentation is None
    assert "do not make up the mask" in data.annotations[1].damage
