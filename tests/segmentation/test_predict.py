"""From image files to files about them, by the command and from Python; a tiny model stands in for a trained one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyview.cli.main import main
from anyview.errors import OptionError, WorkspaceError
from anyview.formats.coco import read_coco
from anyview.formats.coco_masks import RLE, decode_mask
from anyview.formats.images import read_image
from anyview.scene.pixels import find_mask
from anyview.segmentation.data.classes import named_classes
from anyview.segmentation.detector import Detector
from anyview.segmentation.predict import PredictOptions, find_objects, predict
from anyview.segmentation.pretrained import Pretrained
from anyview.segmentation.tiles import TileOptions
from mask_rcnn_pair import CLASSES, pair, pictures

NAMES = ["cup", "dog", "tree", "car"]
SIZE = (96, 128)


@pytest.fixture(scope="module")
def pretrained() -> Pretrained:
    assert len(NAMES) == CLASSES - 1
    return Pretrained(pair("18")[1], named_classes(NAMES), "RUN")


@pytest.fixture(scope="module")
def detector(pretrained: Pretrained) -> Detector:
    return Detector(pretrained.model, min_score=0.5, precision="float32", device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs in a folder and one below it."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, image in zip(["a.png", "b.png", "more/c.png"], pictures([SIZE] * 3, seed=31), strict=True):
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(folder / name)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, pretrained: Pretrained, tmp_path: Path) -> Path:
    """The folder of a training run, and what opens it."""
    opened = SimpleNamespace(model=pretrained.model, classes=pretrained.classes, options=None)
    monkeypatch.setitem(sys.modules, "anyview.segmentation.run", SimpleNamespace(open_run=lambda *_, **__: opened))
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def command(photos: object, run: Path, out: Path, *more: str) -> int:
    return main(["segment", "predict", str(photos), "--weights", str(run), "--out", str(out), *more])


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in sorted(out.rglob("*")) if path.is_file() and ".anyview" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def test_what_is_written(photos: Path, run: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained) -> None:
    out = tmp_path / "out"
    assert command(photos, run, out, "--format", "coco,png", "--format", "rle", "--precision", "float32") == 0
    stems = ["a", "b", "more/c"]
    kinds = {"overlays": "jpg", "masks": "png", "instances": "png", "rle": "json"}
    assert set(files(out)) == {"predictions.json", *(f"{k}/{s}.{x}" for k, x in kinds.items() for s in stems)}
    data = read_coco(out / "predictions.json")
    assert [(i.file_name, i.height, i.width) for i in data.images] == [(f"{s}.png", *SIZE) for s in stems]
    assert [c.name for c in data.categories] == NAMES
    content = json.loads((out / "predictions.json").read_text())
    for image in data.images:
        stem = image.file_name.removesuffix(".png")
        _, result = find_objects(photos / image.file_name, pretrained, detector, TileOptions())
        assert len(result) >= 2
        own = [a for a in content["annotations"] if a["image_id"] == image.id]
        assert [a["category_id"] for a in own] == result.labels.tolist()
        assert [a["score"] for a in own] == pytest.approx(result.scores.tolist())
        assert [a["area"] for a in own] == result.masks().sum((1, 2)).tolist()
        masks = [a.segmentation for a in data.annotations if a.image_id == image.id]
        assert all(
            isinstance(m, RLE) and np.array_equal(decode_mask(m) > 0, w)
            for m, w in zip(masks, result.masks(), strict=True)
        )
        assert np.array_equal(np.array(Image.open(out / "masks" / f"{stem}.png")) == 255, result.union())
        numbers = np.array(Image.open(out / "instances" / f"{stem}.png"))
        assert np.array_equal(numbers, result.numbers())
        assert Image.open(out / "instances" / f"{stem}.png").mode == "I;16"
        one = json.loads((out / "rle" / f"{stem}.json").read_text())
        assert [o["class"] for o in one["objects"]] == result.names
        assert [o["mask"] for o in one["objects"]] == [a["segmentation"] for a in own]
        mask = find_mask(out, f"images/{image.file_name}")  # as the scene loader looks for it
        assert mask is not None
        assert np.array_equal(read_image(mask)[0][..., 0] >= 0.5, result.union())


def test_classes_that_are_kept(photos: Path, run: Path, tmp_path: Path) -> None:
    assert command(photos, run, tmp_path / "all", "--no-overlays") == 0
    everything = json.loads((tmp_path / "all" / "predictions.json").read_text())["annotations"]
    found = sorted({a["category_id"] for a in everything})
    assert len(found) >= 2
    name = NAMES[found[0] - 1]
    words = ["--no-overlays", "--format", "coco", "--keep", name, "--min-score", "0.6"]
    assert command(photos, run, tmp_path / "some", *words) == 0
    kept = json.loads((tmp_path / "some" / "predictions.json").read_text())["annotations"]
    wanted = [a for a in everything if a["category_id"] == found[0] and a["score"] >= 0.6]
    assert [(a["bbox"], a["score"]) for a in kept] == [(a["bbox"], a["score"]) for a in wanted]
    assert set(files(tmp_path / "some")) == {"predictions.json"}


class Looks:
    """How often a detector looks, and after how many times it is killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.most = 0, 99
        call = Detector.__call__

        def counted(detector: Detector, *given: Any) -> Any:
            if self.count == self.most:
                raise KeyboardInterrupt
            self.count += 1
            return call(detector, *given)

        monkeypatch.setattr(Detector, "__call__", counted)


def test_killed_and_run_again(
    photos: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, options = Looks(monkeypatch), PredictOptions()
    predict([photos], tmp_path / "whole", pretrained, detector, options)
    assert looks.count == 3
    looks.count, looks.most = 0, 2
    with pytest.raises(KeyboardInterrupt):
        predict([photos], tmp_path / "out", pretrained, detector, options)
    looks.count, looks.most = 0, 99
    done = predict([photos], tmp_path / "out", pretrained, detector, options)
    assert looks.count == 1
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert done.images == 3
    assert done.objects == len(json.loads((tmp_path / "out/predictions.json").read_text())["annotations"])


def test_done_again_where_something_has_changed(
    photos: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, out, usual = Looks(monkeypatch), tmp_path / "out", PredictOptions()

    def again(options: PredictOptions) -> int:
        looks.count = 0
        predict([photos], out, pretrained, detector, options)
        return looks.count

    assert (again(usual), again(usual)) == (3, 0)
    (out / "masks" / "a.png").write_bytes(b"damaged")
    assert again(usual) == 1
    Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(photos / "b.png")
    assert again(usual) == 1
    assert again(PredictOptions(overlays=False, formats=("coco",))) == 3
    assert set(files(out)) == {"predictions.json"}  # what is not wanted any more is gone


def stored_formats(folder: Path) -> dict[str, tuple[int, int]]:
    """One picture in every form that cameras and programs leave behind; sizes as they are stored."""
    folder.mkdir()
    rgb = np.array(Image.fromarray((pictures([SIZE], seed=31)[0].permute(1, 2, 0) * 255).byte().numpy()))
    picture, grey = Image.fromarray(rgb), rgb.mean(2)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "plain.png")
    Image.fromarray((grey * 257).astype(np.uint16)).save(folder / "sixteen.png")
    picture.convert("L").save(folder / "grey.png")
    picture.quantize(64).save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.rotate(90, expand=True).save(folder / "turned.png", exif=exif)
    picture.save(folder / "film.gif", save_all=True, append_images=[picture.rotate(180)])
    return {path.name: SIZE[::-1] if path.stem == "turned" else SIZE for path in sorted(folder.iterdir())}


def test_odd_and_damaged_images(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = stored_formats(tmp_path / "odd")
    (tmp_path / "odd" / "empty.jpg").write_bytes(b"")
    (tmp_path / "odd" / "text.png").write_text("no image")
    cut = (tmp_path / "odd" / "plain.png").read_bytes()
    (tmp_path / "odd" / "cut.png").write_bytes(cut[: len(cut) // 2])
    out = tmp_path / "out"
    assert command(tmp_path / "odd", run, out, "--precision", "float32") == 2
    said = capsys.readouterr().err
    for name in ("empty.jpg", "text.png", "cut.png"):
        assert f"image cannot be read in {tmp_path / 'odd' / name}" in said
    assert "images of several frames, of which the first is taken: 1, the first in film.gif" in said
    (last,) = [line for line in said.splitlines() if line.startswith("anyview: ")]
    assert "3 of 11 images cannot be read (cut.png, empty.jpg, text.png); the others are done" in last
    data = read_coco(out / "predictions.json")
    assert {i.file_name: (i.height, i.width) for i in data.images} == sizes
    masks = {name: np.array(Image.open(out / "masks" / f"{Path(name).stem}.png")) > 0 for name in sizes}
    assert {name: mask.shape for name, mask in masks.items()} == sizes
    plain = masks["plain.png"]
    assert plain.any()
    assert np.array_equal(masks["alpha.png"], plain)
    assert np.array_equal(np.rot90(masks["turned.png"], -1), plain)  # found upright, told of stored pixels
    assert all(len(list((out / "overlays").glob(f"{Path(name).stem}.jpg"))) == 1 for name in sizes)
    assert Image.open(out / "overlays" / "turned.jpg").size == Image.open(out / "overlays" / "plain.jpg").size


def test_tiles(photos: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained) -> None:
    large = np.kron(np.array(Image.open(photos / "a.png")), np.ones((2, 2, 1), np.uint8))
    Image.fromarray(large).save(tmp_path / "large.png")
    pixels, whole = find_objects(tmp_path / "large.png", pretrained, detector, TileOptions(0))
    _, tiled = find_objects(tmp_path / "large.png", pretrained, detector, TileOptions(128))
    assert pixels.shape == (192, 256, 3)
    assert tiled.size == whole.size == (192, 256)
    assert len(tiled) > len(whole)  # a random model finds something anywhere


def test_results_are_not_mixed_with_others(
    photos: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained
) -> None:
    (tmp_path / "out" / "masks").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="results would mix with files that are none of their own"):
        predict([photos], tmp_path / "out", pretrained, detector, PredictOptions())
    assert not (tmp_path / "out" / "overlays").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--keep", "cat"], "class that the model does not know: expected one of cup, dog, tree, car, found cat"),
        (["--format", "png,gif"], "no such format in --format: expected coco, png or rle, found gif"),
        (["--min-score", "2"], "option out of range in --min-score: expected 0 to 1, found 2"),
        (["--tile", "3"], "option out of range in --tile"),
    ],
)
def test_options_that_cannot_work(
    photos: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert command(photos, run, tmp_path / "out", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_wanted(photos: Path, tmp_path: Path, detector: Detector, pretrained: Pretrained) -> None:
    with pytest.raises(OptionError, match="nothing to write"):
        predict([photos], tmp_path, pretrained, detector, PredictOptions(formats=(), overlays=False))
