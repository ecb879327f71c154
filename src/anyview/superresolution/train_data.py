"""What a user means by DATA: the pictures to learn from, and the ten that a run is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from anyview.errors import OptionError
from anyview.formats.div2k import Div2kSplit, Track, is_div2k, large, small
from anyview.progress import SILENT, Progress
from anyview.superresolution.data.pairs import Pair, check_pair, find_pairs, image_files
from anyview.superresolution.data.pictures import Pictures, open_files, open_pairs

VALIDATION = 10
"""Pictures that a run is validated on."""

_VALIDATION_NAMES = ("val", "valid", "validation", "test")

One = TypeVar("One", Path, Pair)


@dataclass(frozen=True, eq=False)
class TrainingPictures:
    """What a run learns from, and what it is judged by; None where nothing is left for that."""

    train: Pictures = field(repr=False)
    val: Pictures | None = field(repr=False)


def training_pictures(
    data: str | Path,
    scale: int,
    *,
    low: str | Path | None = None,
    val: str | Path | None = None,
    track: Track = "bicubic",
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> TrainingPictures:
    """The pictures of a folder, whichever layout it has:

    - DIV2K's root; small pictures of the track bicubic are made where they are not there;
    - `HR` and `LR`, or `data` and `low`: pairs matched by sorted order;
    - `train` and one of `val`, `valid`, `validation`, `test`: pictures, whose small ones are made;
    - any folder of pictures.

    Where no others are there to validate on, ten are held back (a tenth where there are fewer than a hundred). Where
    `val` is given, all of the data is learnt from: of a folder with `train` and `test`, both.

    Args:
        data: the folder.
        scale: how many times as large the large pictures are.
        low: a folder of small pictures.
        val: a folder of other pictures, `HR` and `LR` or files marked `_HR` and `_LR`; ten are validated on.
        track: of DIV2K.
        seed: of the choice of those that are held back.
        cache: see `open_pairs`.
        progress: told of what is found, left out and decoded.

    Raises:
        OptionError: there is no such folder, or a track where there is no DIV2K.
        FormatError: pairs do not fit, an image is damaged or missing.
        WorkspaceError: the disk is full, or the cache's folder not writable.
    """
    root = Path(data)
    others = None if val is None else _given(Path(val), scale, cache, progress)
    if low is None and is_div2k(root):
        return _div2k(root, scale, track, others, cache, progress)
    if track != "bicubic":
        raise OptionError("only DIV2K has tracks", where=root, expected="DIV2K_train_HR", actual=track)
    high_side, low_side = (root, Path(low)) if low is not None else (root / "HR", root / "LR")
    if low is not None or (high_side.is_dir() and low_side.is_dir()):
        pairs, held = _held_back(find_pairs(high_side, low_side, scale, progress), seed, root, others, progress)
        if held:
            others = open_pairs(held, scale, cache, progress)
        return TrainingPictures(open_pairs(pairs, scale, cache, progress), others)
    beside = next((root / name for name in _VALIDATION_NAMES if (root / name).is_dir()), None)
    if others is None and (root / "train").is_dir() and beside is not None:
        files, rest = image_files(root / "train"), _spread(image_files(beside))
    else:
        files, rest = _held_back(image_files(root), seed, root, others, progress)
    if rest:
        others = open_files(rest, scale, cache, progress)
    return TrainingPictures(open_files(files, scale, cache, progress), others)


def _given(folder: Path, scale: int, cache: Path | None, progress: Progress) -> Pictures:
    """Those that the user wants to validate on."""
    sides = folder / "HR", folder / "LR"
    if not all(side.is_dir() for side in sides):
        files = image_files(folder)
        if not any(file.stem.lower().endswith("_lr") for file in files):
            return open_files(_spread(files), scale, cache, progress)
        sides = folder, folder
    return open_pairs(_spread(find_pairs(*sides, scale, progress)), scale, cache, progress)


def _div2k(
    root: Path, scale: int, track: Track, others: Pictures | None, cache: Path | None, progress: Progress
) -> TrainingPictures:
    """Its 800, and the first ten of its hundred, where they are there and no others are given."""

    def opened(split: Div2kSplit, most: int | None) -> Pictures:
        high, part = large(split).paths(root)[:most], small(split, scale, track)
        if track == "bicubic" and not (root / part.folder).is_dir():
            return open_files(high, scale, cache, progress)
        pairs = [check_pair(*pair, scale) for pair in zip(high, part.paths(root)[:most], strict=True)]
        return open_pairs(pairs, scale, cache, progress)

    train = opened("train", None)
    if others is not None:
        return TrainingPictures(train, others)
    if (root / large("val").folder).is_dir():
        return TrainingPictures(train, opened("val", VALIDATION))
    progress.note(f"{root} has no {large('val').folder}: there is nothing to validate on")
    return TrainingPictures(train, None)


def _held_back(
    items: Sequence[One], seed: int, root: Path, others: Pictures | None, progress: Progress
) -> tuple[list[One], list[One]]:
    """Those to learn from, and those that are not, drawn by the seed; none where there are others."""
    if others is not None:
        return list(items), []
    count = min(VALIDATION, max(len(items) // 10, 1)) if len(items) > 1 else 0
    order = np.random.default_rng([seed, len(items)]).permutation(len(items)).tolist()
    if count:
        progress.note(f"{root} has no images to validate on: {count} of {len(items)} are held back")
    return [items[i] for i in sorted(order[count:])], [items[i] for i in sorted(order[:count])]


def _spread(files: list[One]) -> list[One]:
    """Ten, evenly over all: neighbours are often alike."""
    count = min(VALIDATION, len(files))
    return [files[i * len(files) // count] for i in range(count)]
