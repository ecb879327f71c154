"""The data of a training and of its evaluations: images to learn from, images to be judged by.

Where a folder has none to be judged by, some of its images are held back, drawn by the run's seed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import Classes, Numbering
from anyview.segmentation.data.folder import Split, open_data
from anyview.segmentation.data.items import InstanceData
from anyview.segmentation.data.subset import SomeInstances
from anyview.segmentation.data.synthetic_data import SyntheticInstances
from anyview.segmentation.train_options import SYNTHETIC, SegmentationOptions, SyntheticOptions
from anyview.segmentation.weight_names import COCO

_COCO_CLASSES = 80


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run learns from, and what it is judged by; None where nothing is."""

    train: InstanceData = field(repr=False)
    val: InstanceData | None = field(repr=False)

    def fingerprint(self) -> str:
        """Of the classes, and of the images' names and sizes: whether data is that which a run began with."""
        parts = [part for part in (self.train, self.val) if part is not None]
        images = [[[*size, name] for size, name in zip(part.sizes, part.names, strict=True)] for part in parts]
        text = json.dumps([self.train.classes.names, self.train.classes.ids, images])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


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
    train = open_data(folder, "train", crowds=True, progress=progress)
    if train is None:
        raise OptionError("nothing to learn from", where=folder, expected="images of the split `train`")
    numbering = _numbering(options, train.classes)
    if numbering != "contiguous":
        train = open_data(folder, "train", numbering=numbering, crowds=True)
        assert train is not None
    val = open_data(folder, "val", classes=train.classes, progress=progress)
    if val is not None:
        return TrainingData(train, val)
    data = _held_back(train, options)
    nothing = f"{folder} has no images to validate on"
    if data.val is None:
        progress.note(f"{nothing}, and none are held back: there will be no figures")
    else:
        progress.note(f"{nothing}: {len(data.val)} of {len(train)} are held back (data.hold_back)")
    return data


def evaluation_data(
    folder: str | Path,
    split: Split,
    classes: Classes,
    options: SegmentationOptions,
    fingerprint: str,
    progress: Progress = SILENT,
) -> InstanceData | None:
    """The images of a split for an evaluation; None where there are none.

    A folder of the run that has no images to validate on has those that its training has held back; any other such
    folder is one whole, whatever split is asked for.

    Args:
        folder: see `training_data`.
        split: which images.
        classes: of the model.
        options: of the run.
        fingerprint: of the data that the run has learnt from.
        progress: told of images, oddities, and what is taken.

    Raises:
        OptionError, FormatError: see `open_data`.
    """
    if str(folder) == SYNTHETIC:
        return synthetic(options.synthetic, split) if split == "train" or options.synthetic.validation else None
    if split == "val" and (val := open_data(folder, "val", classes=classes, progress=progress)) is not None:
        return val
    train = open_data(folder, "train", classes=classes, progress=progress)
    if train is None:
        return None
    data = _held_back(train, options)
    if data.fingerprint() == fingerprint:
        return data.train if split == "train" else data.val
    if split == "val":
        progress.note(f"{folder} has one split, of which this run has held nothing back: all its images are taken")
    return train


def synthetic(options: SyntheticOptions, split: Split) -> SyntheticInstances:
    """Rendered pictures of a split."""
    count, seed = (options.images, options.seed) if split == "train" else (options.validation, options.seed + 1)
    return SyntheticInstances(count, (options.width, options.height), seed, most=options.most, keep=count)


def _held_back(train: InstanceData, options: SegmentationOptions) -> TrainingData:
    """A share of the images, drawn by the seed, is not learnt from."""
    count = round(options.data.hold_back * len(train))
    count = min(max(count, 1), len(train) - 1) if options.data.hold_back > 0 else 0
    if count <= 0:
        return TrainingData(train, None)
    order = np.random.default_rng([options.loop.seed, len(train)]).permutation(len(train)).tolist()
    kept, held = sorted(order[count:]), sorted(order[:count])
    return TrainingData(SomeInstances(train, kept), SomeInstances(train, held))


def _numbering(options: SegmentationOptions, classes: Classes) -> Numbering:
    """Labels as the weights have them, where their heads are to be kept."""
    if options.data.numbering != "auto":
        return options.data.numbering
    if options.weights not in COCO or len(classes.used) != _COCO_CLASSES:
        return "contiguous"
    from anyview.segmentation.data.classes import coco_names

    return "coco" if set(classes.names[1:]) <= set(coco_names()) else "contiguous"


def data_config(options: SegmentationOptions) -> dict[str, object]:
    """Of the options of the data, those that decide the result."""
    return {key: value for key, value in asdict(options.data).items() if key not in ("threads", "check")}
