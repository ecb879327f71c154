"""A small COCO folder: images of coloured rectangles, with every kind of mask, for the tests of segmentation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZES = ((40, 30), (30, 40), (33, 33), (48, 24))  # width and height


class Notes:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps = 0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[..., None]]:
        def advance(steps: int = 1) -> None:
            self.steps += steps

        yield advance

    def note(self, message: str) -> None:
        self.lines.append(message)


def rectangle(x: float, y: float, w: float, h: float) -> list[float]:
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def instances() -> dict[str, Any]:
    """Four images, ids 11 to 14; things in the first three, a crowd in the first; categories 3, 17 and 90."""
    images = [{"id": 11 + i, "file_name": f"{i}.png", "width": w, "height": h} for i, (w, h) in enumerate(SIZES)]

    def entry(number: int, image: int, category: int, box: tuple[float, ...], **more: Any) -> dict[str, Any]:
        base = {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "iscrowd": 0}
        return {**base, "area": box[2] * box[3], "segmentation": [rectangle(*box)], **more}

    width, height = SIZES[0]
    crowd = {"size": [height, width], "counts": [0, 2 * height, (width - 2) * height]}
    annotations = [
        entry(1, 11, 90, (4, 5, 10, 12)),
        entry(2, 11, 3, (20, 2, 15, 20)),
        entry(3, 11, 3, (0, 0, 2, height), iscrowd=1, segmentation=crowd),
        entry(4, 12, 17, (3, 3, 6, 30)),
        entry(5, 13, 3, (10, 10, 8, 8), segmentation=[rectangle(10, 10, 4, 8), rectangle(14, 10, 4, 8)]),
    ]
    categories = [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i, (width, height) in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{i}.png")


def write_folder(root: Path, content: dict[str, Any] | None = None) -> Path:
    """COCO's own layout, with a training and a validation split of the same images."""
    for split in ("train", "val"):
        write_images(root / f"{split}2017")
        (root / "annotations").mkdir(exist_ok=True)
        text = json.dumps(instances() if content is None else content)
        (root / "annotations" / f"instances_{split}2017.json").write_text(text)
    return root
