"""Scores of test sets in all layouts, by the command; bicubic's are the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.cli.main import main
from anyview.errors import FormatError, OptionError
from anyview.superresolution.benchmark_sets import find_set
from anyview.superresolution.bicubic import shrunk
from anyview.superresolution.build import edsr, wdsr_b
from anyview.superresolution.data.pairs import Pair
from anyview.superresolution.evaluate import bicubic, evaluate
from anyview.superresolution.scores import scores, to_bytes
from anyview.superresolution.weights import load_weights, save_weights
from keras_weights import edsr_weights, write_h5
from little_superres import pictures, run
from refusals import refused
from shipped_pairs import FOLDER, needs_shipped

LABELS = ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"]


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """HR and LR, x2."""
    high = pictures(tmp_path / "HR", 3, (48, 60))
    (tmp_path / "LR").mkdir()
    for path in high.iterdir():
        with Image.open(path) as image:
            Image.fromarray(shrunk(np.asarray(image), 2)).save(tmp_path / "LR" / f"{path.stem}x2.png")
    return high, tmp_path / "LR"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(wdsr_b(2, 1, 8), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@needs_shipped
def test_bicubic_is_the_published_one(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    words = ["superres", "eval", "--weights", "bicubic", "--set", "Set5", "Set14", "--sets-folder", str(FOLDER)]
    assert main([*words, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    for name, psnr, ssim, images in (("Set5", 28.42, 0.8104, 5), ("Set14", 26.00, 0.7027, 14)):
        assert found[name]["psnr_y"] == pytest.approx(psnr, abs=0.02)
        assert found[name]["ssim_y"] == pytest.approx(ssim, abs=0.001)
        assert found[name]["images"] == len(found[name]["each"]) == images


def test_pairs_of_folders(
    tmp_path: Path, pairs: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.json"
    words = ["superres", "eval", "--weights", str(weights), "--hr", str(pairs[0]), "--lr", str(pairs[1])]
    assert main([*words, "--scale", "2", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    network, each = load_weights(weights), []
    for path in sorted(pairs[0].iterdir()):
        low, high = (np.asarray(Image.open(p)) for p in (pairs[1] / f"{path.stem}x2.png", path))
        with torch.no_grad():
            out = to_bytes(network(torch.from_numpy(low.copy()).permute(2, 0, 1)[None] / 255)[0])
        each.append(scores(out, high, 2).labelled())
    for label in LABELS:
        assert found[label] == pytest.approx(np.mean([one[label] for one in each]), abs=1e-3)
    assert (found["scale"], found["images"], list(found["each"])) == (2, 3, ["00", "01", "02"])
    said = capsys.readouterr().out
    assert "PSNR Y" in said
    assert "PSNR RGB" in said
    assert "a border of 2 pixels cropped" in said


def test_a_run(tmp_path: Path, pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run(pairs[0], tmp_path / "run", "loop.steps=2", scale=2, arch="edsr")
    for words in (["RUN"], ["--weights", "RUN"], ["--weights", "RUN/weights.safetensors"]):
        words = [word.replace("RUN", str(tmp_path / "run")) for word in words]
        file = tmp_path / "out.json"
        assert main(["superres", "eval", *words, "--set", str(pairs[0]), "--json", str(file)]) == 0
        found = json.loads(file.read_text())
        assert found[str(pairs[0])]["images"] == 3
        sentence = refused(capsys, ["superres", "eval", *words, "--set", str(pairs[0]), "--scale", "4"])
        assert "for another scale" in sentence
        assert "expected scale 4, found scale 2" in sentence


@pytest.mark.parametrize("layout", ["image_SRF_2", "benchmark", "two", "names", "pictures"])
def test_layouts(tmp_path: Path, pairs: tuple[Path, Path], layout: str) -> None:
    root = tmp_path / "sets" / "Some"
    places = {
        "image_SRF_2": ("image_SRF_2/{}_SRF_2_HR.png", "image_SRF_2/{}_SRF_2_LR.png"),
        "benchmark": ("HR/{}.png", "LR_bicubic/X2/{}x2.png"),
        "two": ("HR/{}.png", "LR/{}.png"),
        "names": ("{}_HR.png", "{}_LR.png"),
        "pictures": ("{}.png", None),
    }[layout]
    for path in pairs[0].iterdir():
        for place, source in zip(places, (path, pairs[1] / f"{path.stem}x2.png"), strict=True):
            if place is not None:
                target = root / place.format(path.stem)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
    items = find_set("Some", 2, tmp_path / "sets")
    assert len(items) == 3
    assert all(isinstance(item, Pair) for item in items) == (layout != "pictures")
    found = evaluate(items, bicubic(2), 2)
    direct = evaluate(find_set(str(pairs[0]), 2), bicubic(2), 2)
    assert list(found.mean.labelled().values()) == pytest.approx(list(direct.mean.labelled().values()))


def test_what_does_not_fit(
    tmp_path: Path, pairs: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    high, low = (str(side) for side in pairs)
    words = ["superres", "eval", "--weights", str(weights), "--hr", high, "--lr", low]
    assert "expected scale 4, found scale 2" in refused(capsys, [*words, "--scale", "4"])
    with Image.open(pairs[1] / "01x2.png") as image:
        image.crop((0, 0, 20, 20)).save(pairs[1] / "01x2.png")
    sentence = refused(capsys, words)
    assert "01x2.png" in sentence
    assert "expected 32 x 24, found 20 x 20" in sentence
    (pairs[1] / "01x2.png").unlink()
    assert "no image belongs to" in refused(capsys, words)
    assert "there is no such test set in Set99" in refused(capsys, [*words[:4], "--set", "Set99"])
    assert "one thing to score" in refused(capsys, ["superres", "eval", "--set", "Set5"])
    assert "one thing to score" in refused(capsys, [*words[:2], "run", *words[2:]])
    assert "pictures to score on" in refused(capsys, words[:4])
    assert "pictures to score on" in refused(capsys, [*words, "--set", "Set5"])
    assert "not a run" in refused(capsys, ["superres", "eval", str(tmp_path), *words[4:]])
    assert "no such weights" in refused(capsys, ["superres", "eval", "--weights", "none", *words[4:]])


def test_pictures_too_small_for_ssim_are_named(tmp_path: Path) -> None:
    pictures(tmp_path, 1, (12, 12))
    with pytest.raises(FormatError, match=r"too small for SSIM in .*00\.png"):
        evaluate(find_set(str(tmp_path), 2), bicubic(2), 2)


def test_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_h5(tmp_path / "weights.h5", edsr_weights(4, 8, 2))
    assert main(["superres", "import", str(tmp_path / "weights.h5"), "--out", str(tmp_path / "edsr.safetensors")]) == 0
    assert "edsr x4, 2 blocks, 8 features" in capsys.readouterr().out
    network = load_weights(tmp_path / "edsr.safetensors")
    assert network.options == edsr(4, 2, 8).options
    words = ["superres", "import", str(tmp_path / "none.h5"), "--out"]
    assert "no such file of weights" in refused(capsys, [*words, str(tmp_path / "a.safetensors")])
    words[2] = str(tmp_path / "weights.h5")
    assert "expected .safetensors" in refused(capsys, [*words, str(tmp_path / "a.pt")])


def test_a_set_with_one_side_only(tmp_path: Path) -> None:
    pictures(tmp_path / "Some", 2)
    for path in list((tmp_path / "Some").iterdir()):
        path.rename(path.with_name(f"{path.stem}_LR.png"))
    with pytest.raises(FormatError, match="both sides of no pair"):
        find_set("Some", 2, tmp_path)
    (tmp_path / "Empty").mkdir()
    with pytest.raises(OptionError, match="no images"):
        find_set("Empty", 2, tmp_path)
