"""Which annotations of a COCO file can be used, and what is odd about the others.

What one annotation has wrong costs that annotation, or its polygon, and is counted. What makes the file as a whole
doubtful (a category that is not listed, a class that the model does not know) is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from anyview.errors import FormatError
from anyview.formats.coco import Box, CocoAnnotation, CocoData, CocoImage, Segmentation
from anyview.formats.coco_masks import RLE, is_polygon, mask_area, mask_box, rasterize, run_lengths
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.data.oddities import Oddities

_SURE = 16.0  # area from which on a polygon inside the image is taken to have pixels
_FITS = 0.5  # least intersection over union of a box with that of its mask
_TOLERANCE = 1.0  # how far a box may reach beyond its image, pixels


@dataclass(frozen=True, eq=False)
class Thing:
    """A usable annotation: its label, its mask by polygons or run lengths, and what the file says of it."""

    label: int
    crowd: bool
    segmentation: Segmentation = field(repr=False)
    box: Box | None
    area: float | None

    def rle(self, image: CocoImage) -> RLE:
        """The mask's run lengths."""
        return whole_mask(self.segmentation, image)


def whole_mask(segmentation: Segmentation, image: CocoImage) -> RLE:
    """Run lengths of the pixels that a segmentation covers."""
    return segmentation if isinstance(segmentation, RLE) else rasterize(segmentation, image.height, image.width)


def usable_things(data: CocoData, classes: Classes, where: Path, odd: Oddities) -> dict[int, list[Thing]]:
    """The things of each image by its id; an image without any is not there.

    Args:
        data: of a file.
        classes: found by the categories' names.
        where: the file, for messages.
        odd: told of what is left out or mended.

    Raises:
        FormatError: a category that the file does not list, or that `classes` does not have.
    """
    images = {image.id: image for image in data.images}
    labels = _labels(data, classes, where)
    found: dict[int, list[Thing]] = {}
    for annotation in data.annotations:
        image = images.get(annotation.image_id)
        if image is None:
            example = f"annotation {annotation.id} (image {annotation.image_id})"
            odd.add("annotations of images that the file does not list, left out", example)
            continue
        segmentation = _segmentation(annotation, image, odd)
        if segmentation is not None:
            thing = Thing(
                labels[annotation.category_id],
                annotation.crowd,
                segmentation,
                _box(annotation, segmentation, image, odd),
                annotation.area,
            )
            found.setdefault(image.id, []).append(thing)
    return found


def _labels(data: CocoData, classes: Classes, where: Path) -> Mapping[int, int]:
    """Labels by category id, of the categories that annotations have."""
    names = {category.id: category.name for category in data.categories}
    found = {}
    for annotation in data.annotations:
        if annotation.category_id in found:
            continue
        if annotation.category_id not in names:
            raise FormatError(
                "category that is not listed", where=f"{where} (annotation {annotation.id})",
                expected=f"one of {_some(sorted(names))}", actual=annotation.category_id,
            )  # fmt: skip
        name = names[annotation.category_id]
        label = classes.label(name)
        if label is None:
            known = _some([classes.names[label] for label in classes.used])
            raise FormatError(
                "class that the model does not know", where=where, expected=f"one of {known}", actual=name
            )
        found[annotation.category_id] = label
    return found


def _some(values: list[int] | list[str]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def _segmentation(annotation: CocoAnnotation, image: CocoImage, odd: Oddities) -> Segmentation | None:
    """What of a segmentation makes a mask with pixels; None where nothing does."""
    example = f"annotation {annotation.id} of {image.file_name}"
    given = annotation.segmentation
    if annotation.damage:
        odd.add("masks with damaged run lengths, left out", example)
        return None
    if given is None:
        odd.add("annotations without a mask, left out", example)
        return None
    if isinstance(given, RLE):
        if (given.width, given.height) != (image.width, image.height):
            odd.add("masks of another size than their image, left out", example)
            return None
        try:
            empty = run_lengths(given)[1::2].sum() == 0
        except FormatError:
            odd.add("masks with damaged run lengths, left out", example)
            return None
    else:
        given = _polygons(given, example, odd)
        if not given:
            return None
        doubtful = all(_may_be_empty(polygon, image) for polygon in given)
        empty = doubtful and mask_area(rasterize(given, image.height, image.width)) == 0
    if empty:
        odd.add("masks without a pixel, left out", example)
        return None
    return given


def _polygons(
    given: tuple[Float64[np.ndarray, "_"], ...], example: str, odd: Oddities
) -> tuple[Float64[np.ndarray, "_"], ...]:
    """Those with at least three points near the image."""
    good = []
    for polygon in given:
        if is_polygon(polygon):
            good.append(polygon)
        elif len(polygon) < 6:
            odd.add("polygons with fewer than three points, left out", example)
        else:
            odd.add("polygons with impossible coordinates, left out", example)
    return tuple(good)


def _may_be_empty(polygon: Float64[np.ndarray, "_"], image: CocoImage) -> bool:
    """Whether a polygon may have no pixel: it is small, or reaches beyond. To draw them all takes minutes for COCO."""
    x, y = polygon[0::2], polygon[1::2]
    if x.min() < 0 or y.min() < 0 or x.max() > image.width or y.max() > image.height:
        return True
    twice = x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]
    return bool(abs(twice) < 2 * _SURE)


def _box(annotation: CocoAnnotation, segmentation: Segmentation, image: CocoImage, odd: Oddities) -> Box | None:
    """The box as given where it can be believed, cut off at the image's sides."""
    if annotation.box is None:
        return None
    example = f"annotation {annotation.id} of {image.file_name}"
    x, y, w, h = annotation.box
    if not (np.isfinite(annotation.box).all() and w > 0 and h > 0):
        odd.add("boxes without width or height, taken from the mask", example)
        return None
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, image.width), min(y + h, image.height)
    if left >= right or top >= bottom:
        odd.add("boxes outside their image, taken from the mask", example)
        return None
    if max(left - x, top - y, x + w - right, y + h - bottom) > _TOLERANCE:
        odd.add("boxes that reach beyond their image, cut off", example)
    box = left, top, right - left, bottom - top
    if _overlap(box, _extent(segmentation, image)) < _FITS:
        odd.add("boxes that do not fit their mask, taken from the mask", example)
        return None
    return box


def _extent(segmentation: Segmentation, image: CocoImage) -> Box:
    """The box of a segmentation; for polygons that of their corners, cut off at the image's sides."""
    if isinstance(segmentation, RLE):
        return mask_box(segmentation)
    x, y = np.concatenate([p[0::2] for p in segmentation]), np.concatenate([p[1::2] for p in segmentation])
    left, top = max(float(x.min()), 0.0), max(float(y.min()), 0.0)
    return left, top, min(float(x.max()), image.width) - left, min(float(y.max()), image.height) - top


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0.0) * max(high, 0.0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def true_annotation(thing: Thing, image: CocoImage, category: int, number: int) -> CocoAnnotation:
    """A thing as an evaluation takes it: with run lengths, box and area, of which the file's own come first."""
    rle = thing.rle(image)
    box = mask_box(rle) if thing.box is None else thing.box
    area = float(mask_area(rle)) if thing.area is None or not thing.area > 0 else thing.area
    return CocoAnnotation(number, image.id, category, box, rle, area, thing.crowd)
