"""What is learnt from and what is held back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from anyview.errors import OptionError
from anyview.segmentation.data.items import InstanceData
from anyview.segmentation.data.subset import SomeInstances, spread
from anyview.segmentation.train_data import TrainingData, evaluation_data, training_data
from little_coco import Notes, write_folder, write_images
from little_training import options


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


def test_both_splits(folder: Path, tmp_path: Path) -> None:
    data = training_data(folder, options(tmp_path))
    assert data.val is not None
    assert (len(data.train), len(data.val)) == (4, 4)
    again = training_data(folder, options(tmp_path, "data.threads=7"))
    assert data.fingerprint() == again.fingerprint()
    assert TrainingData(data.train, None).fingerprint() != data.fingerprint()
    for split in ("train2017", "val2017"):  # images of the same sizes, and yet others
        file = folder / "annotations" / f"instances_{split}.json"
        file.write_text(file.read_text().replace("0.png", "x.png"))
        (folder / split / "0.png").rename(folder / split / "x.png")
        before, data = data, training_data(folder, options(tmp_path))
        assert data.fingerprint() != before.fingerprint()


def test_crowds_are_learnt_from_as_crowds(folder: Path, tmp_path: Path) -> None:
    """They come marked: what lies in them is neither an object nor background."""
    data = training_data(folder, options(tmp_path))
    _, target = data.train[0]
    assert target["iscrowd"].tolist() == [0, 0, 1]
    assert data.val is not None
    assert data.val[0][1]["iscrowd"].tolist() == [0, 0]


def test_some_are_held_back_where_none_are_there(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "val2017")
    (folder / "annotations" / "instances_val2017.json").unlink()
    notes = Notes()
    o = options(tmp_path, "data.hold_back=0.3")
    data = training_data(folder, o, notes)
    assert data.val is not None
    assert any("1 of 4 are held back (data.hold_back)" in line for line in notes.lines)
    ids = [sorted(int(part[i][1]["image_id"]) for i in range(len(part))) for part in (data.train, data.val)]
    assert sorted(ids[0] + ids[1]) == [11, 12, 13, 14]
    assert [image.id for image in data.val.ground_truth().images] == ids[1]
    for split, part in (("val", data.val), ("train", data.train)):
        again = evaluation_data(folder, split, data.train.classes, o, data.fingerprint())  # type: ignore[arg-type]
        assert again is not None
        assert again.ground_truth().images == part.ground_truth().images
    notes = Notes()
    assert training_data(folder, options(tmp_path, "data.hold_back=0"), notes).val is None
    assert any("none are held back: there will be no figures" in line for line in notes.lines)
    with pytest.raises(OptionError, match=r"data.hold_back: expected 0 or more, below 1"):
        options(tmp_path, "data.hold_back=1")


def test_what_the_run_does_not_know_is_evaluated_whole(folder: Path, tmp_path: Path) -> None:
    """A file of labels is one split, and nothing of it was held back from a training on other data."""
    data = training_data(folder, options(tmp_path))
    write_images(folder / "annotations")
    file, notes = folder / "annotations" / "instances_val2017.json", Notes()
    found = evaluation_data(file, "val", data.train.classes, options(tmp_path), data.fingerprint(), notes)
    assert found is not None
    assert [image.id for image in found.ground_truth().images] == [11, 12, 13, 14]
    assert "of which this run has held nothing back: all its images are taken" in notes.lines[-1]
    (folder / "annotations" / "instances_train2017.json").unlink()
    assert evaluation_data(folder, "train", data.train.classes, options(tmp_path), data.fingerprint()) is None


def test_some_of_the_data(folder: Path, tmp_path: Path) -> None:
    whole = training_data(folder, options(tmp_path)).train
    part = spread(whole, 2)
    assert isinstance(part, SomeInstances)
    assert isinstance(part, InstanceData)
    assert list(part.sizes) == [whole.sizes[0], whole.sizes[2]]
    assert torch.equal(part[1][0], whole[2][0])
    assert list(part.names) == ["0.png", "2.png"]
    truth = part.ground_truth()
    assert [image.id for image in truth.images] == [11, 13]
    assert {a.image_id for a in truth.annotations} == {11, 13}
    assert [image.id for image in part.ground_truth([1]).images] == [13]
    assert spread(whole, 4) is whole
    with pytest.raises(IndexError):
        part[2]


def test_rendered_pictures(tmp_path: Path) -> None:
    data = training_data("synthetic", options(tmp_path))
    assert data.val is not None
    assert (len(data.train), len(data.val)) == (3, 2)
    assert not torch.equal(data.train[0][0], data.val[0][0])
    assert training_data("synthetic", options(tmp_path, "synthetic.validation=0")).val is None
