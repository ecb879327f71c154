"""What is learnt from and what is held back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from anyview.errors import OptionError
from anyview.segmentation.items import InstanceData
from anyview.segmentation.train_data import SomeInstances, spread, training_data, validation_data
from little_coco import Notes, write_folder
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
    again = validation_data(folder, "val", data.train.classes, o)
    assert again is not None
    assert again.ground_truth().images == data.val.ground_truth().images
    notes = Notes()
    assert training_data(folder, options(tmp_path, "data.hold_back=0"), notes).val is None
    assert any("none are held back: there will be no figures" in line for line in notes.lines)
    with pytest.raises(OptionError, match=r"data.hold_back: expected 0 or more, below 1"):
        options(tmp_path, "data.hold_back=1")


def test_some_of_the_data(folder: Path, tmp_path: Path) -> None:
    whole = training_data(folder, options(tmp_path)).train
    part = spread(whole, 2)
    assert isinstance(part, SomeInstances)
    assert isinstance(part, InstanceData)
    assert list(part.sizes) == [whole.sizes[0], whole.sizes[2]]
    assert torch.equal(part[1][0], whole[2][0])
    truth = part.ground_truth()
    assert [image.id for image in truth.images] == [11, 13]
    assert {a.image_id for a in truth.annotations} == {11, 13}
    assert spread(whole, 4) is whole
    with pytest.raises(IndexError):
        part[2]


def test_rendered_pictures(tmp_path: Path) -> None:
    data = training_data("synthetic", options(tmp_path))
    assert data.val is not None
    assert (len(data.train), len(data.val)) == (3, 2)
    assert not torch.equal(data.train[0][0], data.val[0][0])
    assert training_data("synthetic", options(tmp_path, "synthetic.validation=0")).val is None
