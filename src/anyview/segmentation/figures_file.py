"""An evaluation as JSON: {"box": {...}, "mask": {...}, "classes": [...], "images": n, ...}; null where no truth is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyview.formats.files import atomic_write
from anyview.segmentation.data.folder import Split
from anyview.segmentation.evaluate import Scores


@dataclass(frozen=True)
class EvaluatedImages:
    """Which images an evaluation has seen.

    Attributes:
        folder: where they lie; or "synthetic".
        split: of the folder.
    """

    folder: str
    split: Split


def write_figures(path: Path, scores: Scores, images: EvaluatedImages, step: int) -> None:
    """Write the figures of an evaluation, whole or not at all.

    Args:
        path: the file.
        scores: of the evaluation.
        images: that it has seen.
        step: of the weights.

    Raises:
        WorkspaceError: the file cannot be written.
    """
    pairs = zip(scores.box.classes, scores.mask.classes, strict=True)
    content: dict[str, Any] = {
        "folder": images.folder,
        "split": images.split,
        "step": step,
        "images": len(scores.truth.images),
        "box": scores.box.figures,
        "mask": scores.mask.figures,
        "classes": [{"name": b.name, "things": b.things, "box": b.figures, "mask": m.figures} for b, m in pairs],
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
