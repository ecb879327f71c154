"""Labelled images from pictures whose pixels are numbers of things.

    FOLDER/images/NAME.jpg        (or .png, ...)
    FOLDER/instances/NAME.png     8 or 16 bits: 0 is the background, every other number one thing
    FOLDER/classes.txt            optional: names of classes, one a line; splits may share one above them

Without `classes.txt` all things are of one class, "object". With it a thing's number is 1000 times its class (1 is the
first line) plus a number of its own, as Cityscapes has them. A thing may be in several pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anyview.errors import FormatError
from anyview.formats.coco import CocoData
from anyview.formats.images import image_header, read_numbers, read_rgb
from anyview.formats.picture_files import SUFFIXES
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import Classes, named_classes
from anyview.segmentation.data.ground_truth import ground_truth
from anyview.segmentation.data.items import Item, make_target
from anyview.segmentation.data.oddities import Oddities

IMAGES, INSTANCES, CLASSES = "images", "instances", "classes.txt"
SPLITS = ("train", "val", "valid", "validation")
"""Names of folders of one split; these may share the `classes.txt` of the folder above."""
_PER_CLASS = 1000


@dataclass(frozen=True)
class _Pair:
    """An image, its numbers, their size, and whether the image is to be turned to fit them."""

    image: Path
    numbers: Path
    size: tuple[int, int]
    upright: bool


class InstanceFolder:
    """The images of a folder that have a picture of numbers.

    The numbers' size decides whether a photograph is taken as it is stored or turned as EXIF asks, as `CocoInstances`
    does it.

    Args:
        folder: has `images` and `instances`.
        classes: of the model; None takes those of the folder.
        progress: told of what is odd, one line per kind.

    Raises:
        FormatError: no pair, a damaged file, contradicting sizes, classes without names, or others than the model's.
    """

    def __init__(self, folder: Path, *, classes: Classes | None = None, progress: Progress = SILENT) -> None:
        self._own = _classes(folder)
        self.classes = self._own[0] if classes is None else classes
        self._labels = _labels(folder, self._own[0], self.classes)
        odd = Oddities()
        self._pairs = _pairs(folder, odd)
        odd.tell(progress, folder)

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image."""
        return [pair.size for pair in self._pairs]

    @property
    def names(self) -> Sequence[str]:
        """Of the images' files."""
        return [pair.image.name for pair in self._pairs]

    @property
    def paths(self) -> Sequence[Path]:
        """The images' files."""
        return [pair.image for pair in self._pairs]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Item:
        """An image and its things.

        Raises:
            FormatError: a file is damaged, or a number is of no class.
        """
        pair = self._pairs[index]
        numbers = read_numbers(pair.numbers)
        values = np.unique(numbers)
        values = values[values != 0]
        kinds = values // _PER_CLASS if self._own[1] else np.ones_like(values)
        if len(values) and not (kinds.min() >= 1 and kinds.max() < len(self._labels)):
            wrong = values[(kinds < 1) | (kinds >= len(self._labels))][0]
            raise FormatError(
                "number of no class", where=pair.numbers, actual=int(wrong),
                expected=f"{_PER_CLASS} times a class from 1 to {len(self._labels) - 1}, plus a number of its own",
            )  # fmt: skip
        masks = torch.from_numpy((numbers == values[:, None, None]).view(np.uint8))
        labels = torch.tensor([self._labels[int(kind)] for kind in kinds], dtype=torch.int64)
        pixels = torch.from_numpy(np.ascontiguousarray(read_rgb(pair.image, pair.upright).transpose(2, 0, 1)))
        return pixels, make_target(masks, labels, index)

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        """See `anyview.segmentation.data.items.InstanceData.ground_truth`."""
        return ground_truth(self, chosen)


def is_instance_folder(folder: Path) -> bool:
    """Whether a folder has the layout."""
    return (folder / IMAGES).is_dir() and (folder / INSTANCES).is_dir()


def _classes(folder: Path) -> tuple[Classes, bool]:
    """The folder's classes, and whether the numbers tell them."""
    places = (folder, folder.parent) if folder.name in SPLITS else (folder,)
    path = next((place / CLASSES for place in places if (place / CLASSES).is_file()), None)
    if path is None:
        return named_classes(["object"]), False
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows' editors begin a text with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("no names of classes", where=path, expected="text in UTF-8", actual=str(error)) from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        raise FormatError("no names of classes", where=path, expected="one name a line, all different")
    return named_classes(names), True


def _labels(folder: Path, own: Classes, classes: Classes) -> list[int]:
    """The model's label by the folder's."""
    found = [0]
    for name in own.names[1:]:
        label = classes.label(name)
        if label is None:
            known = ", ".join(classes.names[label] for label in classes.used[:8])
            unknown = "class that the model does not know"
            raise FormatError(unknown, where=folder, expected=f"one of {known}", actual=name)
        found.append(label)
    return found


def _pairs(folder: Path, odd: Oddities) -> list[_Pair]:
    numbers = {path.stem: path for path in _files(folder / INSTANCES, {".png"})}
    images = _files(folder / IMAGES, SUFFIXES)
    found = []
    for image in images:
        own = numbers.pop(image.stem, None)
        if own is None:
            odd.add(f"images without a picture in {INSTANCES}, left out", image.name)
        else:
            found.append(_pair(image, own, odd))
    for path in numbers.values():
        odd.add(f"pictures in {INSTANCES} without an image, left out", path.name)
    if not found:
        expected = f"{IMAGES}/NAME.jpg with {INSTANCES}/NAME.png"
        raise FormatError("no image has numbers of things", where=folder, expected=expected)
    return found


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of some endings, by name; hidden ones are some system's own."""
    return [p for p in sorted(folder.iterdir()) if p.suffix.lower() in suffixes and not p.name.startswith(".")]


def _pair(image: Path, numbers: Path, odd: Oddities) -> _Pair:
    header, other = image_header(image), image_header(numbers)
    if header.frames > 1:
        odd.add("images of several frames, of which the first is taken", image.name)
    stored, wanted = (header.height, header.width), (other.height, other.width)
    upright = stored != wanted and header.orientation >= 5 and stored[::-1] == wanted
    if upright:
        odd.add("images turned as EXIF asks, like their numbers", image.name)
    elif stored != wanted:
        raise FormatError(
            "image size contradicts its numbers", where=image, expected=f"{wanted[1]}x{wanted[0]} ({numbers.name})",
            actual=f"{stored[1]}x{stored[0]}",
        )  # fmt: skip
    elif header.orientation != 1:
        odd.add("images that EXIF would turn, taken as they are stored, like their numbers", image.name)
    return _Pair(image, numbers, wanted, upright)
