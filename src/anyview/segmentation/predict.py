"""From images to files: pictures of what was found, masks, and lists in COCO's form.

    OUT/overlays/NAME.jpg     the image with what was found in it
    OUT/predictions.json      COCO's instances with scores: images, categories, annotations
    OUT/masks/NAME.png        white on any object: what `anyview reconstruct --masks OUT/masks` takes
    OUT/instances/NAME.png    16 bits: 0 is the background, k the k-th best object
    OUT/rle/NAME.json         each object with its class, score, box, and mask as COCO's run lengths

Everything but overlays is of the pixels as they are stored; networks and people get to see the image turned as EXIF
asks. Images that are done are not looked at again while the image, the weights and the options stay the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image

from anyview.errors import FormatError, OptionError, WorkspaceError
from anyview.formats.coco import result_dicts
from anyview.formats.coco_masks import RLE, mask_area
from anyview.formats.files import atomic_write, digest_file
from anyview.formats.images import image_header, read_rgb, write_image
from anyview.progress import SILENT, Progress
from anyview.segmentation.detector import Detector
from anyview.segmentation.oddities import Oddities
from anyview.segmentation.orientation import as_stored
from anyview.segmentation.overlay import draw_overlay
from anyview.segmentation.pictures import Picture, find_pictures
from anyview.segmentation.pretrained import Pretrained
from anyview.segmentation.result import Result, labels_of, result_of
from anyview.segmentation.tiles import TileOptions, find_in_tiles, tile_side
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Task, Workspace

Format: TypeAlias = Literal["coco", "png", "rle"]

_FOLDERS = ("overlays", "masks", "instances", "rle")
_VERSION = 1  # part of the key: raise it when the same image gives other files


@dataclass(frozen=True)
class PredictOptions:
    """What is wanted.

    Attributes:
        formats: "coco" is one JSON for all images, "png" masks and instances, "rle" one JSON for each image.
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
        images: files, folders or patterns, see `anyview.segmentation.pictures.find_pictures`.
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
    pictures = find_pictures(images, besides=[out / name for name in _FOLDERS])
    _refuse_strangers(out)
    workspace, odd, damaged = Workspace(out), Oddities(), []
    _records(out).mkdir(parents=True, exist_ok=True)
    key = (_VERSION, pretrained.digest(), pretrained.classes.names, detector.settings, options)
    done: list[tuple[Picture, dict[str, Any]]] = []
    with hold(workspace):
        with progress.stage("predict", len(pictures)) as advance:
            for picture in pictures:
                try:
                    done.append((picture, _one(picture, workspace, pretrained, detector, options, key, odd)))
                except FormatError as error:
                    damaged.append(error)
                    progress.note(str(error))
                advance()
        if "coco" in options.formats:
            _write_coco(out / "predictions.json", done, pretrained)
    odd.tell(progress, out)
    found = sum(len(facts["objects"]) for _, facts in done)
    return Prediction(len(done), found, out, tuple(damaged))


def find_objects(
    path: Path,
    pretrained: Pretrained,
    detector: Detector,
    tiles: TileOptions,
) -> tuple[np.ndarray, Result]:
    """The upright picture of a file, 8 bits, and what is in it.

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
    result = result_of(found, path.name, pretrained.classes)
    return pixels, result.select([pretrained.classes.names[label] for label in pretrained.classes.used])


def _one(
    picture: Picture, workspace: Workspace, pretrained: Pretrained, detector: Detector,
    options: PredictOptions, key: object, odd: Oddities,
) -> dict[str, Any]:  # fmt: skip
    """Size and objects of one image, whose files are written, if they are not there already."""
    header = image_header(picture.path)
    if header.frames > 1:
        odd.add("images of several frames, of which the first is taken", picture.name)
    task = workspace.task(f"predict/{picture.name}", (key, picture.stem, digest_file(picture.path)))
    if (record := task.record()) is not None:
        return dict(record["notes"])
    pixels, result = find_objects(picture.path, pretrained, detector, options.tiles)
    result = result.select(options.keep or None)
    _forget(task, workspace.root)
    stored = as_stored(result, header.orientation)
    files = _write(workspace.root, picture, pixels, result, stored, options)
    facts = {"height": stored.size[0], "width": stored.size[1], "objects": _objects(stored)}
    return dict(task.done(files, **facts)["notes"])


def _objects(result: Result) -> list[dict[str, Any]]:
    """Annotations without ids."""
    found = result.to_coco(0)
    areas = [mask_area(r.mask) if isinstance(r.mask, RLE) else 0 for r in found]
    return [{**entry, "area": area} for entry, area in zip(result_dicts(found), areas, strict=True)]


def _write(
    out: Path, picture: Picture, pixels: np.ndarray, upright: Result, stored: Result, options: PredictOptions
) -> list[Path]:
    """One image's files."""
    files = []
    if options.overlays:
        files.append(out / "overlays" / f"{picture.stem}.jpg")
        with atomic_write(files[-1]) as temporary:
            write_image(temporary, draw_overlay(pixels, upright))
    if "png" in options.formats:
        files.append(out / "masks" / f"{picture.stem}.png")
        with atomic_write(files[-1]) as temporary:
            write_image(temporary, stored.union())
        files.append(out / "instances" / f"{picture.stem}.png")
        with atomic_write(files[-1]) as temporary:
            Image.fromarray(stored.numbers().astype(np.uint16)).save(temporary)
    if "rle" in options.formats:
        files.append(out / "rle" / f"{picture.stem}.json")
        with atomic_write(files[-1]) as temporary:
            temporary.write_text(json.dumps(_rle(picture, stored)), encoding="utf-8")
    return files


def _rle(picture: Picture, result: Result) -> dict[str, Any]:
    """One image's objects as plain values."""
    objects = [
        {"class": name, "category_id": entry["category_id"], "score": entry["score"], "box": entry["bbox"],
         "mask": entry["segmentation"]}
        for name, entry in zip(result.names, result_dicts(result.to_coco(0)), strict=True)
    ]  # fmt: skip
    return {"image": picture.name, "height": result.size[0], "width": result.size[1], "objects": objects}


def _write_coco(path: Path, done: list[tuple[Picture, dict[str, Any]]], pretrained: Pretrained) -> None:
    """All images' objects as a file of instances, whose annotations have scores."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for id_, (picture, facts) in enumerate(done, 1):
        images.append({"id": id_, "file_name": picture.name, "width": facts["width"], "height": facts["height"]})
        for entry in facts["objects"]:
            annotations.append({**entry, "id": len(annotations) + 1, "image_id": id_, "iscrowd": 0})
    # records of earlier runs come back with sorted keys: the bytes shall not depend on what was killed
    content = {"images": images, "annotations": annotations, "categories": _categories(pretrained)}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def _categories(pretrained: Pretrained) -> list[dict[str, Any]]:
    return [{"id": c.id, "name": c.name, "supercategory": ""} for c in pretrained.classes.categories()]


def _records(out: Path) -> Path:
    """Where a record lies for each image."""
    return out / ".anyview" / "tasks" / "predict"


def _refuse_strangers(out: Path) -> None:
    """Raise a WorkspaceError where there are already files of the names that ours have, made by somebody else."""
    if _records(out).is_dir():
        return
    for name in (*_FOLDERS, "predictions.json"):
        if (out / name).exists():
            raise WorkspaceError(
                "results would mix with files that are none of their own", where=out, actual=name,
                hint="choose another --out, or move them away",
            )  # fmt: skip


def _forget(task: Task, out: Path) -> None:
    """Remove an earlier run's files of this image, which may be more than the new ones."""
    for name in (task.recorded() or {"outputs": {}})["outputs"]:
        (out / name).unlink(missing_ok=True)
