"""`anyview superres train`: its words, a run from pictures to weights, one sentence per mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import tyro
from PIL import Image

from anyview.cli.superres_train import Train
from anyview.errors import AnyviewError
from anyview.superresolution.weights import read_notes
from little_superres import SETTINGS, pictures

WORDS = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def train(*words: str) -> int:
    return tyro.cli(Train, args=list(words)).run()


def test_from_pictures_to_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["anyview", "superres", "train", "a folder"])
    run, val = tmp_path / "run", pictures(tmp_path / "val", 2)
    words = [str(pictures(tmp_path / "data")), "--out", str(run), "--scale", "2", "--arch", "wdsr-a", *WORDS]
    assert train(*words, "--val", str(val), "--steps", "1") == 0
    out = capsys.readouterr().out
    assert "1 steps in" in out
    assert f"anyview superres upscale IMAGES --weights {run / 'weights.safetensors'}" in " ".join(out.split())
    notes = read_notes(run / "weights.safetensors")
    assert notes["command"] == "anyview superres train 'a folder'"
    assert notes["pictures"].startswith("3, ")


def test_pictures_that_do_not_fit_are_named_with_the_size_they_should_have(tmp_path: Path) -> None:
    high, low = pictures(tmp_path / "high"), tmp_path / "low"
    low.mkdir()
    for file in sorted(high.iterdir()):
        with Image.open(file) as image:
            image.resize((image.width // 2, image.height // 2)).save(low / file.name)
    words = [str(high), "--out", str(tmp_path / "run"), "--steps", "1", *WORDS, "--low", str(low)]
    with pytest.raises(AnyviewError, match=r"low/00\.png: expected 13 x 12, found 27 x 24"):
        train(*words)
    (low / "02.png").unlink()
    with pytest.raises(AnyviewError, match=r"no image belongs to .*02\.png"):
        train(*words, "--scale", "2")
    assert not (tmp_path / "run").exists()


def test_pictures_that_are_too_small(tmp_path: Path) -> None:
    words = [str(pictures(tmp_path / "data", 3, (16, 16))), "--out", str(tmp_path / "run"), "--steps", "1", *WORDS]
    with pytest.raises(AnyviewError, match="all images are smaller than a crop: expected 24 x 24"):
        train(*words)
    assert not (tmp_path / "run").exists()
