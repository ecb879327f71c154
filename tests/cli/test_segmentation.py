"""`anyview segment train | eval`: from labelled images to figures and a page; one sentence per mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.cli.main import main
from anyview.cli.parse import parse
from anyview.cli.segmentation import Evaluate, Segment, Train
from anyview.segmentation.presets import PRESETS
from little_training import SETTINGS
from refusals import refused

WORDS = [word for setting in SETTINGS for word in ("--set", setting)]


def test_words() -> None:
    command = parse(["segment", "train", "D", "--out", "O", "--weights", "COCO_V1", "--reset-heads", "--set", "a=1"])
    assert isinstance(command, Segment)
    assert command.verb == Train(data="D", out=Path("O"), weights="COCO_V1", reset_heads=True, set=("a=1",))
    command = parse(["segment", "eval", "R"])
    assert isinstance(command, Segment)
    assert command.verb == Evaluate(Path("R"))
    command = parse(["segment", "eval", "R", "D", "--split", "train", "--json", "f.json"])
    assert isinstance(command, Segment)
    assert command.verb == Evaluate(Path("R"), "D", "train", Path("f.json"))


def test_from_pictures_to_figures_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["segment", "train", "synthetic", "--out", str(run), *WORDS, "--steps", "1"]) == 0
    shown = capsys.readouterr().out
    assert "1 steps in" in shown
    assert f"next       anyview segment predict IMAGES --weights {run} --out OUT" in shown
    assert "2 images, val" in shown
    assert f"report     {run}/report.html" in shown
    content = json.loads((run / "val.json").read_text())
    assert content["images"] == 2
    assert content["step"] == 1
    assert {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR_100"} <= content["mask"].keys()
    assert content["mask"].keys() == content["box"].keys()
    assert [one["name"] for one in content["classes"]] == ["sphere", "box", "torus", "cylinder", "capsule", "cone"]
    page = (run / "report.html").read_text()
    assert "Worst images" in page
    assert "000001.png, what is there" in page
    assert "http" not in page.replace("http-equiv", "")  # nothing is loaded from elsewhere
    (run / "report.html").unlink()
    assert main(["segment", "eval", str(run), "--split", "train", "--json", str(tmp_path / "f.json")]) == 0
    assert "3 images, train" in capsys.readouterr().out
    assert json.loads((tmp_path / "f.json").read_text())["split"] == "train"
    assert (run / "report.html").is_file()


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "small", (*SETTINGS, "loop.steps=1"))
    assert main(["segment", "demo", "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "2 images, val" in shown
    assert f"picture    {tmp_path}/run/demo.png" in shown
    with Image.open(tmp_path / "run" / "demo.png") as picture:
        assert picture.width > 4 * 320  # both pictures, four columns
        assert np.ptp(np.asarray(picture)[..., :3]) > 100


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nowhere", "--out", "run"], "there is no such folder in nowhere"),
        (["train", "synthetic", "--out", "run", "--set", "optimizer.batch=2"], "no such option in "),
        (
            ["train", "synthetic", "--out", "run", "--set", "optimiser.batch=0"],
            "option out of range in optimiser.batch",
        ),
        (["train", "synthetic", "--out", "run", "--weights", "w.pth"], "there is no such file of weights in w.pth"),
        (["train", "synthetic", "--out", "run", "--set", "augment.copy_paste=0.5"], "copy-paste without `crop_size`"),
        (["eval", "nowhere"], "not a run in nowhere"),
    ],
)
def test_mistakes(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, ["segment", *words]).startswith(f"anyview: {sentence}")
    assert not (tmp_path / "run").exists()
