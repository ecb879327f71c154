"""Masks from a folder of their own."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.errors import SceneError
from anyview.formats.images import image_size
from anyview.progress import Silent
from anyview.scene.load import load_scene
from anyview.scene.masks import with_masks
from anyview.scene.scene import ArrayPixels, Scene
from tiny_scene import write_tiny_scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return load_scene(write_tiny_scene(tmp_path / "scene"))


def draw(path: Path, size: tuple[int, int], number: int) -> np.ndarray:
    """A mask of its own for each number."""
    mask = np.zeros(size[::-1], bool)
    mask[: 10 + number, :20] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path)
    return mask


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize("naming", ["whole", "stem", "no folder"])
def test_masks_by_name(scene: Scene, tmp_path: Path, naming: str) -> None:
    wanted = {}
    for number, view in enumerate(scene):
        name = {"whole": view.name + ".png", "stem": str(Path(view.name).with_suffix(".png"))}.get(naming)
        path = tmp_path / "masks" / (Path(view.name).name if name is None else name)
        wanted[view.name] = draw(path, image_size(view.path or ""), number)
    masked = with_masks(scene, tmp_path / "masks")
    assert len(masked) == len(scene) >= 2
    for before, view in zip(scene, masked, strict=True):
        rgb, mask = view.read()
        assert mask is not None
        assert np.array_equal(mask, wanted[view.name])
        assert np.array_equal(rgb, before.read()[0])
        assert view.pixels.fingerprint() != before.pixels.fingerprint()  # so that a workspace works anew


def test_views_without_a_mask_are_told(scene: Scene, tmp_path: Path) -> None:
    first = scene.views[0]
    draw(tmp_path / "masks" / (first.name + ".png"), image_size(first.path or ""), 3)
    notes = Notes()
    masked = with_masks(scene, tmp_path / "masks", notes)
    assert len(notes.lines) == 1
    assert f"no mask for {len(scene) - 1} of {len(scene)} views: {scene.views[1].name}" in notes.lines[0]
    assert masked.views[1] is scene.views[1]


def test_what_cannot_work(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no such folder of masks"):
        with_masks(scene, tmp_path / "nothing")
    (tmp_path / "masks").mkdir()
    with pytest.raises(SceneError, match="no view has a mask in this folder"):
        with_masks(scene, tmp_path / "masks")
    first = scene.views[0]
    draw(tmp_path / "masks" / (first.name + ".png"), (40, 30), 0)
    with pytest.raises(SceneError, match="mask size contradicts the image"):
        with_masks(scene, tmp_path / "masks")


def test_two_views_of_one_mask(scene: Scene, tmp_path: Path) -> None:
    first = scene.views[0]
    other = replace(first, name=f"other/{Path(first.name).name}")
    draw(tmp_path / "masks" / (Path(first.name).name + ".png"), image_size(first.path or ""), 0)
    with pytest.raises(SceneError, match="two views would have one mask"):
        with_masks(replace(scene, views=(first, other)), tmp_path / "masks")


def test_pixels_in_memory_take_no_files(scene: Scene, tmp_path: Path) -> None:
    first = scene.views[0]
    rgb, _ = first.read()
    view = replace(first, pixels=ArrayPixels(rgb), path=None)
    draw(tmp_path / "masks" / (view.name + ".png"), (rgb.shape[1], rgb.shape[0]), 0)
    with pytest.raises(SceneError, match="a view whose image is a file"):
        with_masks(replace(scene, views=(view,)), tmp_path / "masks")


def test_reconstruction_takes_them(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Scene] = []
    stage = import_module("anyview.pipelines.reconstruct")

    def stop(scene: Scene, *_: object, **__: object) -> None:
        given.append(scene)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage.pipeline, "reconstruct", stop)
    first = scene.views[0]
    mask = draw(tmp_path / "masks" / (first.name + ".png"), image_size(first.path or ""), 5)
    with pytest.raises(KeyboardInterrupt):
        stage.reconstruct(scene.root, tmp_path / "work", masks=tmp_path / "masks")
    _, found = given[0].views[0].read()
    assert found is not None
    assert np.array_equal(found, mask)
