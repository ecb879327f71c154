"""Training: an interrupted run ends with an undisturbed one's bits; what a run exports; what is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.errors import FormatError, OptionError, TrainingError, WorkspaceError
from anyview.superresolution import load_weights
from anyview.superresolution import trainee as trainee_module
from anyview.superresolution.bicubic import imresize, shrunk
from anyview.superresolution.build import build
from anyview.superresolution.run import open_run
from anyview.superresolution.scores import mean_scores, scores
from anyview.superresolution.validation import Validation, upscaled
from anyview.superresolution.weights import read_notes, save_weights
from anyview.training.checkpoint import load_checkpoint
from anyview.training.log import read_log
from anyview.training.loop import TrainingResult
from anyview.training.options import LoopOptions
from little_superres import assert_same_end, killed_in, options, pictures, run
from small_trainee import Killed

MORE = ("loop.steps=4", "loop.validate_every=2", "optimiser.ema=0.9", "optimiser.clip=1")


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
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(folder, out, *MORE, arch="wdsr-b", scale=2)
    return out


def test_interrupted_is_undisturbed(folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    killed_in(3, monkeypatch)
    with pytest.raises(Killed):
        run(folder, out, *MORE, "loop.save_every_seconds=0", arch="wdsr-b", scale=2)
    monkeypatch.undo()
    assert (out / "weights.safetensors").is_file()  # of the validation of step 2
    assert run(folder, out, *MORE, "data.threads=2").step == 4  # what is not said is the run's own
    assert_same_end(out, whole, 4)
    assert (out / "weights.safetensors").is_file()


def test_exported_weights_are_those_that_were_judged(folder: Path, whole: Path) -> None:
    network = load_weights(whole / "weights.safetensors", 2, "wdsr-b")
    best = open_run(whole)
    state, wanted = network.state_dict(), best.network.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    held_back = [name for name in ("00.png", "01.png", "02.png") if name not in _learnt(folder)]
    truth = np.asarray(Image.open(folder / held_back[0]))
    low = shrunk(truth, 2)
    found = mean_scores([scores(upscaled(network, low), truth, 2)])
    assert found.labelled() == {name: best.figures[name] for name in found.labelled()}
    bicubic = scores(imresize(low, size=truth.shape[:2]), truth, 2)
    assert best.figures["gain_y"] == found.psnr_y - bicubic.psnr_y
    notes = read_notes(whole / "weights.safetensors")
    assert (notes["steps"], notes["seed"], notes["command"]) == (str(best.step), "0", "anyview superres train")
    assert notes["data"] == str(folder.resolve())
    assert f"psnr_y {found.psnr_y:.4f}" in notes["score"]
    assert float(notes["minutes"]) >= 0
    picture = np.asarray(Image.open(sorted((whole / "validation").glob("*.png"))[0]))
    assert picture.shape == (truth.shape[0], 3 * truth.shape[1], 3)
    assert np.array_equal(picture[:, -truth.shape[1] :], truth)


def _learnt(folder: Path) -> list[str]:
    from anyview.superresolution.train_data import training_pictures

    return training_pictures(folder, 2).train.names


@pytest.mark.parametrize("arch", ["edsr", "wdsr-a", "wdsr-b", "srresnet"])
def test_one_crop_is_learnt(arch: str, tmp_path: Path) -> None:
    for part in ("train", "val"):
        pictures(tmp_path / "data" / part, 1, (32, 32))
    run(
        tmp_path / "data", tmp_path / "run", "loop.steps=100", "data.crop=32", "data.turn=false", "optimiser.rate=0.01",
        "optimiser.ema=0", "loop.validate_every=100", "optimiser.batch=1", arch=arch, scale=2,
    )  # fmt: skip
    loss = read_log(tmp_path / "run")["loss"]
    assert loss[-1] < 0.35 * loss[0]


def test_a_run_of_another_network_is_refused(folder: Path, whole: Path, tmp_path: Path) -> None:
    for given, words in (
        ({"arch": "wdsr-a"}, "found wdsr-a x2"),
        ({"scale": 4}, "expected wdsr-b x2.*, found wdsr-b x4"),
    ):
        with pytest.raises(OptionError, match=f"this run is of another network .*{words}"):
            run(folder, whole, *MORE, **given)
    with pytest.raises(OptionError, match=r"option `optimiser.rate` is not what this run began with"):
        run(folder, whole, *MORE, "optimiser.rate=0.5")
    with pytest.raises(WorkspaceError, match=r"the pictures to learn from changed since this run began"):
        run(pictures(tmp_path / "other", 4), whole, *MORE, "loop.steps=5")
    assert run(folder, whole, *MORE, "loop.log_every=9").step == 4  # finished: returns at once


def test_what_is_no_run(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a run"):
        open_run(tmp_path)
    text = (whole / "config.yaml").read_text()
    assert "# Most pixels of a side of a small picture in a validation" in text
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(WorkspaceError, match="nothing is trained yet"):
        open_run(tmp_path)
    (tmp_path / "config.yaml").write_text(text.replace("num_features: 8", "num_features: 10"))
    (tmp_path / "checkpoints").symlink_to(whole / "checkpoints")
    with pytest.raises(WorkspaceError, match="does not fit the model"):
        open_run(tmp_path)
    (tmp_path / "config.yaml").write_text("model: [")
    with pytest.raises(FormatError, match="not YAML"):
        open_run(tmp_path)


def test_what_is_not_finite_stops(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, plain, count = tmp_path / "run", trainee_module.pixel_loss, iter(range(9))
    monkeypatch.setattr(
        trainee_module, "pixel_loss", lambda *a: plain(*a) * (float("nan") if next(count) == 2 else 1.0)
    )
    more = ("loop.steps=5", "loop.validate_every=2", "loop.save_every_seconds=0")
    with pytest.raises(TrainingError, match="the loss is not finite in step 3 of"):
        run(folder, out, *more)
    bad, _ = load_checkpoint(out / "nan_batch_3.safetensors")
    assert (bad["low"].shape, bad["high"].shape) == ((2, 3, 6, 6), (2, 3, 24, 24))
    good = open_run(out, "latest")
    assert good.step == 2
    assert all(weight.isfinite().all() for weight in good.network.parameters())
    load_weights(out / "weights.safetensors")


def test_a_full_disk_under_the_weights(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, plain = tmp_path / "run", os.fsync

    def fsync(descriptor: int) -> None:
        if "weights" in str(Path(f"/proc/self/fd/{descriptor}").readlink().name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    more = ("loop.steps=3", "loop.validate_every=2", "loop.save_every_seconds=0")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(WorkspaceError, match=r"disk is full in .*weights.safetensors; .* it resumes"):
        run(folder, out, *more)
    monkeypatch.undo()
    assert not [path for path in out.rglob("*") if ".tmp" in path.name or path.name == "weights.safetensors"]
    run(folder, out, *more)
    run(folder, tmp_path / "undisturbed", *more)
    assert_same_end(out, tmp_path / "undisturbed", 3)


def test_training_on_from_weights(folder: Path, whole: Path, tmp_path: Path) -> None:
    made = options(tmp_path / "new", init=str(whole))
    assert (made.model.arch, made.model.scale, made.model.num_features) == ("wdsr-b", 2, 8)
    with pytest.raises(OptionError, match=r"for another scale .*expected scale 4"):
        options(tmp_path / "new", init=str(whole), scale=4)
    with pytest.raises(WorkspaceError, match="the run has no weights yet"):
        options(tmp_path / "new", init=str(tmp_path))
    with pytest.raises(OptionError, match="the weights are of another network"):
        run(folder, tmp_path / "new", "loop.steps=1", "model.num_blocks=2", init=str(whole))
    assert not (tmp_path / "new").exists()
    run(folder, tmp_path / "new", "loop.steps=1", "optimiser.rate=1e-12", "optimiser.ema=0", init=str(whole))
    begun, before = open_run(tmp_path / "new", "latest").network, load_weights(whole / "weights.safetensors")
    for own, other in zip(begun.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=0)


def test_without_pictures_to_validate_on_the_last_weights_are_exported(tmp_path: Path) -> None:
    result = run(pictures(tmp_path / "data", 1), tmp_path / "run", "loop.steps=2", "data.blind=true")
    assert result.best is None
    assert read_notes(tmp_path / "run" / "weights.safetensors")["steps"] == "2"


def test_how_long_it_trains_where_nobody_says(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[LoopOptions] = []

    def noted(trainee: object, out: Path, loop: LoopOptions, *_: object) -> TrainingResult:
        asked.append(loop)
        raise Killed

    monkeypatch.setattr("anyview.superresolution.train.train", noted)
    for settings in ((), ("loop.max_minutes=5",), ("loop.steps=7", "loop.max_minutes=5")):
        with pytest.raises(Killed):
            run(folder, tmp_path, *settings)
    assert [(loop.steps, loop.max_minutes) for loop in asked] == [(100_000, None), (None, 5), (7, 5)]


def test_small_pictures_are_not_validated_on_and_large_ones_in_their_middle(tmp_path: Path) -> None:
    from anyview.superresolution.data.pictures import open_folder

    network = build(options(tmp_path).model)
    small = open_folder(pictures(tmp_path / "small", 1, (16, 16)), 4)
    validation = Validation(small, 256)
    assert len(validation) == 0
    assert validation.picture(network) is None
    large = open_folder(pictures(tmp_path / "large", 1, (100, 120)), 4)
    middle = Validation(large, 16)
    truth = large.high(0)[16:80, 28:92]
    found, _ = middle.scores(network)
    assert found == scores(upscaled(network.eval(), large.low(0)[4:20, 7:23]), truth, 4)


def test_a_full_disk_under_any_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("anyview.training.checkpoint.save_file", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        save_weights(build(options(tmp_path).model), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
