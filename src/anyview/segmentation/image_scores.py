"""How well single images went: an F-score each, by which the worst are found.

Things that were found with at least `CONFIDENT` are matched with true ones of their class, best first, each with the
free one that its mask overlaps most, from an overlap (IoU) of one half on. F = 2 TP / (2 TP + FP + FN). What lies
mostly in a crowd of its class counts neither way, as in COCO's figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from anyview.formats.coco import CocoAnnotation, CocoData, CocoImage, CocoResult
from anyview.formats.coco_masks import RLE, mask_overlaps, rasterize

CONFIDENT: Final = 0.5
"""Least score of what counts as found."""

_MATCH = 0.5


@dataclass(frozen=True, eq=False)
class ImageScore:
    """One image.

    Attributes:
        index: in the data.
        image: its file and size.
        f_score: 0 to 1; 1 where nothing is there and nothing was found.
        matched, missed, false: true things that were found, that were not, and found things that are none.
        truth: the true things.
        found: what was found with confidence, best first.
    """

    index: int
    image: CocoImage
    f_score: float
    matched: int
    missed: int
    false: int
    truth: tuple[CocoAnnotation, ...] = field(repr=False)
    found: tuple[CocoResult, ...] = field(repr=False)


def image_scores(truth: CocoData, results: Sequence[CocoResult]) -> list[ImageScore]:
    """Each image's, in the order of the data.

    Args:
        truth: images and things, crowds among them.
        results: what was found in these images, with masks.
    """
    true: dict[int, list[CocoAnnotation]] = defaultdict(list)
    found: dict[int, list[CocoResult]] = defaultdict(list)
    for annotation in truth.annotations:
        true[annotation.image_id].append(annotation)
    for result in sorted(results, key=lambda r: -r.score):
        if result.score >= CONFIDENT:
            found[result.image_id].append(result)
    return [_score(i, image, true[image.id], found[image.id]) for i, image in enumerate(truth.images)]


def rle_of(annotation: CocoAnnotation, image: CocoImage) -> RLE:
    """A thing's mask as run lengths."""
    shape = annotation.segmentation
    return shape if isinstance(shape, RLE) else rasterize(shape or (), image.height, image.width)


def _score(index: int, image: CocoImage, true: list[CocoAnnotation], found: list[CocoResult]) -> ImageScore:
    matched = false = 0
    for number in {a.category_id for a in true} | {r.category_id for r in found}:
        things = [a for a in true if a.category_id == number]
        own = [r.mask for r in found if r.category_id == number and r.mask is not None]
        crowd = np.array([a.crowd for a in things], bool)
        overlaps = mask_overlaps(own, [rle_of(a, image) for a in things], crowd)
        free = ~crowd
        for row in overlaps:
            hits = np.where(free, row, 0.0)
            if hits.size and hits.max() >= _MATCH:
                free[int(hits.argmax())] = False
                matched += 1
            elif not (crowd.any() and row[crowd].max() >= _MATCH):
                false += 1
    missed = sum(not a.crowd for a in true) - matched
    together = 2 * matched + false + missed
    f_score = 2 * matched / together if together else 1.0
    return ImageScore(index, image, f_score, matched, missed, false, tuple(true), tuple(found))
