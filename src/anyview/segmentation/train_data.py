"""The data of a training: images to learn from and images to be judged by, from a folder or rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from anyview.errors import OptionError
from anyview.formats.coco import CocoData
from anyview.progress import SILENT, Progress
from anyview.segmentation.classes import Classes, Numbering
from anyview.segmentation.data import open_data
from anyview.segmentation.items import InstanceData, Item
from anyview.segmentation.synthetic_data import SyntheticInstances
from anyview.segmentation.train_options import SYNTHETIC, DataOptions, SegmentationOptions, SyntheticOptions

_COCO_CLASSES = 80


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run learns from, and what it is judged by; None where nothing is."""

    train: InstanceData = field(repr=False)
    val: InstanceData | None = field(repr=False)

    def fingerprint(self) -> str:
        """Of the classes and the images' sizes: whether a resumed run has the data that it began with."""
        sizes = [list(map(list, part.sizes)) for part in (self.train, self.val) if part is not None]
        text = json.dumps([self.train.classes.names, self.train.classes.ids, sizes])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class SomeInstances:
    """Some images of some data, see `anyview.segmentation.items.InstanceData`.

    Args:
        data: the images.
        chosen: their numbers.
    """

    def __init__(self, data: InstanceData, chosen: Sequence[int]) -> None:
        self._data, self._chosen = data, list(chosen)

    @property
    def classes(self) -> Classes:
        """What the labels mean."""
        return self._data.classes

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image."""
        sizes = self._data.sizes
        return [sizes[i] for i in self._chosen]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._chosen)

    def __getitem__(self, index: int) -> Item:
        """An image and its things."""
        if not 0 <= index < len(self._chosen):
            raise IndexError(index)
        return self._data[self._chosen[index]]

    def ground_truth(self) -> CocoData:
        """What an evaluation compares with."""
        whole = self._data.ground_truth()
        images = tuple(whole.images[i] for i in self._chosen)
        there = {image.id for image in images}
        return CocoData(images, tuple(a for a in whole.annotations if a.image_id in there), whole.categories)


def spread(data: InstanceData, most: int) -> InstanceData:
    """At most so many images, evenly spread over all."""
    if len(data) <= most:
        return data
    return SomeInstances(data, [i * len(data) // most for i in range(most)])


def training_data(folder: str | Path, options: SegmentationOptions, progress: Progress = SILENT) -> TrainingData:
    """The data of a training.

    Args:
        folder: see `open_data`; or "synthetic".
        options: of the run.
        progress: told of images, oddities, and what is held back.

    Raises:
        OptionError, FormatError: see `open_data`; or nothing is left to learn from.
    """
    if str(folder) == SYNTHETIC:
        held = synthetic(options.synthetic, "val") if options.synthetic.validation else None
        return TrainingData(synthetic(options.synthetic, "train"), held)
    train = open_data(folder, "train", progress=progress)
    if train is None:
        raise OptionError("nothing to learn from", where=folder, expected="images of the split `train`")
    numbering = _numbering(options, train.classes)
    if numbering != "contiguous":
        train = open_data(folder, "train", numbering=numbering)
        assert train is not None
    val = open_data(folder, "val", classes=train.classes, progress=progress)
    if val is not None:
        return TrainingData(train, val)
    return _held_back(train, options.data, options.loop.seed, folder, progress)


def validation_data(
    folder: str | Path, split: str, classes: Classes, options: SegmentationOptions, progress: Progress = SILENT
) -> InstanceData | None:
    """The images of a split for an evaluation; what a training would have held back where the folder has no such.

    Raises:
        OptionError, FormatError: see `open_data`.
    """
    if str(folder) == SYNTHETIC:
        return synthetic(options.synthetic, split) if split == "train" or options.synthetic.validation else None
    found = open_data(folder, "val" if split == "val" else "train", classes=classes, progress=progress)
    if found is None and split == "val":
        train = open_data(folder, "train", classes=classes)
        return None if train is None else _held_back(train, options.data, options.loop.seed, folder, progress).val
    return found


def synthetic(options: SyntheticOptions, split: str) -> SyntheticInstances:
    """Rendered pictures of a split."""
    count, seed = (options.images, options.seed) if split == "train" else (options.validation, options.seed + 1)
    return SyntheticInstances(count, (options.width, options.height), seed, most=options.most, keep=count)


def _held_back(
    train: InstanceData, options: DataOptions, seed: int, folder: str | Path, progress: Progress
) -> TrainingData:
    """A share of the images, drawn by the seed, is not learnt from."""
    count = round(options.hold_back * len(train))
    count = min(max(count, 1), len(train) - 1) if options.hold_back > 0 else 0
    if count <= 0:
        progress.note(f"{folder} has no images to validate on, and none are held back: there will be no figures")
        return TrainingData(train, None)
    order = np.random.default_rng([seed, len(train)]).permutation(len(train)).tolist()
    progress.note(f"{folder} has no images to validate on: {count} of {len(train)} are held back (data.hold_back)")
    kept, held = sorted(order[count:]), sorted(order[:count])
    return TrainingData(SomeInstances(train, kept), SomeInstances(train, held))


def _numbering(options: SegmentationOptions, classes: Classes) -> Numbering:
    """Labels as the weights have them, where their heads are to be kept."""
    if options.data.numbering != "auto":
        return options.data.numbering
    if options.weights != "COCO_V1" or len(classes.used) != _COCO_CLASSES:
        return "contiguous"
    from anyview.segmentation.classes import coco_names

    return "coco" if set(classes.names[1:]) <= set(coco_names()) else "contiguous"


def data_config(options: SegmentationOptions) -> dict[str, object]:
    """Of the options of the data, those that decide the result."""
    return {key: value for key, value in asdict(options.data).items() if key != "threads"}
