"""`anyview segment demo`: a small model learns rendered solids in a few minutes, and shows what it finds in others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from anyview.formats.files import atomic_write
from anyview.pipelines.segmentation import train_segmentation
from anyview.progress import SILENT, Progress
from anyview.report.pictures import contact_sheet
from anyview.segmentation.config import chosen
from anyview.segmentation.data.subset import spread
from anyview.segmentation.detector import Detector
from anyview.segmentation.overlay import draw_overlay
from anyview.segmentation.result import result_of
from anyview.segmentation.run import open_run
from anyview.segmentation.train_data import synthetic
from anyview.segmentation.train_options import SYNTHETIC

if TYPE_CHECKING:
    from anyview.segmentation.evaluate import Scores
    from anyview.training.loop import TrainingResult

_SHOWN, _COLUMNS = 12, 4
_CELL = (320, 320)  # pixels
_PASTED = ("augment.crop_size=160", "augment.copy_paste=0.7")  # more things in a step; the pictures are of 160x160


@dataclass(frozen=True, eq=False)
class SegmentationDemo:
    """What the demo made.

    Attributes:
        result: of the training.
        scores: on pictures that it has not learnt from.
        page: the run's report; None where it could not be written.
        sheet: a picture of what was found in some of them.
    """

    result: TrainingResult = field(repr=False)
    scores: Scores | None = field(repr=False)
    page: Path | None
    sheet: Path


def segmentation_demo(out: Path, minutes: float, progress: Progress = SILENT) -> SegmentationDemo:
    """Train the preset `small` with copy-paste on synthetic pictures, score it on others, draw what it finds.

    Args:
        out: the run's folder; run again, the training goes on from where it was.
        minutes: of training, in all.
        progress: told how it goes.

    Raises:
        AnyviewError, KeyboardInterrupt: see `anyview.segmentation.train.train_segmentation`.
    """
    options = chosen(out, None, "small", _PASTED, {"loop.max_minutes": minutes})
    result, scores, page = train_segmentation(SYNTHETIC, out, options, progress)
    return SegmentationDemo(result, scores, page, _draw(out, progress))


def _draw(run: Path, progress: Progress) -> Path:
    """A sheet of held-back pictures with what the best weights find in them."""
    opened = open_run(run, progress=progress)
    data = spread(synthetic(opened.options.synthetic, "val"), _SHOWN)
    detector = Detector(opened.model)
    pictures, labels = [], []
    for number in range(len(data)):
        image, truth = data[number]
        (found,) = detector([image])
        result = result_of(found, f"{number}", opened.classes)
        pictures.append(draw_overlay(np.ascontiguousarray(image.numpy().transpose(1, 2, 0)), result))
        labels.append(f"{len(truth['labels'])} there, {len(result)} found")
    path = run / "demo.png"
    with atomic_write(path) as temporary:
        Image.fromarray(contact_sheet(pictures, labels, _COLUMNS, cell=_CELL)).save(temporary, format="png")
    return path
