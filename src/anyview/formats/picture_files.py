"""Which images a user means: files, folders, patterns; and what each is called in what is written about it."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anyview.errors import OptionError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Of the files that are taken from folders; a file that is named itself may have any."""


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        path: of the file.
        name: its path in the folder that was given, or in the one that all files share; with /.
        stem: the name without its extension, or with it where two would be one.
    """

    path: Path
    name: str
    stem: str


def find_pictures(
    images: Sequence[str | Path], besides: Sequence[Path] = (), suffixes: Collection[str] = SUFFIXES
) -> list[Picture]:
    """The images that some words mean, each once, by name.

    Args:
        images: files, folders (and all below them, hidden ones left out), or patterns with * and ?.
        besides: folders whose files are left out: what is written must not be read again.
        suffixes: of the files that are taken from folders, in lower case.

    Raises:
        OptionError: no words, a path that is not there, a folder or a pattern without images.
    """
    if not images:
        raise OptionError("no image is named", expected="files, folders, or patterns in quotes")
    found: list[Path] = []
    for word in images:
        found += _files(word, besides, suffixes)
    paths = sorted({Path(os.path.abspath(path)): path for path in found}.items())  # noqa: PTH100 (links stay)
    roots = [Path(word) for word in images]
    root = Path(os.path.abspath(roots[0])) if len(roots) == 1 and roots[0].is_dir() else _shared(paths)  # noqa: PTH100
    names = [full.relative_to(root).as_posix() for full, _ in paths]
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    taken = Counter(stem.lower() for stem in stems) + Counter(name.lower() for name in names)
    return [
        Picture(path, name, stem if taken[stem.lower()] == 1 else name)
        for (_, path), name, stem in zip(paths, names, stems, strict=True)
    ]


def _shared(paths: list[tuple[Path, Path]]) -> Path:
    """The folder that all files lie in."""
    return Path(os.path.commonpath([full.parent for full, _ in paths]))


def _files(word: str | Path, besides: Sequence[Path], suffixes: Collection[str]) -> list[Path]:
    """The files that a word means."""
    path = Path(word)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if _is_picture(file, path, besides, suffixes)]
        if not found:
            expected = "files " + ", ".join(f"*{suffix}" for suffix in sorted(suffixes))
            raise OptionError("no images in the folder", where=path, expected=expected)
        return found
    if glob.has_magic(str(word)):
        files = [Path(name) for name in sorted(glob.glob(str(word), recursive=True))]  # noqa: PTH207 (absolute patterns)
        found = [file for file in files if file.is_file() and not _is_below(file, besides)]
        if not found:
            raise OptionError("no file fits the pattern", where=str(word), hint="check the path")
        return found
    raise OptionError("no such image or folder", where=path, hint="check the path")


def _is_picture(file: Path, folder: Path, besides: Sequence[Path], suffixes: Collection[str]) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in suffixes and not hidden and file.is_file() and not _is_below(file, besides)


def _is_below(file: Path, folders: Sequence[Path]) -> bool:
    return any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)
