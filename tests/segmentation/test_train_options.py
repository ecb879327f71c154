"""Options: what counts when several say something."""

from __future__ import annotations

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
    said = chosen(tmp_path, None, None, ("model.trained_stages=5",), {"weights": "COCO_V1"}).model
    assert (said.frozen_norms, said.trained_stages) == (True, 5)
    file = tmp_path / "o.yaml"
    file.write_text(to_yaml(SegmentationOptions()))
    assert not chosen(tmp_path, file, None, (), {"weights": "COCO_V1"}).model.frozen_norms


def test_no_such_preset(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no such preset in --preset: expected small, found huge"):
        chosen(tmp_path, None, "huge", (), {})
