"""Which small picture belongs to which large one: two folders, matched by sorted order, names and sizes checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from anyview.errors import FormatError, OptionError
from anyview.formats.images import image_header, read_rgb
from anyview.formats.picture_files import SUFFIXES
from anyview.progress import SILENT, Progress

_SIDE = r"[ ._-](hr|lr|gt|lq)|[ ._-]srf[ ._-]?\d+"
"""What a name has for its side: img_001_SRF_4_LR."""


@dataclass(frozen=True)
class Pair:
    """A large picture and its small one, whose sizes fit.

    Attributes:
        high, low: files.
        size: rows and columns of the small picture that are used; scale times as many of the large one's are. A side
            of the large picture may be no multiple of the scale: the rest, on the right and at the bottom, is left out.
    """

    high: Path
    low: Path
    size: tuple[int, int]


def image_files(folder: str | Path) -> list[Path]:
    """The images in a folder and below it, hidden ones left out, sorted by their path.

    Raises:
        OptionError: there is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise OptionError("there is no such folder", where=root, expected="images")
    found = [path for path in sorted(root.rglob("*")) if _is_image(path, root)]
    if not found:
        expected = "files " + ", ".join(f"*{suffix}" for suffix in sorted(SUFFIXES))
        raise OptionError("no images in the folder", where=root, expected=expected)
    return found


def find_pairs(high: str | Path, low: str | Path, scale: int, progress: Progress = SILENT) -> list[Pair]:
    """The pairs of two folders.

    Where names agree up to marks (`x4`, `_HR`, `_LR`), all must; where none does, the order alone decides. Folders may
    be one, when its files are marked `_HR` and `_LR`, as Set5 and Set14 are handed out.

    Args:
        high, low: folders.
        scale: how many times as large a large picture is.
        progress: told when names do not agree.

    Raises:
        OptionError: no folder, or nothing in it.
        FormatError: a picture without its other half, one of another size than expected, a damaged one.
    """
    if Path(high).resolve() == Path(low).resolve():
        files = image_files(high)
        large, small = [[path for path in files if path.stem.lower().endswith(end)] for end in ("hr", "lr")]
        if not large or not small:
            raise FormatError("one folder holds both sides of no pair", where=high, expected="*_HR.* and *_LR.*")
    else:
        large, small = image_files(high), image_files(low)
    large, small = _matched(large, small, (Path(high), Path(low)), scale, progress)
    return [check_pair(*pair, scale) for pair in zip(large, small, strict=True)]


def check_pair(high: Path, low: Path, scale: int) -> Pair:
    """A pair, if sizes fit.

    Raises:
        FormatError: they do not, or a file is damaged.
    """
    one, two = image_header(high), image_header(low)
    rows, columns = one.height // scale, one.width // scale
    ceiled = -(-one.height // scale), -(-one.width // scale)  # imresize rounds up
    if min(rows, columns) < 1 or two.height not in (rows, ceiled[0]) or two.width not in (columns, ceiled[1]):
        raise FormatError(
            f"the size does not fit that of {high} ({one.width} x {one.height}) at scale {scale}", where=low,
            expected=f"{columns} x {rows}", actual=f"{two.width} x {two.height}",
        )  # fmt: skip
    return Pair(high, low, (rows, columns))


def unmarked(path: Path, scale: int) -> str:
    """A name without extension, and without marks of scale (0001x4, and 0001x4m) and side."""
    name = path.stem.lower()
    while (shorter := re.sub(rf"(?<=.)(x{scale}[a-z]?|{_SIDE})$", "", name)) != name:
        name = shorter
    return name


def read_pair(
    pair: Pair, scale: int
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"]]:
    """What is to be upscaled, and the truth, both cropped to fit; the truth of a grey file has one channel.

    Raises:
        FormatError: a file is damaged.
    """
    height, width = pair.size
    low, high = read_rgb(pair.low), read_rgb(pair.high)
    truth = high[: height * scale, : width * scale]
    return low[:height, :width], truth[:, :, 0] if image_header(pair.high).grey else truth


def _matched(
    large: list[Path], small: list[Path], folders: tuple[Path, Path], scale: int, progress: Progress
) -> tuple[list[Path], list[Path]]:
    """Both in one order."""
    high, low = folders
    names, others = ({unmarked(path, scale): path for path in files} for files in (large, small))
    if names.keys() & others.keys():
        _same(names, others, low)
        _same(others, names, high)
        large, small = (sorted(files, key=lambda path: (unmarked(path, scale), path)) for files in (large, small))
    if len(large) != len(small):
        raise FormatError(f"not as many images as in {high}", where=low, expected=len(large), actual=len(small))
    if not names.keys() & others.keys():
        progress.note(f"{low}: names do not agree with those in {high}; images are matched by their order")
    return large, small


def _same(names: Mapping[str, Path], others: Mapping[str, Path], folder: Path) -> None:
    """Every file has one of its name on the other side."""
    for name, path in names.items():
        if name not in others:
            raise FormatError(f"no image belongs to {path}", where=folder, expected=f"{name}.*")


def _is_image(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
