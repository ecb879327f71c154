"""What a training takes from another run: weights, the norms' epsilon, and last layers where classes are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from anyview.errors import OptionError
from anyview.segmentation.data.classes import coco_classes, named_classes
from anyview.segmentation.first_weights import check_first, load_first
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.options import MaskRCNNOptions
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.weight_names import COCO
from anyview.segmentation.weights import HEADS
from little_coco import Notes
from mask_rcnn_pair import OPTIONS

SMALL = replace(OPTIONS, body="resnet18", frozen_norms=True)
NAMES = ("background", "cup", "dog", "tree", "car")


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose norms have learnt with an epsilon of 0, as COCO_V1 makes them."""
    found = SimpleNamespace(model=MaskRCNN(replace(SMALL, norm_epsilon=0.0)), classes=named_classes(NAMES[1:]))
    monkeypatch.setattr("anyview.segmentation.run.open_run", lambda folder, progress: found)
    return found


def same(model: MaskRCNN, other: MaskRCNN) -> dict[bool, bool]:
    """Whether last layers, and all others, are the same."""
    there, pairs = other.state_dict(), model.state_dict().items()
    return {h: all(torch.equal(v, there[k]) for k, v in pairs if k.startswith(HEADS) == h) for h in (True, False)}


@pytest.mark.parametrize(
    ("classes", "reset", "heads"),
    [(NAMES, False, True), (NAMES, True, True), ((*NAMES[:4], "bus"), False, True), ((*NAMES[:4], "bus"), True, False)],
)
def test_the_weights_of_a_run(tmp_path: Path, other: Any, classes: tuple[str, ...], reset: bool, heads: bool) -> None:
    model, notes = MaskRCNN(SMALL), Notes()
    options = SegmentationOptions(weights=str(tmp_path), classes=classes, model=SMALL, reset_heads=reset)
    load_first(model, options, notes)
    assert same(model, other.model) == {True: heads, False: True}
    assert model.options.norm_epsilon == 0
    assert model.backbone.body.bn1.eps == 0
    said = (
        f"{tmp_path} has as many classes, but others (cup, dog, tree, car; here cup, dog, tree, bus): the last layers "
        "learn from there, or anew with --reset-heads"
    )
    assert notes.lines == ([said] if heads and classes != NAMES else [])


def test_a_run_of_other_classes(tmp_path: Path, other: Any) -> None:
    model = MaskRCNN(replace(SMALL, num_classes=3))
    options = SegmentationOptions(weights=str(tmp_path), classes=NAMES[:3], model=model.options)
    with pytest.raises(OptionError, match=r"number of classes .*cls_score.weight \(5, 1024\), here \(3, 1024\)"):
        load_first(model, options)
    load_first(model, replace(options, reset_heads=True))
    assert torch.equal(model.backbone.body.conv1.weight, other.model.backbone.body.conv1.weight)


def test_norms_that_learn_keep_their_epsilon(tmp_path: Path, other: Any) -> None:
    model = MaskRCNN(replace(SMALL, frozen_norms=False))
    load_first(model, SegmentationOptions(weights=str(tmp_path), classes=NAMES, model=model.options))
    assert model.options.norm_epsilon == 1e-5


def test_weights_that_are_not_there() -> None:
    with pytest.raises(OptionError, match=r"weights in w\.pth: expected COCO_V1, COCO_V1_V2, IMAGENET1K_V1, a file"):
        check_first(SegmentationOptions(weights="w.pth"))


def test_names_of_weights_are_those_of_predictions() -> None:
    for name in COCO:
        check_first(SegmentationOptions(weights=name, model=MaskRCNNOptions(version=COCO[name])))
    with pytest.raises(OptionError, match=r"another version .* in COCO_V1_V2: expected model.version 2, found 1"):
        check_first(SegmentationOptions(weights="COCO_V1_V2"))


@pytest.mark.parametrize("name", COCO)
@pytest.mark.parametrize("coco", [True, False])
def test_as_many_classes_as_coco_are_not_coco(name: str, coco: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = coco_classes().names if coco else named_classes([f"thing {i}" for i in range(90)]).names
    model, other = (MaskRCNN(replace(SMALL, num_classes=91)) for _ in range(2))
    monkeypatch.setattr(
        "anyview.segmentation.first_weights.load_weights",
        lambda model, name, reset_heads: model.load_state_dict(other.state_dict()),
    )
    notes = Notes()
    load_first(model, SegmentationOptions(weights=name, classes=names, model=model.options), notes)
    assert same(model, other) == {True: coco, False: True}
    assert notes.lines == ([] if coco else ["the last layers begin anew: 90 classes, not COCO's"])
