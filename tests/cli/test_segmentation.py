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
from anyview.scene.load import load_scene
from anyview.scene.masks import with_masks
from anyview.segmentation.presets import PRESETS
from little_coco import write_folder
from little_training import SETTINGS
from refusals import refused
from tiny_scene import write_tiny_scene

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
    assert command.verb == Evaluate(Path("R"), "D", "train", json=Path("f.json"))


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


def test_other_data_and_what_reconstruct_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run is trained, judged on its own and on other images, and finds things in a scene's views."""
    run, scene = tmp_path / "run", write_tiny_scene(tmp_path / "scene", 2)
    own, other = write_folder(tmp_path / "own"), write_folder(tmp_path / "other")
    assert main(["segment", "train", str(own), "--out", str(run), *WORDS, "--steps", "1"]) == 0
    kept = {name: (run / name).read_bytes() for name in ("val.json", "report.html")}
    assert main(["segment", "eval", str(run), str(other)]) == 0
    assert {name: (run / name).read_bytes() for name in kept} == kept
    assert json.loads((run / "eval" / "other" / "val.json").read_text())["folder"] == str(other)
    assert (run / "eval" / "other" / "report.html").is_file()
    (tmp_path / "other").rename(tmp_path / "v1.2")
    labels = tmp_path / "v1.2" / "annotations" / "instances_val2017.json"
    for words, name in (((str(tmp_path / "v1.2"),), "v1.2"), ((str(labels),), labels.stem)):
        assert main(["segment", "eval", str(run), *words]) == 0
        assert (run / "eval" / name / "val.json").is_file()
    capsys.readouterr()
    assert main(["segment", "eval", str(run), str(own), "--out", str(tmp_path / "figures")]) == 0
    assert f"report {tmp_path}/figures/report.html" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["report.html", "val.json"]
    assert {name: (run / name).read_bytes() for name in kept} == kept
    found = tmp_path / "found"
    words = ["--weights", str(run), "--out", str(found), "--min-score", "0", "--precision", "float32"]
    assert main(["segment", "predict", str(scene / "train"), *words]) == 0
    things = json.loads((found / "predictions.json").read_text())["annotations"]
    assert {one["category_id"] for one in things} <= {3, 17, 90}
    assert things
    for view in with_masks(load_scene(scene), found / "masks"):
        mask = view.read()[1]
        assert mask is not None
        assert mask.shape == (96, 96)
        drawn = np.asarray(Image.open(found / "masks" / f"{Path(view.name).stem}.png"))
        assert np.array_equal(mask > 0, drawn > 0)


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
