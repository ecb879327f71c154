"""AP of torchvision's Mask R-CNN and of ours with the same trained weights on labelled images; see segmentation.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anyview.formats.coco import CocoResult
from anyview.segmentation.average_precision import average_precision
from anyview.segmentation.data.folder import open_data
from anyview.segmentation.data.subset import spread
from anyview.segmentation.detector import Detector
from anyview.segmentation.mask_rcnn import Found
from anyview.segmentation.pretrained import open_pretrained
from anyview.segmentation.train_data import synthetic
from anyview.segmentation.train_options import SYNTHETIC, SyntheticOptions
from segmentation_inference import coco_results
from segmentation_models import twin


@torch.no_grad()
def exactness(weights: Path | str, data: str, split: str, most: int) -> dict[str, Any]:
    """Box and mask AP of each program, of 100."""
    pretrained = open_pretrained(weights)
    ours, theirs = pretrained.model, twin(pretrained.model.options)
    theirs.load_state_dict(ours.state_dict())
    labelled = (
        synthetic(SyntheticOptions(), split)
        if data == SYNTHETIC
        else open_data(data, "train" if split == "train" else "val", classes=pretrained.classes)
    )
    if labelled is None:
        raise SystemExit(f"{data} has no images of the split {split}")
    chosen = spread(labelled, most)
    programs: dict[str, Callable[[Sequence[Tensor]], list[Found]]] = {
        "torchvision": lambda images: theirs(list(images)),
        "float32": Detector(ours, min_score=0, device="cpu", precision="float32"),
        "bfloat16": Detector(ours, min_score=0, device="cpu", precision="bf16"),
    }
    results: dict[str, list[CocoResult]] = {name: [] for name in programs}
    for number in range(len(chosen)):
        image, target = chosen[number]
        for name, program in programs.items():
            (found,) = program([image.float() / 255])
            ids = pretrained.classes.ids
            told = coco_results(found, int(target["image_id"]))  # with labels for ids
            results[name] += [replace(r, category_id=ids[r.category_id]) for r in told if ids[r.category_id] >= 0]
    truth = chosen.ground_truth()
    figures = {
        name: {kind: ap(average_precision(truth, found, kind).figures["AP"]) for kind in ("box", "mask")}
        for name, found in results.items()
    }
    return {
        "weights": Path(weights).name,
        "data": Path(data).name,
        "split": split,
        "images": len(chosen),
        "ap": figures,
    }


def ap(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)
