"""Labelled images of COCO files: masks, boxes, labels, crowds, rotations, and everything that can be wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.errors import FormatError
from anyview.formats.coco import CocoResult, coco_dict, result_dicts, write_coco
from anyview.formats.coco_masks import decode_mask, encode_mask
from anyview.segmentation.data.coco_data import CocoInstances
from anyview.segmentation.data.items import InstanceData
from little_coco import SIZES, Notes, instances, rectangle, write_images

TINY = Path(__file__).parents[2] / ".." / "shared" / "data" / "coco_tiny"


def opened(folder: Path, content: dict[str, Any], **options: Any) -> tuple[CocoInstances, list[str]]:
    (folder / "a.json").write_text(json.dumps(content))
    if not (folder / "images").exists():
        write_images(folder / "images")
    notes = Notes()
    data = CocoInstances(folder / "a.json", [folder / "images"], progress=notes, **options)
    return data, notes.lines


def test_images_and_targets(tmp_path: Path) -> None:
    data, notes = opened(tmp_path, instances())
    assert isinstance(data, InstanceData)
    assert notes == []
    assert list(data.sizes) == [(h, w) for w, h in SIZES]
    image, target = data[0]
    stored = np.asarray(Image.open(tmp_path / "images" / "0.png"))
    np.testing.assert_array_equal(image.permute(1, 2, 0), stored)
    assert target["boxes"].tolist() == [[4, 5, 14, 17], [20, 2, 35, 22]]
    assert target["labels"].tolist() == [3, 1]  # categories 3, 17, 90 are labels 1, 2, 3
    assert target["area"].tolist() == [120, 300]
    assert target["iscrowd"].tolist() == [0, 0]
    assert int(target["image_id"]) == 11
    expected = np.zeros((2, 30, 40), np.uint8)
    expected[0, 5:17, 4:14] = 1
    expected[1, 2:22, 20:35] = 1
    np.testing.assert_array_equal(target["masks"], expected)
    kinds = {k: v.dtype for k, v in target.items()}
    assert kinds == {
        "boxes": torch.float32, "labels": torch.int64, "masks": torch.uint8, "iscrowd": torch.int64,
        "area": torch.float32, "image_id": torch.int64,
    }  # fmt: skip


def test_an_image_without_things(tmp_path: Path) -> None:
    data, _ = opened(tmp_path, instances())
    _, target = data[3]
    shapes = {k: tuple(v.shape) for k, v in target.items()}
    assert shapes == {
        "boxes": (0, 4), "labels": (0,), "masks": (0, 24, 48), "iscrowd": (0,), "area": (0,), "image_id": (),
    }  # fmt: skip
    assert len(opened(tmp_path, instances(), empty=False)[0]) == 3


def test_crowds_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    _, target = opened(tmp_path, instances(), crowds=True)[0][0]
    assert target["iscrowd"].tolist() == [0, 0, 1]
    assert target["boxes"][2].tolist() == [0, 0, 2, 30]
    truth = opened(tmp_path, instances())[0].ground_truth()
    assert [a.crowd for a in truth.annotations] == [False, False, True, False, False]


def test_ground_truth_has_the_files_ids_and_figures(tmp_path: Path) -> None:
    content = instances()
    content["annotations"][0]["area"] = 77.5
    content["annotations"][0]["bbox"] = [4.25, 5, 9.5, 12]
    truth = opened(tmp_path, content)[0].ground_truth()
    first = truth.annotations[0]
    assert (first.id, first.image_id, first.category_id, first.area) == (1, 11, 90, 77.5)
    assert first.box == (4.25, 5, 9.5, 12)
    assert {c.id: c.name for c in truth.categories} == {3: "car", 17: "cat", 90: "toothbrush"}
    assert decode_mask(truth.annotations[4].segmentation).sum() == 64  # type: ignore[arg-type]
    write_coco(tmp_path / "b.json", truth)
    again = CocoInstances(tmp_path / "b.json", [tmp_path / "images"])
    for i in range(4):
        for name, value in opened(tmp_path, content)[0][i][1].items():
            np.testing.assert_array_equal(again[i][1][name], value)


def test_cocos_own_numbering_goes_by_name(tmp_path: Path) -> None:
    content = instances()
    for entry in (*content["categories"], *content["annotations"]):
        key = "category_id" if "category_id" in entry else "id"
        entry[key] += 1000
    data, _ = opened(tmp_path, content, numbering="coco")
    assert len(data.classes) == 91
    assert data[0][1]["labels"].tolist() == [90, 3]
    truth = data.ground_truth()
    assert truth.annotations[0].category_id == 1090
    assert [(c.id, c.name) for c in truth.categories] == [(1003, "car"), (1017, "cat"), (1090, "toothbrush")]
    assert data.classes.used == (3, 17, 90)
    assert data.classes.label("person") is None  # the data has no id for it
    content["categories"][0]["name"] = "gizmo"
    with pytest.raises(FormatError, match=r"categories that COCO does not have in .*: found gizmo"):
        opened(tmp_path, content, numbering="coco")


def test_classes_of_a_model_are_found_by_name(tmp_path: Path) -> None:
    classes = opened(tmp_path, instances())[0].classes
    other = instances()
    other["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "car"}]
    other["annotations"] = [{**other["annotations"][0], "category_id": 1}]
    data, _ = opened(tmp_path, other, classes=classes)
    assert data[0][1]["labels"].tolist() == [2]
    other["categories"][0]["name"] = "dog"
    with pytest.raises(
        FormatError, match=r"class that the model does not know in .*: expected one of car, cat, tooth.*dog"
    ):
        opened(tmp_path, other, classes=classes)


def _polygon(*polygons: list[float]) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = list(polygons)

    return change


def _set(kind: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[kind][0].update({name: value})


GOOD = rectangle(4, 5, 10, 12)
WHERE = r"the first in annotation 1 of 0\.png"


@pytest.mark.parametrize(
    ("change", "note", "boxes"),
    [
        (_polygon(GOOD, [1, 2, 3, 4]), f"polygons with fewer than three points, left out: 1, {WHERE}", 2),
        (_polygon([1, 2, 3, 4]), f"polygons with fewer than three points, left out: 1, {WHERE}", 1),
        (_polygon([0, 0, float("nan"), 5, 5, 5]), f"polygons with impossible coordinates, left out: 1, {WHERE}", 1),
        (_polygon([0, 0, 1e9, 5, 5, 5]), f"polygons with impossible coordinates, left out: 1, {WHERE}", 1),
        (_polygon([1, 1, 9, 9, 5, 5]), f"masks without a pixel, left out: 1, {WHERE}", 1),
        (_polygon(rectangle(100, 100, 9, 9)), f"masks without a pixel, left out: 1, {WHERE}", 1),
        (_polygon(), f"annotations without a mask, left out: 1, {WHERE}", 1),
        (_set("annotations", "segmentation", {"size": [30, 40], "counts": [1200]}), "masks without a pixel", 1),
        (_set("annotations", "segmentation", {"size": [30, 40], "counts": [5, 5]}), "masks with damaged run", 1),
        (_set("annotations", "segmentation", {"size": [30, 40], "counts": "zz"}), "masks with damaged run", 1),
        (_set("annotations", "segmentation", {"size": [10, 10], "counts": [5, 95]}), "masks of another size", 1),
        (_set("annotations", "bbox", [90, 90, 5, 5]), f"boxes outside their image, taken from the mask: 1, {WHERE}", 2),
        (_set("annotations", "bbox", [-3, 5, 17, 12]), f"boxes that reach beyond their image, cut off: 1, {WHERE}", 2),
        (_set("annotations", "bbox", [4, 5, 0, 12]), f"boxes without width or height, .* the mask: 1, {WHERE}", 2),
        (_set("annotations", "bbox", [0, 0, 14, 19]), f"boxes that do not fit their mask, .* the mask: 1, {WHERE}", 2),
        (_set("annotations", "image_id", 99), r"annotations of images that the file does not list, left out: 1, "
         r"the first in annotation 1 \(image 99\)", 1),
    ],
)  # fmt: skip
def test_what_costs_one_annotation_is_counted(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], note: str, boxes: int
) -> None:
    content = instances()
    change(content)
    data, notes = opened(tmp_path, content)
    assert len(notes) == 1
    assert re.search(note, notes[0]), notes
    target = data[0][1]
    assert len(target["boxes"]) == boxes
    if boxes == 2:
        assert target["boxes"][0].tolist() == [0 if "cut off" in note else 4, 5, 14, 17]
        x, y, w, h = data.ground_truth().annotations[0].box or (0, 0, 0, 0)
        assert [x, y, x + w, y + h] == target["boxes"][0].tolist()


def test_oddities_of_one_kind_are_one_line(tmp_path: Path) -> None:
    content = instances()
    for annotation in content["annotations"]:
        annotation["bbox"] = [90, 90, 1, 1]
    notes = opened(tmp_path, content)[1]
    assert notes == ["a.json: boxes outside their image, taken from the mask: 5, the first in annotation 1 of 0.png"]


def test_missing_images_are_counted_and_all_missing_is_an_error(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    (tmp_path / "images" / "1.png").unlink()
    (tmp_path / "images" / "3.png").unlink()
    data, notes = opened(tmp_path, instances())
    assert len(data) == 2
    assert [int(data[i][1]["image_id"]) for i in range(2)] == [11, 13]
    assert "images with annotations whose file is missing, left out: 1, the first in " in notes[0]
    assert notes[0].endswith("images/1.png")
    assert "images without annotations whose file is missing, left out: 1" in notes[1]
    for i in (0, 2):
        (tmp_path / "images" / f"{i}.png").unlink()
    with pytest.raises(FormatError, match=r"none of the images is there in .*a\.json: expected 0\.png; looked in "):
        opened(tmp_path, instances())


@pytest.mark.parametrize("name", ["/home/me/0.png", "C:\\photos\\0.png", "../elsewhere/0.png"])
def test_paths_of_another_machine_count_by_their_last_part(tmp_path: Path, name: str) -> None:
    content = instances()
    content["images"][0]["file_name"] = name
    data, notes = opened(tmp_path, content)
    assert (len(data), notes) == (4, [])


def _twice(content: dict[str, Any]) -> None:
    content["categories"].append({"id": 5, "name": "car"})
    content["annotations"][0]["category_id"] = 5


def test_a_group_may_have_the_name_of_its_class(tmp_path: Path) -> None:
    content = instances()
    content["categories"].append({"id": 0, "name": "car", "supercategory": "none"})
    assert opened(tmp_path, content)[0].classes == opened(tmp_path, instances())[0].classes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _set("annotations", "category_id", 5),
            r"category that is not listed in .*annotation 1\): expected one of 3, 17",
        ),
        (lambda c: c.update(categories=[]), "no categories in"),
        (_twice, "two categories of one name in .*: found car"),
        (_set("images", "width", 41), r"image size contradicts its annotations in .*0\.png: expected 41x30 .* 40x30"),
        (lambda c: c.update(annotations=c["annotations"][2:3]), "no thing has a mask that can be used in"),
    ],
)
def test_what_makes_the_file_doubtful_is_an_error(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    content = instances()
    change(content)
    with pytest.raises(FormatError, match=message):
        opened(tmp_path, content)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_damaged_images(tmp_path: Path, share: float) -> None:
    write_images(tmp_path / "images")
    path = tmp_path / "images" / "0.png"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FormatError, match=r"image cannot be read in .*0\.png"):
        opened(tmp_path, instances())[0][0]
    if share == 0:  # before any work
        with pytest.raises(FormatError, match="found 0 bytes"):
            opened(tmp_path, instances())


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "I;16"])
def test_every_kind_of_image_is_rgb(tmp_path: Path, mode: str) -> None:
    write_images(tmp_path / "images")
    path = tmp_path / "images" / "0.png"
    image = Image.open(path)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    else:
        image = image.convert(mode)
    content = instances()
    if mode == "CMYK":
        content["images"][0]["file_name"] = "0.tif"
        path = path.with_suffix(".tif")
    image.save(path)
    pixels, _ = opened(tmp_path, content)[0][0]
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (3, 30, 40))
    expected = image if mode in ("L", "I;16") else image.convert("RGB")
    wanted = np.asarray(expected) // (257 if mode == "I;16" else 1)
    np.testing.assert_array_equal(pixels.permute(1, 2, 0), np.broadcast_to(wanted.reshape(30, 40, -1), (30, 40, 3)))


def test_a_film_gives_its_first_frame_and_is_counted(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    frames = [Image.new("RGB", SIZES[0], colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "images" / "0.gif", save_all=True, append_images=frames[1:])
    content = instances()
    content["images"][0]["file_name"] = "0.gif"
    data, notes = opened(tmp_path, content)
    assert notes == ["a.json: images of several frames, of which the first is taken: 1, the first in 0.gif"]
    assert data[0][0][:, 3, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("labelled_upright", [False, True])
def test_the_size_in_the_file_says_whether_a_photograph_is_turned(tmp_path: Path, labelled_upright: bool) -> None:
    write_images(tmp_path / "images")
    pixels = np.zeros((40, 30, 3), np.uint8)  # upright; things stand where the annotation says
    pixels[5:17, 4:14] = 255
    stored = np.rot90(pixels) if labelled_upright else pixels
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(stored).save(tmp_path / "images" / "0.png", exif=exif)
    content = instances()
    content["images"][0].update(width=30, height=40)
    content["annotations"] = [a for a in content["annotations"] if a["id"] not in (2, 3)]
    data, notes = opened(tmp_path, content)
    image, target = data[0]
    np.testing.assert_array_equal(image[0] > 128, target["masks"][0] == 1)
    assert len(notes) == 1
    assert ("images turned as EXIF asks" if labelled_upright else "taken as they are stored") in notes[0]


def test_a_box_that_fits_is_the_files(tmp_path: Path) -> None:
    content = instances()
    content["annotations"][0]["bbox"] = [4.25, 5.5, 9.5, 12]
    content["annotations"][1]["bbox"] = None
    target = opened(tmp_path, content)[0][0][1]
    assert target["boxes"].tolist() == [[4.25, 5.5, 13.75, 17.5], [20, 2, 35, 22]]
    assert target["area"].tolist() == [120, 300]


@pytest.mark.skipif(not TINY.is_dir(), reason="../shared/data/coco_tiny is not there")
def test_the_coco_subset() -> None:
    notes = Notes()
    file = TINY / "annotations" / "instances_train2017.json"
    data = CocoInstances(file, [TINY / "train2017"], progress=notes)
    assert (len(data), notes.steps, len(data.classes)) == (80, 80, 81)
    truth = data.ground_truth()
    assert (len(truth.annotations), sum(a.crowd for a in truth.annotations)) == (705, 6)
    given = {a["id"]: a for a in json.loads(file.read_text())["annotations"]}
    counted = sum(len(data[i][1]["labels"]) for i in range(0, 80, 10))
    wanted = {int(data[i][1]["image_id"]) for i in range(0, 80, 10)}
    assert counted == sum(a["image_id"] in wanted and not a["iscrowd"] for a in given.values())
    assert notes.lines == []
    image, target = data[0]
    own = [a for a in given.values() if a["image_id"] == int(target["image_id"]) and not a["iscrowd"]]
    file_boxes = [a["bbox"] for a in own]
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in file_boxes])
    np.testing.assert_allclose(target["boxes"], boxes, atol=1e-4)  # measured 3e-5: float32
    assert image.shape[1:] == target["masks"].shape[1:]


@pytest.mark.skipif(not TINY.is_dir(), reason="../shared/data/coco_tiny is not there")
def test_what_a_model_learns_is_what_it_is_measured_by() -> None:
    """A model that finds every target exactly has an AP of 1 by the ground truth, crowds notwithstanding."""
    from faster_coco_eval import COCO, COCOeval_faster

    data = CocoInstances(TINY / "annotations" / "instances_val2017.json", [TINY / "val2017"])
    results, some = [], range(0, len(data), 4)
    for i in some:
        target = data[i][1]
        for (x0, y0, x1, y1), label, mask in zip(
            target["boxes"].tolist(), target["labels"].tolist(), target["masks"].numpy(), strict=True
        ):
            box = (x0, y0, x1 - x0, y1 - y0)
            image, category = int(target["image_id"]), data.classes.ids[label]
            results.append(CocoResult(image, category, box, 1.0, encode_mask(mask)))
    truth = COCO(coco_dict(data.ground_truth()))
    found = truth.loadRes(result_dicts(results))
    for kind in ("bbox", "segm"):
        evaluation = COCOeval_faster(truth, found, kind, print_function=lambda *_: None)
        evaluation.params.imgIds = [truth.dataset["images"][i]["id"] for i in some]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] > 1 - 1e-12
