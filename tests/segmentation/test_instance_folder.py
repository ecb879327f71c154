"""Folders of images with pictures of numbers, and which layout a folder has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.errors import FormatError, OptionError
from anyview.formats.coco_masks import decode_mask
from anyview.segmentation.data.coco_data import CocoInstances
from anyview.segmentation.data.folder import open_data
from anyview.segmentation.data.instance_folder import InstanceFolder
from little_coco import Notes, instances, write_folder, write_images

NUMBERS = np.zeros((30, 40), np.uint16)
NUMBERS[2:8, 3:9] = 1
NUMBERS[10:20, 10:30] = 7
NUMBERS[25, 35] = 7  # a second piece


def write(folder: Path, numbers: np.ndarray = NUMBERS, classes: str = "") -> Path:
    for name in ("images", "instances"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(1).integers(0, 256, (*numbers.shape, 3), np.uint8)
    Image.fromarray(image).save(folder / "images" / "a.png")
    Image.fromarray(numbers).save(folder / "instances" / "a.png")
    if classes:
        (folder / "classes.txt").write_text(classes)
    return folder


def test_every_number_is_a_thing(tmp_path: Path) -> None:
    data = InstanceFolder(write(tmp_path))
    image, target = data[0]
    np.testing.assert_array_equal(image.permute(1, 2, 0), Image.open(tmp_path / "images" / "a.png"))
    assert target["boxes"].tolist() == [[3, 2, 9, 8], [10, 10, 36, 26]]
    assert target["labels"].tolist() == [1, 1]
    np.testing.assert_array_equal(target["masks"], np.stack([NUMBERS == 1, NUMBERS == 7]))
    assert data.classes.names == ("background", "object")
    assert list(data.sizes) == [(30, 40)]
    truth = data.ground_truth()
    assert [a.area for a in truth.annotations] == [36, 201]
    assert data.ground_truth([]).annotations == ()
    np.testing.assert_array_equal(decode_mask(truth.annotations[1].segmentation), NUMBERS == 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_classes_stand_in_the_thousands(tmp_path: Path, kind: type) -> None:
    if kind is np.uint8:
        data = InstanceFolder(write(tmp_path, NUMBERS.astype(kind)))
        assert data[0][1]["labels"].tolist() == [1, 1]
        return
    numbers = np.where(NUMBERS == 1, 2003, np.where(NUMBERS == 7, 1000, 0)).astype(kind)
    data = InstanceFolder(write(tmp_path, numbers, "box\n\nball\n"))
    assert data.classes.names == ("background", "box", "ball")
    assert data[0][1]["labels"].tolist() == [1, 2]
    assert [a.category_id for a in data.ground_truth().annotations] == [1, 2]


def test_classes_of_a_model_are_found_by_name(tmp_path: Path) -> None:
    numbers = np.where(NUMBERS == 1, 2003, np.where(NUMBERS == 7, 1000, 0)).astype(np.uint16)
    model = InstanceFolder(write(tmp_path / "a", numbers, "ball\nbox\n")).classes
    data = InstanceFolder(write(tmp_path / "b", numbers, "box\nball\n"), classes=model)
    assert data[0][1]["labels"].tolist() == [2, 1]
    with pytest.raises(FormatError, match=r"class that the model does not know in .*c: .* one of ball, box, found cup"):
        InstanceFolder(write(tmp_path / "c", numbers, "box\ncup\n"), classes=model)


def test_splits_may_share_their_classes(tmp_path: Path) -> None:
    numbers = np.where(NUMBERS == 1, 2003, 0).astype(np.uint16)
    (tmp_path / "classes.txt").write_text("box\nball\n")
    assert InstanceFolder(write(tmp_path / "train", numbers)).classes.names == ("background", "box", "ball")
    assert InstanceFolder(write(tmp_path / "mine", numbers)).classes.names == ("background", "object")


def test_an_empty_picture_is_no_thing(tmp_path: Path) -> None:
    target = InstanceFolder(write(tmp_path, np.zeros((5, 6), np.uint8)))[0][1]
    assert target["masks"].shape == (0, 5, 6)
    assert target["boxes"].shape == (0, 4)


def test_what_is_wrong_with_numbers(tmp_path: Path) -> None:
    data = InstanceFolder(write(tmp_path, NUMBERS, "box\n"))
    with pytest.raises(FormatError, match=r"number of no class in .*a\.png: .* from 1 to 1, plus .*, found 1"):
        data[0]
    with pytest.raises(FormatError, match=r"no names of classes in .*classes\.txt"):
        InstanceFolder(write(tmp_path, NUMBERS, "box\nbox\n"))
    (tmp_path / "classes.txt").unlink()
    Image.fromarray(NUMBERS[:20]).save(tmp_path / "instances" / "a.png")
    with pytest.raises(FormatError, match=r"contradicts its numbers in .*images.a\.png: expected 40x20 .* found 40x30"):
        InstanceFolder(tmp_path)
    (tmp_path / "instances" / "a.png").rename(tmp_path / "instances" / "b.png")
    with pytest.raises(FormatError, match="no image has numbers of things in"):
        InstanceFolder(tmp_path)


def test_names_of_classes_as_editors_write_them(tmp_path: Path) -> None:
    numbers = np.where(NUMBERS == 1, 2003, 0).astype(np.uint16)
    write(tmp_path, numbers)
    (tmp_path / "classes.txt").write_bytes("\ufeffKäfer\r\nball\r\n".encode())
    assert InstanceFolder(tmp_path).classes.names == ("background", "Käfer", "ball")
    (tmp_path / "classes.txt").write_bytes("Käfer\n".encode("latin-1"))
    with pytest.raises(FormatError, match=r"no names of classes in .*classes\.txt: expected text in UTF-8"):
        InstanceFolder(tmp_path)


def test_hidden_files_are_nobodys_and_endings_may_be_large(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("images", "instances"):
        (tmp_path / name / "._a.png").write_bytes(b"a file system's own")
        (tmp_path / name / "a.png").rename(tmp_path / name / "a.PNG")
    notes = Notes()
    assert list(InstanceFolder(tmp_path, progress=notes).names) == ["a.PNG"]
    assert notes.lines == []


def test_what_has_no_partner_is_counted(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(NUMBERS).save(tmp_path / "instances" / "b.png")
    write_images(tmp_path / "images")
    notes = Notes()
    assert len(InstanceFolder(tmp_path, progress=notes)) == 1
    assert notes.lines == [
        f"{tmp_path}: images without a picture in instances, left out: 4, the first in 0.png",
        f"{tmp_path}: pictures in instances without an image, left out: 1, the first in b.png",
    ]


@pytest.mark.parametrize("labelled_upright", [False, True])
def test_the_size_of_the_numbers_says_whether_a_photograph_is_turned(tmp_path: Path, labelled_upright: bool) -> None:
    write(tmp_path)
    pixels = np.repeat(np.where(NUMBERS > 0, 255, 0).astype(np.uint8)[:, :, None], 3, 2)
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned anticlockwise
    stored = np.rot90(pixels, -1) if labelled_upright else pixels
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "images" / "a.png", exif=exif)
    image, target = InstanceFolder(tmp_path)[0]
    np.testing.assert_array_equal(image[0] > 0, target["masks"].amax(0) > 0)


def test_layouts(tmp_path: Path) -> None:
    cocos = write_folder(tmp_path / "cocos")
    for split in ("train", "val"):
        data = open_data(cocos, split)  # type: ignore[arg-type]
        assert isinstance(data, CocoInstances)
        assert data.paths[0] == cocos / f"{split}2017" / "0.png"
        named = open_data(cocos / "annotations" / f"instances_{split}2017.json")
        assert named is not None
        assert named.paths == data.paths
    (cocos / "annotations" / "instances_val2017.json").unlink()
    assert open_data(cocos, "val") is None

    beside = tmp_path / "beside"
    for split in ("train", "valid"):
        write_images(beside / split)
        (beside / split / "_annotations.coco.json").write_text(json.dumps(instances()))
    assert open_data(beside, "val").paths[0] == beside / "valid" / "0.png"  # type: ignore[union-attr]

    one = tmp_path / "one"
    write_images(one / "images")
    (one / "labels.json").write_text(json.dumps(instances()))
    for place in (one, one / "labels.json"):
        assert len(open_data(place)) == 4  # type: ignore[arg-type]
        assert open_data(place, "val") is None
    (one / "more.json").write_text("{}")
    with pytest.raises(FormatError, match=r"which file is meant in .*one: found labels\.json, more\.json"):
        open_data(one)

    numbers = write(tmp_path / "numbers")
    assert isinstance(open_data(numbers), InstanceFolder)
    assert open_data(numbers, "val") is None
    write(tmp_path / "both" / "train")
    write(tmp_path / "both" / "val")
    assert open_data(tmp_path / "both", "val").paths[0].parts[-3] == "val"  # type: ignore[union-attr]

    with pytest.raises(OptionError, match=r"there is no such folder in .*none"):
        open_data(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"no labelled images in .*empty"):
        open_data(tmp_path / "empty")
