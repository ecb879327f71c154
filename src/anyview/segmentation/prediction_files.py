"""What is written about what was found in images.

    OUT/overlays/NAME.jpg     the image with what was found in it
    OUT/predictions.json      COCO's instances with scores: images, categories, annotations
    OUT/masks/NAME.png        white on any object: what `anyview reconstruct --masks OUT/masks` takes
    OUT/instances/NAME.png    16 bits: 0 is the background, k the k-th best object
    OUT/rle/NAME.json         each object with its class, score, box, and mask as COCO's run lengths

Everything but overlays is of the pixels as they are stored; networks and people get to see the image turned as EXIF
asks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from anyview.errors import WorkspaceError
from anyview.formats.coco import result_dicts
from anyview.formats.coco_masks import RLE, mask_area
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.formats.picture_files import Picture
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.overlay import draw_overlay
from anyview.segmentation.result import Result

Format: TypeAlias = Literal["coco", "png", "rle"]
"""One JSON for all images; masks and instances; one JSON for each image."""

FOLDERS: Final = ("overlays", "masks", "instances", "rle")
"""That files of single images go to."""

_ALL = "predictions.json"


def image_facts(stored: Result) -> dict[str, Any]:
    """An image's size and objects, as JSON has them: COCO's annotations without ids.

    Args:
        stored: what was found, in the stored pixels.
    """
    found = stored.coco_results(0)
    areas = [mask_area(r.mask) if isinstance(r.mask, RLE) else 0 for r in found]
    objects = [{**entry, "area": area} for entry, area in zip(result_dicts(found), areas, strict=True)]
    return {"height": stored.size[0], "width": stored.size[1], "objects": objects}


def write_masks(out: Path, picture: Picture, stored: Result) -> list[Path]:
    """Two pictures of where objects are; gives their paths."""
    masks, instances = (out / name / f"{picture.stem}.png" for name in ("masks", "instances"))
    with atomic_write(masks) as temporary:
        write_image(temporary, stored.union())
    with atomic_write(instances) as temporary:
        Image.fromarray(stored.numbers().astype(np.uint16)).save(temporary)
    return [masks, instances]


def write_overlay(out: Path, picture: Picture, pixels: UInt8[np.ndarray, "H W 3"], upright: Result) -> Path:
    """What was found, drawn into the upright image; gives its path."""
    path = out / "overlays" / f"{picture.stem}.jpg"
    with atomic_write(path) as temporary:
        write_image(temporary, draw_overlay(pixels, upright))
    return path


def write_run_lengths(out: Path, picture: Picture, facts: dict[str, Any], names: Sequence[str]) -> Path:
    """One image's objects, by the names of their classes; gives the file's path."""
    objects = [
        {"class": name, "category_id": entry["category_id"], "score": entry["score"], "box": entry["bbox"],
         "mask": entry["segmentation"]}
        for name, entry in zip(names, facts["objects"], strict=True)
    ]  # fmt: skip
    content = {"image": picture.name, "height": facts["height"], "width": facts["width"], "objects": objects}
    path = out / "rle" / f"{picture.stem}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_predictions(out: Path, done: Collection[tuple[Picture, dict[str, Any]]], classes: Classes) -> None:
    """All images' objects in one file of instances, whose annotations have scores."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for id_, (picture, facts) in enumerate(done, 1):
        images.append({"id": id_, "file_name": picture.name, "width": facts["width"], "height": facts["height"]})
        for entry in facts["objects"]:
            annotations.append({**entry, "id": len(annotations) + 1, "image_id": id_, "iscrowd": 0})
    categories = [{"id": c.id, "name": c.name, "supercategory": ""} for c in classes.categories()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    # records of earlier runs come back with sorted keys: the bytes shall not depend on what was killed
    with atomic_write(out / _ALL) as temporary:
        temporary.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def refuse_strangers(out: Path) -> None:
    """Raise a WorkspaceError where there are already files of the names that ours have."""
    for name in (*FOLDERS, _ALL):
        if (out / name).exists():
            raise WorkspaceError(
                "results would mix with files that are none of their own", where=out, actual=name,
                hint="choose another --out, or move them away",
            )  # fmt: skip
