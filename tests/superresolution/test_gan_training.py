"""A GAN: two networks in turns, resumed to the bit; its content loss; what it begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anyview.errors import OptionError, TrainingError
from anyview.superresolution import gan_trainee, load_weights
from anyview.superresolution.gan_trainee import GanTrainee
from anyview.superresolution.run import open_run
from anyview.superresolution.weights import read_notes
from anyview.training.checkpoint import load_checkpoint
from anyview.training.log import read_log
from little_superres import assert_same_end, killed_in, pictures, run
from small_trainee import Killed

MORE = ("loop.steps=4", "loop.validate_every=2", "optimiser.ema=0.9")


@pytest.fixture(autouse=True, scope="module")
def without_tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def first(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pixels."""
    out = tmp_path_factory.mktemp("runs") / "first"
    run(folder, out, "loop.steps=2", arch="srresnet", scale=2)
    return out


@pytest.fixture(scope="module")
def whole(folder: Path, first: Path) -> Path:
    """An undisturbed GAN."""
    out = first.parent / "whole"
    run(folder, out, *MORE, gan=True, init=str(first))
    return out


def test_interrupted_is_undisturbed(
    folder: Path, first: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    killed_in(3, monkeypatch, GanTrainee)
    with pytest.raises(Killed):
        run(folder, out, *MORE, "loop.save_every_seconds=0", gan=True, init=str(first))
    monkeypatch.undo()
    assert run(folder, out, *MORE).step == 4
    assert_same_end(out, whole, 4)
    state = load_checkpoint(out / "checkpoints" / "step_00000004.safetensors")[0]["trainee"]
    assert set(state) == {"network", "optimiser", "ema", "discriminator", "discriminator_optimiser"}
    assert {"loss", "content", "discriminator", "validation/psnr_y"} <= read_log(out).keys()


def test_both_networks_learn(first: Path, whole: Path) -> None:
    before = load_weights(first / "weights.safetensors").state_dict()
    after = load_weights(whole / "weights.safetensors").state_dict()
    assert not torch.equal(before["tail.weight"], after["tail.weight"])
    two, four = (
        load_checkpoint(whole / "checkpoints" / name)[0]["trainee"]["discriminator"]
        for name in ("best.safetensors", "step_00000004.safetensors")
    )
    best = open_run(whole, "best").step
    assert (best == 4) or not torch.equal(two["features.0.weight"], four["features.0.weight"])


def test_the_last_weights_are_exported(whole: Path) -> None:
    assert read_notes(whole / "weights.safetensors")["steps"] == "4"
    assert open_run(whole).step == 4


def test_a_gan_begins_with_trained_weights(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a GAN begins with trained weights: expected --init RUN"):
        run(folder, tmp_path / "run", gan=True)
    assert not (tmp_path / "run").exists()


def test_a_run_on_pixels_does_not_go_on_as_a_gan(folder: Path, first: Path) -> None:
    with pytest.raises(OptionError, match=r"option `.*` is not what this run began with"):
        run(folder, first, "loop.steps=3", gan=True)


def test_content_by_features(folder: Path, first: Path, tmp_path: Path) -> None:
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    weight = features[0].weight.detach().clone()
    more = ("loop.steps=1", "adversary.content=vgg54")
    run(folder, tmp_path / "run", *more, extractor=features, gan=True, init=str(first))
    assert torch.equal(features[0].weight, weight)
    assert read_log(tmp_path / "run")["content"][0] > 0


def test_features_that_cannot_be_had(
    folder: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(features: str) -> nn.Module:
        raise OptionError("VGG19's weights cannot be had")

    monkeypatch.setattr("anyview.superresolution.losses.vgg19", offline)
    with pytest.raises(OptionError, match="VGG19's weights cannot be had"):
        run(folder, tmp_path / "run", "adversary.content=vgg22", gan=True, init=str(first))
    assert not (tmp_path / "run").exists()


def test_a_discriminator_that_breaks_stops_the_training(
    folder: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, count = gan_trainee.discriminator_loss, iter(range(9))
    monkeypatch.setattr(
        gan_trainee, "discriminator_loss", lambda *a: plain(*a) * (float("nan") if next(count) == 2 else 1.0)
    )
    with pytest.raises(TrainingError, match="the loss is not finite in step 3 of"):
        run(folder, tmp_path / "run", *MORE, "loop.save_every_seconds=0", gan=True, init=str(first))
    good = load_checkpoint(tmp_path / "run" / "checkpoints" / "step_00000002.safetensors")[0]["trainee"]
    assert all(weight.isfinite().all() for weight in good["discriminator"].values())
    load_weights(tmp_path / "run" / "weights.safetensors")  # of the validation of step 2
