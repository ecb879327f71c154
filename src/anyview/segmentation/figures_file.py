"""An evaluation as JSON: {"box": {...}, "mask": {...}, "classes": [...], "images": n}; null where no truth is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anyview.formats.files import atomic_write
from anyview.segmentation.evaluate import Scores


def write_figures(path: Path, scores: Scores, split: str, step: int) -> None:
    """Write the figures of an evaluation, whole or not at all.

    Args:
        path: the file.
        scores: of the evaluation.
        split: of the data.
        step: of the weights.

    Raises:
        WorkspaceError: the file cannot be written.
    """
    pairs = zip(scores.box.classes, scores.mask.classes, strict=True)
    content: dict[str, Any] = {
        "split": split,
        "step": step,
        "images": len(scores.truth.images),
        "box": scores.box.figures,
        "mask": scores.mask.figures,
        "classes": [{"name": b.name, "things": b.things, "box": b.figures, "mask": m.figures} for b, m in pairs],
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
