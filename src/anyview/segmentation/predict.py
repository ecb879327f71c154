"""From images to files about them; see `anyview.segmentation.prediction_files` for what is written.

Images that are done are not looked at again while the image, the weights and the options stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from anyview.errors import FormatError, OptionError
from anyview.formats.files import digest_file
from anyview.formats.images import image_header, read_rgb
from anyview.formats.picture_files import Picture, find_pictures
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.oddities import Oddities
from anyview.segmentation.detector import Detector
from anyview.segmentation.orientation import as_stored
from anyview.segmentation.prediction_files import (
    FOLDERS,
    Format,
    image_facts,
    refuse_strangers,
    write_masks,
    write_overlay,
    write_predictions,
    write_run_lengths,
)
from anyview.segmentation.pretrained import Pretrained
from anyview.segmentation.result import Result, labels_of, result_of
from anyview.segmentation.tiles import TileOptions, find_in_tiles, tile_side
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Task, Workspace

_VERSION = 2  # part of the key: raise it when the same image gives other files


@dataclass(frozen=True)
class PredictOptions:
    """What is wanted.

    Attributes:
        formats: of what was found.
        overlays: whether pictures are drawn.
        keep: names of the classes that count; none are all.
        tiles: how large images are looked at.
    """

    formats: tuple[Format, ...] = ("coco", "png")
    overlays: bool = True
    keep: tuple[str, ...] = ()
    tiles: TileOptions = field(default_factory=TileOptions)


@dataclass(frozen=True)
class Prediction:
    """What came of it.

    Attributes:
        images: how many are done.
        objects: how many were found in them.
        out: the folder.
        damaged: what is wrong with each image that cannot be read.
    """

    images: int
    objects: int
    out: Path
    damaged: tuple[FormatError, ...]


def predict(
    images: Sequence[str | Path],
    out: Path,
    pretrained: Pretrained,
    detector: Detector,
    options: PredictOptions = PredictOptions(),
    progress: Progress = SILENT,
) -> Prediction:
    """Find objects in images and write what is wanted; an image that cannot be read is told, the others are done.

    Args:
        images: files, folders or patterns, see `anyview.formats.picture_files.find_pictures`.
        out: the folder.
        pretrained: the model that the detector has, and its classes.
        detector: finds objects of the scores that are wanted.
        options: what is written.
        progress: told of every image.

    Raises:
        OptionError: no images, or a class that the model does not know.
        WorkspaceError: the folder cannot be written to, or another process works there.
    """
    labels_of(pretrained.classes, options.keep)
    if not options.formats and not options.overlays:
        raise OptionError("nothing to write", where="--format", expected="coco, png, rle, or overlays")
    pictures = find_pictures(images, besides=[out / name for name in FOLDERS])
    records = out / ".anyview" / "tasks" / "predict"
    if not records.is_dir():
        refuse_strangers(out)
    workspace = Workspace(out)
    records.mkdir(parents=True, exist_ok=True)
    work = _Work(workspace, pretrained, detector, options)
    done: list[tuple[Picture, dict[str, Any]]] = []
    damaged: list[FormatError] = []
    with hold(workspace):
        with progress.stage("predict", len(pictures)) as advance:
            for picture in pictures:
                try:
                    done.append((picture, work.facts(picture)))
                except FormatError as error:
                    damaged.append(error)
                    progress.note(str(error))
                advance()
        if "coco" in options.formats:
            write_predictions(out, done, pretrained.classes)
    work.odd.tell(progress, out)
    found = sum(len(facts["objects"]) for _, facts in done)
    return Prediction(len(done), found, out, tuple(damaged))


def find_objects(
    path: Path,
    pretrained: Pretrained,
    detector: Detector,
    tiles: TileOptions,
) -> tuple[UInt8[np.ndarray, "H W 3"], Result]:
    """The upright picture of a file, and what is in it.

    Args:
        path: of the image.
        pretrained: the model that the detector has, and its classes.
        detector: finds objects.
        tiles: how large images are looked at.

    Raises:
        FormatError: missing, not an image, or cut short.
    """
    pixels = read_rgb(path, upright=True)
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    side = tile_side(tiles, detector.images, (image.shape[1], image.shape[2]))
    if side:
        found = find_in_tiles(detector, image, side, tiles.overlap, detector.images.max_size)
    else:
        (found,) = detector([image])
    return pixels, result_of(found, path.name, pretrained.classes)


class _Work:
    """One image after the other; what is done already is remembered."""

    def __init__(
        self, workspace: Workspace, pretrained: Pretrained, detector: Detector, options: PredictOptions
    ) -> None:
        self._workspace, self._pretrained, self._detector, self._options = workspace, pretrained, detector, options
        classes = pretrained.classes
        self._key = (_VERSION, pretrained.digest(), classes.names, classes.ids, detector.settings, options)
        self.odd = Oddities()

    def facts(self, picture: Picture) -> dict[str, Any]:
        """Size and objects of an image, whose files are written, if they are not there already."""
        header = image_header(picture.path)
        if header.frames > 1:
            self.odd.add("images of several frames, of which the first is taken", picture.name)
        key = (self._key, picture.stem, digest_file(picture.path))
        task = self._workspace.task(f"predict/{picture.name}", key)
        if (record := task.record()) is not None:
            return dict(record["notes"])
        pixels, result = find_objects(picture.path, self._pretrained, self._detector, self._options.tiles)
        upright = result.select(self._options.keep or None)
        stored = as_stored(upright, header.orientation)
        facts = image_facts(stored)
        out, formats = self._workspace.root, self._options.formats
        _forget(task, out)
        files = [write_overlay(out, picture, pixels, upright)] if self._options.overlays else []
        files += write_masks(out, picture, stored) if "png" in formats else []
        files += [write_run_lengths(out, picture, facts, stored.names)] if "rle" in formats else []
        return dict(task.done(files, **facts)["notes"])


def _forget(task: Task, out: Path) -> None:
    """Remove an earlier run's files of this image, which may be more than the new ones."""
    for name in (task.recorded() or {"outputs": {}})["outputs"]:
        (out / name).unlink(missing_ok=True)
