"""Options: what counts when several say something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anyview.errors import OptionError
from anyview.segmentation.config import chosen
from anyview.segmentation.presets import PRESETS
from anyview.segmentation.train_options import SegmentationOptions
from anyview.training.config import from_yaml, to_yaml


def test_the_more_particular_wins(tmp_path: Path) -> None:
    assert chosen(tmp_path, None, None, (), {}) == SegmentationOptions()
    small = chosen(tmp_path, None, "small", ("optimiser.batch=3",), {"loop.steps": 9})
    assert (small.model.body, small.model.images.min_size) == ("resnet18", (160,))
    assert (small.optimiser.batch, small.loop.steps) == (3, 9)
    file = tmp_path / "o.yaml"
    file.write_text(to_yaml(small))
    assert chosen(tmp_path, file, None, (), {}) == small


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_options_as_yaml(name: str, tmp_path: Path) -> None:
    made = chosen(tmp_path, None, name, (), {})
    assert from_yaml(SegmentationOptions, to_yaml(made), "text") == made


def test_weights_freeze_where_nothing_else_is_said(tmp_path: Path) -> None:
    frozen = chosen(tmp_path, None, None, (), {"weights": "COCO_V1"}).model
    assert (frozen.frozen_norms, frozen.trained_stages) == (True, 3)
    second = chosen(tmp_path, None, None, (), {"weights": "COCO_V1_V2"}).model
    assert (second.version, second.frozen_norms, second.trained_stages) == (2, False, 3)
    said = chosen(tmp_path, None, None, ("model.trained_stages=5",), {"weights": "COCO_V1"}).model
    assert (said.frozen_norms, said.trained_stages) == (True, 5)
    file = tmp_path / "o.yaml"
    file.write_text(to_yaml(SegmentationOptions()))
    assert not chosen(tmp_path, file, None, (), {"weights": "COCO_V1"}).model.frozen_norms


def test_no_such_preset(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no such preset in --preset: expected small, found huge"):
        chosen(tmp_path, None, "huge", (), {})


def test_the_weights_of_a_run_bring_its_model(tmp_path: Path) -> None:
    first = chosen(tmp_path / "first", None, "small", (), {})
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "config.yaml").write_text(to_yaml(first))
    given = {"weights": str(tmp_path / "first")}
    made = chosen(tmp_path / "second", None, None, ("model.detections.most=9",), given)
    assert (made.model.body, made.model.channels, made.model.detections.most) == ("resnet18", 64, 9)
    assert (made.model.frozen_norms, made.optimiser) == (True, SegmentationOptions().optimiser)
    file = tmp_path / "o.yaml"
    file.write_text(to_yaml(SegmentationOptions()))
    assert chosen(tmp_path / "second", file, None, (), given).model.body == "resnet50"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.images.min_size=[]", "model.images.min_size: expected one number at least"),
        ("model.images.min_size=[0]", "model.images.min_size: expected 1 or more, found 0"),
        ("model.images.multiple=0", "model.images.multiple: expected 1 or more, found 0"),
        ("model.images.std=[0,0,0]", "model.images.std: expected 1e-06 or more"),
        ("model.trained_stages=-1", "model.trained_stages: expected 0 to 5, found -1"),
        ("model.channels=0", "model.channels: expected 1 or more"),
        ("model.proposals.samples=-4", "model.proposals.samples: expected 1 or more"),
        ("model.proposals.depth=-1", "model.proposals.depth: expected 0 or more"),
        ("model.detections.nms_threshold=7", "model.detections.nms_threshold: expected 0 to 1, found 7"),
        ("model.detections.most=0", "model.detections.most: expected 1 or more"),
    ],
)
def test_what_no_model_can_have(setting: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(words)):
        chosen(tmp_path, None, None, (setting,), {})
