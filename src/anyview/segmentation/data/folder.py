"""Labelled images of a folder, whichever layout it has.

| layout | training | validation |
|---|---|---|
| COCO's | `annotations/instances_train*.json`, images in `train*/` | `annotations/instances_val*.json`, `val*/` |
| a file beside the images of each split | `train/*.json` | `val/*.json` or `valid/*.json` |
| one file | `*.json` or `annotations/*.json`, images in `images/` or beside it | none |
| numbers of things | `train/images`, `train/instances`, or without `train/` | `val/images`, `val/instances` |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from anyview.errors import FormatError, OptionError
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.classes import Classes, Numbering
from anyview.segmentation.data.coco_data import CocoInstances
from anyview.segmentation.data.instance_folder import SPLITS, InstanceFolder, is_instance_folder

Split: TypeAlias = Literal["train", "val"]
_NAMES: dict[Split, tuple[str, ...]] = {"train": SPLITS[:1], "val": SPLITS[1:]}


def open_data(
    folder: str | Path,
    split: Split = "train",
    *,
    classes: Classes | None = None,
    numbering: Numbering = "contiguous",
    crowds: bool = False,
    progress: Progress = SILENT,
) -> CocoInstances | InstanceFolder | None:
    """The labelled images of one split; None where the folder has no such split.

    Args:
        folder: of one of the layouts above; or a COCO file, which is then the only split, "train".
        split: which images.
        classes: of the model, for a second split or an evaluation; None makes them of the data.
        numbering: of the classes that are made, see `classes_of`.
        crowds: whether things that are not told apart are among the masks, marked (`iscrowd`).
        progress: told of images and oddities.

    Raises:
        OptionError: there is no such folder.
        FormatError: the folder has no known layout, or what lies in it cannot be used.
    """
    root = Path(folder)
    if root.is_file():
        file, folders = root, _named_like(root, (root.parent.parent, root.parent), ()) + _beside(root)
        if split != "train":
            return None
    elif not root.is_dir():
        raise OptionError("there is no such folder", where=root, expected="images with masks")
    else:
        for name in _NAMES[split]:
            if is_instance_folder(root / name):
                return InstanceFolder(root / name, classes=classes, progress=progress)
        if is_instance_folder(root):
            return InstanceFolder(root, classes=classes, progress=progress) if split == "train" else None
        found = _coco_file(root, split)
        if found is None:
            return None
        file, folders = found
    return CocoInstances(
        file, folders, classes=classes, numbering=numbering, crowds=crowds, progress=progress
    )  # fmt: skip


def _coco_file(root: Path, split: Split) -> tuple[Path, list[Path]] | None:
    """A split's file and where its images may lie; None where only another split is there."""
    for name in _NAMES[split]:
        for place in (root / "annotations", root):
            files = sorted(place.glob(f"instances_{name}*.json")) or sorted(place.glob(f"{name}*.json"))
            if files:
                _alone(files, root)
                return files[0], _named_like(files[0], (root,), (name,)) + _beside(files[0])
        files = sorted((root / name).glob("*.json"))
        if files:
            _alone(files, root)
            return files[0], _beside(files[0])
    if any(_has_split(root, other) for other in _NAMES if other != split):
        return None
    files = sorted(root.glob("*.json")) or sorted((root / "annotations").glob("*.json"))
    if not files:
        raise FormatError(
            "no labelled images", where=root,
            expected="annotations/instances_train*.json, one *.json with images/, or images/ with instances/",
        )  # fmt: skip
    _alone(files, root)
    return (files[0], _beside(files[0])) if split == "train" else None


def _has_split(root: Path, split: Split) -> bool:
    patterns = [p for n in _NAMES[split] for p in (f"annotations/*{n}*.json", f"{n}*.json", f"{n}/*.json")]
    return any(True for pattern in patterns for _ in root.glob(pattern))


def _alone(files: list[Path], root: Path) -> None:
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:5])
        raise FormatError(
            "which file is meant", where=root, actual=names, hint="name one of them instead of the folder"
        )


def _named_like(file: Path, roots: Sequence[Path], more: Sequence[str]) -> list[Path]:
    """`instances_train2017.json` has its images in `train2017`, `images/train2017`, or under one of more names."""
    names = dict.fromkeys((file.stem.removeprefix("instances_"), *more))
    return [root / above / name for name in names for root in roots for above in ("", "images")]


def _beside(file: Path) -> list[Path]:
    above = file.parent
    return [above / "images", above, above.parent / "images", above.parent]
