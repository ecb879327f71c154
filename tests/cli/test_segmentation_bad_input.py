"""`anyview segment train` on damaged labels, images and weights: one sentence, and no run that was half begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from anyview.formats.images import image_header
from anyview.segmentation.mask_rcnn import MaskRCNN
from little_coco import write_folder
from little_training import SETTINGS, options
from refusals import refused

LABELS = "annotations/instances_train2017.json"
WORDS = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


def _text(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / LABELS).write_text(text)


def _unlisted(folder: Path) -> None:
    content = json.loads((folder / LABELS).read_text())
    content["annotations"][0]["category_id"] = 5
    (folder / LABELS).write_text(json.dumps(content))


def _cut(*names: str) -> Callable[[Path], object]:
    """Photographs whose heads are whole, and of whose pixels half are missing."""

    def cut(folder: Path) -> None:
        for name in names:
            Image.open(folder / name).save(folder / name, "JPEG", quality=95)
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) * 2 // 3])
            assert image_header(folder / name).width > 0

    return cut


def _gone(folder: Path) -> None:
    for path in (folder / "train2017").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_text('{"images": ['), "not JSON ("),
        (_text(""), "not JSON ("),
        (_text("[]"), f"wrong JSON in data/{LABELS}: expected an object, found list"),
        (_text('{"images": []}'), f"lists are missing in data/{LABELS}: expected annotations, categories"),
        (_unlisted, f"category that is not listed in data/{LABELS} (annotation 1): expected one of 3, 17, 90, found 5"),
        (_gone, f"none of the images is there in data/{LABELS}: expected 0.png"),
        (
            lambda folder: (folder / "train2017" / "1.png").write_bytes(b""),
            "image cannot be read in data/train2017/1.png: found 0 bytes; copy it again, or remove it",
        ),
        (_cut("train2017/3.png"), "image cannot be read in data/train2017/3.png: found "),
        (_cut("val2017/2.png"), "image cannot be read in data/val2017/2.png: found "),
        (
            _cut("train2017/0.png", "train2017/3.png", "val2017/2.png"),
            "3 images cannot be read in data/train2017/0.png, data/train2017/3.png, data/val2017/2.png; copy them "
            "again, or remove them: an image whose file is missing is left out",
        ),
    ],
)
def test_damaged_data(
    folder: Path,
    spoil: Callable[[Path], object],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder.parent)
    spoil(folder)
    assert refused(capsys, ["segment", "train", "data", "--out", "run", *WORDS]).startswith(f"anyview: {sentence}")
    assert not (folder.parent / "run").exists()


def test_a_checkpoint_with_another_number_of_classes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "seven.pth", tmp_path / "run"
    torch.save(MaskRCNN(options(out, "model.num_classes=7", weights="seven").model).state_dict(), file)
    said = refused(capsys, ["segment", "train", str(folder), "--out", str(out), "--weights", str(file), *WORDS])
    assert said.startswith(f"anyview: the weights are for another number of classes in {file}: found roi_heads.box")
    assert "roi_heads.mask_predictor.mask_fcn_logits.bias (7,), here (4,)" in said
    assert said.endswith("pass reset_heads=True (--reset-heads) to start the last layers anew")
    assert [path.name for path in out.iterdir()] == [".anyview"]  # its lock
