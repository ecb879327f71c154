"""Labelled images from a COCO file and a folder of images.

Annotations are in pixels of the image as it is stored: that is COCO's own convention, and what its readers do. Tools
that show photographs turned as EXIF asks write the turned size into the file; where that size, and not the stored one,
is the image's, the image is turned to fit. The size in the file decides, so pixels and masks always agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from anyview.errors import FormatError
from anyview.formats.coco import CocoAnnotation, CocoCategory, CocoData, CocoImage, read_coco
from anyview.formats.coco_masks import decode_mask
from anyview.formats.images import image_header, read_rgb
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import Classes, Numbering, classes_of
from anyview.segmentation.data.coco_checks import Thing, true_annotation, usable_things
from anyview.segmentation.data.items import Item, make_target, mask_boxes
from anyview.segmentation.data.oddities import Oddities

_STEPS = 256  # images between two tellings of progress


@dataclass(frozen=True)
class _Picture:
    """An image that is there, whether it is to be turned, and its things."""

    image: CocoImage
    path: Path
    upright: bool
    things: tuple[Thing, ...]


class CocoInstances:
    """The images of a COCO file that are there, and their things.

    Every image's header is read at once, so that what is damaged or contradicts the file shows before any work.

    Args:
        file: instances in COCO's JSON.
        folders: where the images may lie; the first that has the first image has them all.
        classes: of the model; None makes them of the file's categories.
        numbering: of these classes, see `classes_of`.
        crowds: whether things that are not told apart are among the masks (`iscrowd` 1).
        empty: whether images without things are kept.
        progress: told of every image, and of what is odd, one line per kind.

    Raises:
        FormatError: the file or an image is damaged, an image has another size than the file says, no image is there,
            no thing is left, or a class is unknown.
    """

    def __init__(
        self,
        file: Path,
        folders: Sequence[Path],
        *,
        classes: Classes | None = None,
        numbering: Numbering = "contiguous",
        crowds: bool = False,
        empty: bool = True,
        progress: Progress = SILENT,
    ) -> None:
        data, odd = read_coco(file), Oddities()
        self.classes = classes_of(_categories(data), file, numbering) if classes is None else classes
        things = usable_things(data, self.classes, file, odd)
        self._crowds = crowds
        self._pictures = _pictures(data, file, folders, things, odd, progress)
        if not empty:
            self._pictures = [p for p in self._pictures if any(not t.crowd for t in p.things)]
        odd.tell(progress, file.name)
        if not any(not t.crowd for p in self._pictures for t in p.things):
            raise FormatError("no thing has a mask that can be used", where=file, actual=_reasons(odd))

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image."""
        return [(p.image.height, p.image.width) for p in self._pictures]

    @property
    def names(self) -> Sequence[str]:
        """Of the images, as the file has them."""
        return [p.image.file_name for p in self._pictures]

    @property
    def paths(self) -> Sequence[Path]:
        """The images' files."""
        return [p.path for p in self._pictures]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._pictures)

    def __getitem__(self, index: int) -> Item:
        """An image and its things.

        Raises:
            FormatError: the image's pixels are damaged.
        """
        picture = self._pictures[index]
        image = picture.image
        pixels = torch.from_numpy(np.ascontiguousarray(read_rgb(picture.path, picture.upright).transpose(2, 0, 1)))
        things = [t for t in picture.things if self._crowds or not t.crowd]
        masks = np.zeros((len(things), image.height, image.width), np.uint8)
        for mask, thing in zip(masks, things, strict=True):
            mask[...] = decode_mask(thing.rle(image))
        labels = torch.tensor([t.label for t in things], dtype=torch.int64)
        crowd = torch.tensor([int(t.crowd) for t in things], dtype=torch.int64)
        boxes = mask_boxes(torch.from_numpy(masks))
        for i, thing in enumerate(things):
            if thing.box is not None:
                x, y, w, h = thing.box
                boxes[i] = torch.tensor([x, y, x + w, y + h])
        return pixels, make_target(torch.from_numpy(masks), labels, image.id, crowd, boxes)

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        """What an evaluation compares with: the things of images, crowds included, with run lengths.

        Areas and boxes are the file's own where they can be believed, so figures compare with other people's.

        Args:
            chosen: numbers of images; None is all.
        """
        ids = self.classes.ids
        pictures = self._pictures if chosen is None else [self._pictures[i] for i in chosen]
        annotations: list[CocoAnnotation] = []
        for picture in pictures:
            for thing in picture.things:
                number = len(annotations) + 1  # COCO's evaluation takes 0 for no annotation
                annotations.append(true_annotation(thing, picture.image, ids[thing.label], number))
        return CocoData(tuple(p.image for p in pictures), tuple(annotations), self.classes.categories())


def _categories(data: CocoData) -> list[CocoCategory]:
    """All but those that nothing has and whose name another has: some tools list a group by the name of its class."""
    used = {a.category_id for a in data.annotations}
    names = {c.name for c in data.categories if c.id in used}
    return [c for c in data.categories if c.id in used or c.name not in names]


def _pictures(
    data: CocoData,
    file: Path,
    folders: Sequence[Path],
    things: dict[int, list[Thing]],
    odd: Oddities,
    progress: Progress,
) -> list[_Picture]:
    found = []
    folder = _images_folder(data, file, folders)
    with progress.stage("check images", len(data.images)) as advance:
        for number, image in enumerate(data.images, 1):
            path = _path(folder, image)
            own = tuple(things.get(image.id, ()))
            if path is None:
                which = "with annotations" if own else "without annotations"
                odd.add(f"images {which} whose file is missing, left out", f"{folder / image.file_name}")
            else:
                found.append(_Picture(image, path, _upright(path, image, file, odd), own))
            if number % _STEPS == 0 or number == len(data.images):
                advance((number - 1) % _STEPS + 1)
    return found


def _images_folder(data: CocoData, file: Path, folders: Sequence[Path]) -> Path:
    """The first folder that has an image of the file."""
    for folder in folders:
        if any(_path(folder, image) for image in data.images[:_STEPS]):
            return folder
    for folder in folders:  # none of the first is there; perhaps of the others
        if any(_path(folder, image) for image in data.images[_STEPS:]):
            return folder
    first = data.images[0].file_name if data.images else "at least one image in the list"
    looked = ", ".join(map(str, folders))
    raise FormatError("none of the images is there", where=file, expected=first, hint=f"looked in {looked}")


def _path(folder: Path, image: CocoImage) -> Path | None:
    """Where an image lies; a path of another machine counts by its last part."""
    name = PurePosixPath(image.file_name.replace("\\", "/"))
    if not name.is_absolute() and ".." not in name.parts and (folder / name).is_file():
        return folder / name
    return folder / name.name if name.name and (folder / name.name).is_file() else None


def _upright(path: Path, image: CocoImage, file: Path, odd: Oddities) -> bool:
    """Whether the pixels must be turned as EXIF asks, to be of the size that the file says."""
    header = image_header(path)
    if header.frames > 1:
        odd.add("images of several frames, of which the first is taken", path.name)
    wanted, stored = (image.width, image.height), (header.width, header.height)
    if stored == wanted:
        if header.orientation != 1:
            odd.add("images that EXIF would turn, taken as they are stored, like their annotations", path.name)
        return False
    if header.orientation >= 5 and stored[::-1] == wanted:
        odd.add("images turned as EXIF asks, like their annotations", path.name)
        return True
    raise FormatError(
        "image size contradicts its annotations", where=path, expected=f"{wanted[0]}x{wanted[1]} ({file.name})",
        actual=f"{stored[0]}x{stored[1]}", hint="annotate the image again, or put back the one that was annotated",
    )  # fmt: skip


def _reasons(odd: Oddities) -> str | None:
    return "; ".join(odd.lines()) or None
