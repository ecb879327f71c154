"""Average precision and recall as COCO defines them, by faster-coco-eval's port of COCO's own evaluation.

AP is the mean over the thresholds of overlap (IoU) 0.50, 0.55, ..., 0.95 and over the classes that have truth. Sizes
are COCO's: small up to 32 x 32 pixels, medium up to 96 x 96, large.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal

import numpy as np

from anyview.errors import OptionError
from anyview.formats.coco import CocoData, CocoResult, coco_dict, result_dicts

FIGURES: Final = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""Of all images, in COCO's order; AR_10 is the recall of the ten best detections of each image."""

_CLASS_FIGURES = ("AP", "AP50", "AP75", "AR_100")


@dataclass(frozen=True)
class ClassPrecision:
    """Figures of one class; None where it has no truth.

    Attributes:
        name: of the class.
        things: of it, in the truth, crowds left out.
        figures: AP, AP50, AP75 and AR_100.
    """

    name: str
    things: int
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Precision:
    """Figures by the names in `FIGURES`, of all classes together and of each; None where there is no truth."""

    figures: dict[str, float | None]
    classes: tuple[ClassPrecision, ...]


def average_precision(truth: CocoData, results: Sequence[CocoResult], kind: Literal["box", "mask"]) -> Precision:
    """Compare what was found with what is there.

    Args:
        truth: images, things with run lengths, crowds among them, and classes.
        results: what was found in these images; with masks where `kind` is "mask".
        kind: whether boxes or masks are compared.

    Raises:
        OptionError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise OptionError(
            "the library for COCO's figures is not installed", expected="faster-coco-eval",
            hint="run pip install 'anyview[learn]'",
        ) from error  # fmt: skip
    things = {c.id: 0 for c in truth.categories}
    for annotation in truth.annotations:
        things[annotation.category_id] += not annotation.crowd
    if not results or not truth.annotations:
        return _without(truth, things)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(coco_dict(truth))
        found = known.loadRes(_entries(results, kind))
        work: Any = COCOeval_faster(known, found, iouType="bbox" if kind == "box" else "segm")
        work.params.catIds = sorted(things)
        work.params.imgIds = sorted(image.id for image in truth.images)
        work.evaluate()
        work.accumulate()
        work.summarize()
    figures = {name: _known(value) for name, value in zip(FIGURES, work.all_stats[:12], strict=True)}
    precision, recall = work.eval["precision"], work.eval["recall"]  # (T, R, K, A, M) and (T, K, A, M)
    names = {c.id: c.name for c in truth.categories}
    classes = []
    for index, number in enumerate(sorted(things)):
        by_threshold = precision[:, :, index, 0, -1]
        values = (by_threshold, by_threshold[0], by_threshold[5], recall[:, index, 0, -1])
        own = {name: _mean(v) for name, v in zip(_CLASS_FIGURES, values, strict=True)}
        classes.append(ClassPrecision(names[number], things[number], own))
    return Precision(figures, tuple(classes))


def _entries(results: Sequence[CocoResult], kind: Literal["box", "mask"]) -> list[dict[str, Any]]:
    """As COCO's code takes them, which sorts a mask by the area of its box (small, medium, large) where it has both."""
    entries = result_dicts(results)
    return entries if kind == "box" else [{k: v for k, v in one.items() if k != "bbox"} for one in entries]


def _without(truth: CocoData, things: dict[int, int]) -> Precision:
    """Nothing was found, or nothing is there: COCO's code takes neither."""
    small, large = 32**2, 96**2
    areas = np.array([a.area or 0.0 for a in truth.annotations if not a.crowd])
    there = {
        "small": (areas < small).any(), "medium": ((areas >= small) & (areas < large)).any(),
        "large": (areas >= large).any(),
    }  # fmt: skip
    figures = {name: 0.0 if there.get(name.partition("_")[2], len(areas) > 0) else None for name in FIGURES}
    classes = tuple(
        ClassPrecision(c.name, things[c.id], dict.fromkeys(_CLASS_FIGURES, 0.0 if things[c.id] else None))
        for c in sorted(truth.categories, key=lambda c: c.id)
    )
    return Precision(figures, classes)


def _known(value: float) -> float | None:
    """COCO says -1 where there is no truth."""
    return float(value) if isfinite(value) and value > -1 else None


def _mean(values: np.ndarray) -> float | None:
    there = values[values > -1]
    return float(there.mean()) if there.size else None
