"""Training: an interrupted run ends with an undisturbed one's bits; what a run keeps; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anyview.errors import FormatError, OptionError, TrainingError, WorkspaceError
from anyview.segmentation.first_weights import load_first
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.run import open_run
from anyview.segmentation.trainee import MaskRCNNTrainee
from anyview.training.checkpoint import load_checkpoint
from anyview.training.config import from_yaml
from anyview.training.log import TIME_COLUMNS, read_log
from anyview.training.loop import TrainingResult
from anyview.training.options import LoopOptions
from anyview.training.tree import flatten
from little_coco import Notes, write_folder
from little_training import options, run
from small_trainee import Killed

MORE = ("loop.steps=3", "optimiser.ema=0.9", "loop.validate_every=2", "augment.brightness=0.2")


@pytest.fixture(autouse=True, scope="module")
def without_tensorboard() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(folder, out, *MORE)
    return out


@pytest.mark.slow
def test_interrupted_is_undisturbed(folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, out = MaskRCNNTrainee.step, tmp_path / "run"

    def killed(self: MaskRCNNTrainee, moment: Any) -> Any:
        if moment.step == 2:
            raise Killed
        return step(self, moment)

    monkeypatch.setattr(MaskRCNNTrainee, "step", killed)
    with pytest.raises(Killed):
        run(folder, out, *MORE, "loop.save_every_seconds=0")
    monkeypatch.undo()
    assert run(folder, out, *MORE, "data.threads=0").step == 3
    last = "checkpoints/step_00000003.safetensors"
    (tree, tensors), (wanted_tree, wanted) = (flatten(load_checkpoint(place / last)[0]) for place in (out, whole))
    assert tree == wanted_tree
    assert tensors.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(tensors[name], wanted[name])] == []
    first, second = read_log(out), read_log(whole)
    assert first.keys() == second.keys()
    assert {"loss_mask", "loss_objectness", "lr", "validation/mask_ap", "validation/box_ap50"} <= first.keys()
    for name in first.keys() - set(TIME_COLUMNS):
        assert first[name].tobytes() == second[name].tobytes(), name


def test_a_run_opened(folder: Path, whole: Path) -> None:
    opened = open_run(whole, "latest")
    assert opened.classes.names == ("background", "car", "cat", "toothbrush")
    assert opened.classes.ids == (-1, 3, 17, 90)
    assert (opened.step, opened.options.folder) == (3, str(folder.resolve()))
    assert not opened.model.training
    assert opened.model.options.num_classes == 4
    state = load_checkpoint(whole / "checkpoints" / "step_00000003.safetensors")[0]["trainee"]
    weight = opened.model.roi_heads.box_predictor.cls_score.weight
    assert torch.equal(weight, state["ema"]["averages"]["roi_heads.box_predictor.cls_score.weight"])
    assert not torch.equal(weight, state["model"]["roi_heads.box_predictor.cls_score.weight"])
    found = opened.model.detect([torch.rand((3, 40, 50), generator=torch.Generator().manual_seed(0))], masks="binary")
    assert found[0]["masks"].shape[1:] == (1, 40, 50)


def test_refusals_and_what_may_change(folder: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"option `optimiser.rate` is not what this run began with"):
        run(folder, whole, *MORE, "optimiser.rate=0.5")
    assert run(folder, whole, *MORE, "loop.log_every=9").step == 3  # finished: returns at once
    with pytest.raises(WorkspaceError, match="not a run"):
        open_run(tmp_path)
    (tmp_path / "config.yaml").write_text((whole / "config.yaml").read_text())
    with pytest.raises(WorkspaceError, match="nothing is trained yet"):
        open_run(tmp_path)
    (tmp_path / "config.yaml").write_text("model: [")
    with pytest.raises(FormatError, match="not YAML"):
        open_run(tmp_path)


def test_a_run_whose_classes_were_changed(whole: Path, tmp_path: Path) -> None:
    text = (whole / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("car, cat,", "car,").replace("3, 17,", "3,"))
    (tmp_path / "checkpoints").symlink_to(whole / "checkpoints")
    with pytest.raises(WorkspaceError, match=r"does not fit .*found 3 classes, for weights of 4; config.yaml"):
        open_run(tmp_path)


def test_how_long_it_trains_where_nobody_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[LoopOptions] = []

    def noted(trainee: object, out: Path, loop: LoopOptions, *_: object) -> TrainingResult:
        asked.append(loop)
        return TrainingResult(0, 0.0, {}, None, out)

    monkeypatch.setattr("anyview.segmentation.train.train", noted)
    for settings in ((), ("loop.max_minutes=5",), ("loop.steps=7", "loop.max_minutes=5")):
        run("synthetic", tmp_path, *settings)
    assert [(loop.steps, loop.max_minutes) for loop in asked] == [(10_000, None), (None, 5), (7, 5)]


def test_the_run_s_options_explain_themselves(whole: Path) -> None:
    text = (whole / "config.yaml").read_text()
    assert from_yaml(type(options(whole)), text, "text").classes == ("background", "car", "cat", "toothbrush")
    assert "classes: [background, car, cat, toothbrush]" in text
    assert "# Decay of the average of the weights" in text


def test_weights_of_another_run_and_other_classes(whole: Path, tmp_path: Path) -> None:
    trained = open_run(whole).model
    file = tmp_path / "weights.pth"
    torch.save(trained.state_dict(), file)
    for weights in (str(file), str(whole)):
        o = options(tmp_path / "new", "model.num_classes=7", weights=weights)
        model = MaskRCNN(o.model)
        with pytest.raises(OptionError, match=r"another number of classes .*cls_score.*--reset-heads"):
            load_first(model, o)
        load_first(model, replace(o, reset_heads=True))
        assert torch.equal(model.backbone.body.conv1.weight, trained.backbone.body.conv1.weight)
        assert model.roi_heads.box_predictor.cls_score.weight.shape[0] == 7
    assert (o.model.frozen_norms, o.model.trained_stages) == (True, 3)  # weights are there


def test_what_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = MaskRCNN.losses
    monkeypatch.setattr(MaskRCNN, "losses", lambda self, *a: {n: v * float("nan") for n, v in losses(self, *a).items()})
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match="the loss is not finite in step 1 of"):
        run("synthetic", out, "loop.steps=2", "synthetic.validation=0")
    assert (out / "nan_batch_1.safetensors").is_file()


def test_no_such_data(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no such folder"):
        run(tmp_path / "nowhere", tmp_path / "run", progress=Notes())
    assert not (tmp_path / "run").exists()
