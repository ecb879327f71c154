"""mip-NeRF learns a fog that is known in closed form; kills, backgrounds and precisions change what they should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from anyview.errors import OptionError
from anyview.radiance import train_mip
from anyview.radiance.evaluate import evaluate
from anyview.radiance.fields.mip import learning_rate
from anyview.radiance.options import RadianceOptions
from anyview.radiance.run import open_run, read_config
from anyview.radiance.train import train_field
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.training.config import with_values
from anyview.training.log import read_log
from anyview.training.loop import LoopOptions, TrainingResult
from anyview.training.trainee import Moment
from small_trainee import Notes
from soft_run import small_options, soft_scene, soft_trainee
from soft_scene import write_soft_scene


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Steps of so few rays take longer to share out than to do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_tiny_scene_is_learnt_to_above_40_db(tmp_path: Path, one_thread: None) -> None:
    """42.0 dB were measured, 40.2 after 500 steps."""
    write_soft_scene(tmp_path / "scene", 2, size=16)
    settings = (
        "mip.batch=128", "mip.delay=20", "mip.lr_last=5e-5", "mip.model.width=64", "mip.model.degrees=8",
        "mip.model.head_width=32", "data.holdout=0", "data.near=2.8", "data.far=5.2", "loop.steps=700",
    )  # fmt: skip
    train_field(tmp_path / "scene", tmp_path / "run", small_options(*settings))
    notes = Notes()
    figures = evaluate(open_run(tmp_path / "run", progress=notes), "train")
    assert figures.means()["psnr"] > 40
    assert notes.said[0] == "this run has no best weights; those of step 700 are taken"


def test_it_gets_better_and_says_so(tmp_path: Path) -> None:
    options = small_options("loop.steps=60", "loop.log_every=20", "loop.validate_every=20", "mip.batch=128")
    result = train_field(soft_scene(), tmp_path / "run", options)
    log = read_log(tmp_path / "run")
    assert {"loss", "psnr", "items", "lr", "validation/psnr"} <= set(log)
    assert log["loss"][-1] < 0.7 * log["loss"][0]
    assert (log["items"] == 128).all()
    assert log["validation/psnr"][-1] > log["validation/psnr"][0]
    assert result.best is not None
    assert result.figures["psnr"] == pytest.approx(log["validation/psnr"][-1])
    assert log["lr"][-1] == pytest.approx(learning_rate(59, 5e-3, 1e-4, 60, 0))


def test_other_options_are_refused_and_more_steps_are_not(tmp_path: Path) -> None:
    train_field(soft_scene(), tmp_path / "run", small_options())
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(OptionError) as error:
        train_field(soft_scene(), tmp_path / "run", small_options("mip.batch=32"))
    assert str(error.value) == (
        f"option `mip.batch` is not what this run began with in {tmp_path / 'run'}: expected 64, found 32; "
        "leave it as it was, or choose another --out"
    )
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    result = train_field(soft_scene(), tmp_path / "run", small_options("loop.steps=8", "data.memory_gib=1.0"))
    assert (result.step, read_config(tmp_path / "run").loop.steps) == (8, 8)


def test_another_scene_is_refused_even_at_the_same_place(tmp_path: Path) -> None:
    write_soft_scene(tmp_path / "scene", 3, size=8)
    train_field(tmp_path / "scene", tmp_path / "run", small_options())
    write_soft_scene(tmp_path / "scene", 4, size=8)
    with pytest.raises(OptionError, match="option `views` is not what this run began with"):
        train_field(tmp_path / "scene", tmp_path / "run", small_options("loop.steps=9"))


def test_half_precision_only_in_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are in 16 bits, encodings and compositing are not; the result is near the one in 32 bits."""
    kinds: dict[str, set[torch.dtype]] = {"linear": set(), "weights": set(), "encoded": set()}
    from anyview.radiance.fields import mip

    encode, compose, linear = mip.integrated_encoding, mip.composite, torch.nn.functional.linear

    def seen(name: str, value: torch.Tensor) -> torch.Tensor:
        kinds[name].add(value.dtype)
        return value

    def composite(*arguments: object) -> object:
        made = compose(*arguments)  # type: ignore[arg-type]
        seen("weights", made.weights)
        return made

    monkeypatch.setattr(mip, "integrated_encoding", lambda *a: seen("encoded", encode(*a)))
    monkeypatch.setattr(mip, "composite", composite)
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *a: seen("linear", linear(*a)))
    made = soft_trainee("mip", "loop.precision=bf16-mixed")
    half = float(made.step(Moment(0, 0.0))["loss"])
    assert kinds == {"linear": {torch.bfloat16}, "weights": {torch.float32}, "encoded": {torch.float32}}
    whole = float(soft_trainee("mip").step(Moment(0, 0.0))["loss"])
    assert half == pytest.approx(whole, rel=0.02)
    assert half != whole


def test_features_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three layers of 32, a head of 16, encodings of 30 and 30; 8 intervals on two levels."""
    monkeypatch.setattr(train_mip, "_FEATURE_BYTES", 20 * 4 * 2 * 8 * (3 * 32 + 16 + 60))
    made, asked = soft_trainee("mip"), []
    made._model.register_forward_pre_hook(lambda _, given: asked.append(len(given[0].origins)))
    made.step(Moment(0, 0.0))
    assert asked == [20, 20, 20, 4]


def test_validation_looks_at_every_view_and_always_at_the_same_pixels() -> None:
    made = soft_trainee("mip")
    assert len(made._validation._parts) == 2
    assert all(len(truth) == 64 for _, truth in made._validation._parts)
    assert made.validate(Moment(0, 0.0)) == made.validate(Moment(3, 0.5))
    views = field_views(load_scene(soft_scene()), small_options().data)
    none = MipTrainee(small_options(), replace(views, val=()))
    none.setup(Fabric(accelerator="cpu", devices=1))
    assert none.validate(Moment(0, 0.0)) == {}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (["field=grid"], 10_000),
        (["field=mip"], 1_000_000),  # the paper's
        (["field=mip", "loop.max_minutes=10"], None),  # the time alone ends it
        (["field=grid", "loop.max_minutes=10"], None),
        (["field=grid", "loop.max_minutes=10", "loop.steps=7"], 7),
    ],
)
def test_how_long_a_training_is(
    settings: list[str], steps: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def loop(trainee: object, run: Path, options: LoopOptions, *rest: Any) -> TrainingResult:
        asked.append(options)
        rest[-1]()  # all is ready
        return TrainingResult(0, 0.0, {}, None, run)

    monkeypatch.setattr("anyview.radiance.train.train", loop)
    train_field(soft_scene(), tmp_path / "run", with_values(RadianceOptions(), settings))
    assert [options.steps for options in asked] == [steps]
    assert read_config(tmp_path / "run").loop.steps == (steps if "loop.steps=7" in settings else None)


def test_mip_takes_no_geometry(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the field mip takes no geometry in geometry; choose --field grid"):
        train_field(soft_scene(), tmp_path / "run", small_options("geometry=somewhere"))
    assert not (tmp_path / "run").exists()
