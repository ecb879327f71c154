"""COCO's JSON files: instances (images, annotations, categories) and lists of results.

Nothing is interpreted here but the syntax: what contradicts itself is for the reader of the data to judge. Coordinates
are pixels of the stored image; (0, 0) is the corner of the first one. A box is left, top, width, height.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.coco_masks import RLE, compress
from anyview.formats.files import atomic_write
from anyview.formats.transforms import read_json

Box: TypeAlias = tuple[float, float, float, float]
Segmentation: TypeAlias = tuple[Float64[np.ndarray, "_"], ...] | RLE
"""Polygons, each x, y, x, y, ...; or run lengths."""

T = TypeVar("T")


@dataclass(frozen=True)
class CocoImage:
    """An image: `file_name` as written, sides in pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class CocoCategory:
    """A class of things."""

    id: int
    name: str
    supercategory: str = ""


@dataclass(frozen=True, eq=False)
class CocoAnnotation:
    """One thing in an image.

    Attributes:
        id, image_id, category_id: numbers of the file's own.
        box: None where the file has none.
        segmentation: None where the file has none.
        area: pixels; None where the file has none.
        crowd: whether it is many things that are not told apart.
        damage: what is wrong with the run lengths, where they make no mask; `segmentation` is None then.
    """

    id: int
    image_id: int
    category_id: int
    box: Box | None
    segmentation: Segmentation | None = field(repr=False)
    area: float | None = None
    crowd: bool = False
    damage: str = ""


@dataclass(frozen=True, eq=False)
class CocoData:
    """What a file of instances has, in its order."""

    images: tuple[CocoImage, ...] = field(repr=False)
    annotations: tuple[CocoAnnotation, ...] = field(repr=False)
    categories: tuple[CocoCategory, ...]


@dataclass(frozen=True)
class CocoResult:
    """One thing that a model found: its score, and a mask where the model makes some."""

    image_id: int
    category_id: int
    box: Box
    score: float
    mask: RLE | None = None


def read_coco(path: Path) -> CocoData:
    """The instances of a file.

    Raises:
        FormatError: not JSON, a missing list, an entry without what it needs, or two entries with one id.
    """
    content = read_json(path)
    missing = [name for name in ("images", "annotations", "categories") if not isinstance(content.get(name), list)]
    if missing:
        hint = "COCO's instances are wanted: instances_train2017.json and the like"
        raise FormatError("lists are missing", where=path, expected=", ".join(missing), hint=hint)
    images = _entries(path, "image", content["images"], _image)
    categories = _entries(path, "category", content["categories"], _category)
    annotations = _entries(path, "annotation", content["annotations"], _annotation)
    return CocoData(images, annotations, categories)


def write_coco(path: Path, data: CocoData) -> None:
    """Write instances, atomically.

    Raises:
        WorkspaceError: the file cannot be written.
    """
    _write(path, coco_dict(data))


def write_results(path: Path, results: Sequence[CocoResult]) -> None:
    """Write a list of results, as COCO's evaluation takes it, atomically.

    Raises:
        WorkspaceError: the file cannot be written.
    """
    _write(path, result_dicts(results))


def coco_dict(data: CocoData) -> dict[str, Any]:
    """Instances as the nested dicts and lists that their file has."""
    return {
        "images": [{"id": i.id, "file_name": i.file_name, "width": i.width, "height": i.height} for i in data.images],
        "annotations": [_annotation_dict(a) for a in data.annotations],
        "categories": [{"id": c.id, "name": c.name, "supercategory": c.supercategory} for c in data.categories],
    }


def result_dicts(results: Sequence[CocoResult]) -> list[dict[str, Any]]:
    """Results as the list that their file has."""
    found = []
    for r in results:
        entry = {"image_id": r.image_id, "category_id": r.category_id, "bbox": list(r.box), "score": r.score}
        found.append(entry if r.mask is None else {**entry, "segmentation": _rle_dict(r.mask)})
    return found


def _entries(path: Path, kind: str, values: list[Any], make: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    """Records of a list, whose ids must differ."""
    found: list[T] = []
    seen: set[int] = set()
    for number, value in enumerate(values):
        where = f"{path} ({kind} {number})"
        try:
            record = make(value)
        except KeyError as error:
            raise FormatError(f"{kind} without `{error.args[0]}`", where=where) from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FormatError(f"{kind} that cannot be understood", where=where, actual=str(error)) from error
        id_: int = record.id  # type: ignore[attr-defined]
        if id_ in seen:
            raise FormatError(f"two entries of one id among the {kind} entries", where=where, actual=f"id {id_}")
        seen.add(id_)
        found.append(record)
    return tuple(found)


def _image(value: dict[str, Any]) -> CocoImage:
    width, height = _whole(value["width"]), _whole(value["height"])
    if min(width, height) < 1:
        raise ValueError(f"{width}x{height} pixels")
    return CocoImage(_whole(value["id"]), _text(value["file_name"]), width, height)


def _category(value: dict[str, Any]) -> CocoCategory:
    return CocoCategory(_whole(value["id"]), _text(value["name"]), str(value.get("supercategory") or ""))


def _annotation(value: dict[str, Any]) -> CocoAnnotation:
    box, area = value.get("bbox"), value.get("area")
    segmentation, damage = None, ""
    try:
        segmentation = _segmentation(value.get("segmentation"))
    except FormatError as error:
        damage = str(error)
    return CocoAnnotation(
        _whole(value["id"]),
        _whole(value["image_id"]),
        _whole(value["category_id"]),
        _box(box) if box else None,
        segmentation,
        None if area is None else float(area),
        bool(value.get("iscrowd", 0)),
        damage,
    )


def _segmentation(value: Any) -> Segmentation | None:
    if value is None or value == []:
        return None
    if isinstance(value, list):
        polygons = [value] if isinstance(value[0], int | float) else value  # some tools write one polygon bare
        return tuple(np.array(polygon, np.float64).reshape(-1) for polygon in polygons)
    height, width = (_whole(side) for side in value["size"])
    counts = value["counts"]
    if isinstance(counts, str):
        return RLE(height, width, counts.encode())
    return compress([_whole(run) for run in counts], height, width)


def _box(value: Any) -> Box:
    x, y, w, h = (float(v) for v in value)
    return x, y, w, h


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _annotation_dict(annotation: CocoAnnotation) -> dict[str, Any]:
    a = annotation
    entry: dict[str, Any] = {
        "id": a.id,
        "image_id": a.image_id,
        "category_id": a.category_id,
        "iscrowd": int(a.crowd),
    }
    if a.box is not None:
        entry["bbox"] = list(a.box)
    if a.area is not None:
        entry["area"] = a.area
    if isinstance(a.segmentation, RLE):
        entry["segmentation"] = _rle_dict(a.segmentation)
    elif a.segmentation is not None:
        entry["segmentation"] = [polygon.tolist() for polygon in a.segmentation]
    return entry


def _rle_dict(rle: RLE) -> dict[str, Any]:
    return {"size": [rle.height, rle.width], "counts": rle.counts.decode()}


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
