"""Which images words mean, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyview.errors import OptionError
from anyview.formats.picture_files import find_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "a.png", "b.JPG", "notes.txt", ".hidden.png", ".cache/x.png", "sub/c.tif", "out/masks/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder: Path, *words: object) -> list[str]:
    return [p.name for p in find_pictures([str(word) for word in words], [folder / "out" / "masks"])]


def test_words(folder: Path) -> None:
    assert names(folder, folder) == ["a.jpg", "a.png", "b.JPG", "sub/c.tif"]
    assert names(folder, folder / "*.jpg") == ["a.jpg"]
    assert names(folder, folder / "**" / "*.tif") == ["c.tif"]
    assert names(folder, folder / "a.png", folder / "sub") == ["a.png", "sub/c.tif"]
    assert names(folder, folder / "notes.txt") == ["notes.txt"]  # who names it means it
    assert names(folder, folder / "a.png", folder / "a.*") == ["a.jpg", "a.png"]


def test_names_of_results_differ(folder: Path) -> None:
    assert [p.stem for p in find_pictures([folder], [folder / "out"])] == ["a.jpg", "a.png", "b", "sub/c"]


def test_a_double_ending_takes_no_others_name(folder: Path) -> None:
    (folder / "a.png.jpg").touch()
    stems = [p.stem for p in find_pictures([folder], [folder / "out"])]
    assert stems == ["a.jpg", "a.png", "a.png.jpg", "b", "sub/c"]


def test_words_that_mean_nothing(folder: Path) -> None:
    with pytest.raises(OptionError, match="no image is named"):
        find_pictures([])
    (folder / "empty").mkdir()
    for word, sentence in (("empty", "no images"), ("*.bmp", "no file fits"), ("none.png", "no such image or folder")):
        with pytest.raises(OptionError, match=sentence):
            find_pictures([folder / word])
