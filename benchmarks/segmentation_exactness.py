"""AP of torchvision's Mask R-CNN and of ours with the same trained weights on labelled images; see segmentation.py.

Of few images AP is coarse: an object whose mask overlaps by 0.7499 and not 0.7501 counts less. So few images are looked
at again and again, each time with noise of half a grey level, and what bfloat16 costs is told with its standard error.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from anyview.formats.coco import CocoResult
from anyview.segmentation.average_precision import average_precision
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.data.folder import open_data
from anyview.segmentation.data.items import InstanceData
from anyview.segmentation.data.subset import spread
from anyview.segmentation.detector import Detector
from anyview.segmentation.mask_rcnn import Found, MaskRCNN
from anyview.segmentation.pretrained import open_pretrained
from anyview.segmentation.train_data import synthetic
from anyview.segmentation.train_options import SYNTHETIC, SyntheticOptions
from segmentation_inference import coco_results
from segmentation_models import twin

Program: TypeAlias = Callable[[Sequence[Tensor]], list[Found]]
_NOISE = 0.5 / 255  # below what an 8-bit picture can show


def exactness(weights: Path | str, data: str, split: str, most: int) -> dict[str, Any]:
    """Box and mask AP of each program, of 100."""
    ours, classes, chosen = _opened(weights, data, split, most)
    programs = _torchvision(ours) | _ours(ours)
    return {**_told(weights, data, split, chosen), "ap": _scores(programs, chosen, classes, None)}


def noisy(weights: Path | str, data: str, split: str, most: int, times: int) -> dict[str, Any]:
    """AP in float32 and in bfloat16 of the same noisy images, as often as told, and their difference."""
    ours, classes, chosen = _opened(weights, data, split, most)
    as_is = _scores(_torchvision(ours) | _ours(ours), chosen, classes, None)
    programs, rounds = _ours(ours), []
    for seed in range(times):
        rounds.append(_scores(programs, chosen, classes, torch.Generator().manual_seed(seed)))
        print(f"noise {seed}: {rounds[-1]}", flush=True)
    loss = {kind: [r["bfloat16"][kind] - r["float32"][kind] for r in rounds] for kind in ("box", "mask")}
    told = {
        kind: {"mean": round(statistics.mean(d), 3), "standard_error": round(statistics.stdev(d) / len(d) ** 0.5, 3)}
        for kind, d in loss.items()
    }
    return {**_told(weights, data, split, chosen), "ap": as_is, "rounds": rounds, "bfloat16_less_float32": told}


def _told(weights: Path | str, data: str, split: str, chosen: InstanceData) -> dict[str, Any]:
    return {"weights": Path(weights).name, "data": Path(data).name, "split": split, "images": len(chosen)}


def _opened(weights: Path | str, data: str, split: str, most: int) -> tuple[MaskRCNN, Classes, InstanceData]:
    pretrained = open_pretrained(weights)
    labelled = (
        synthetic(SyntheticOptions(), split)
        if data == SYNTHETIC
        else open_data(data, "train" if split == "train" else "val", classes=pretrained.classes)
    )
    if labelled is None:
        raise SystemExit(f"{data} has no images of the split {split}")
    return pretrained.model, pretrained.classes, spread(labelled, most)


def _torchvision(model: MaskRCNN) -> dict[str, Program]:
    theirs = twin(model.options)
    theirs.load_state_dict(model.state_dict())
    return {"torchvision": lambda images: theirs(list(images))}


def _ours(model: MaskRCNN) -> dict[str, Program]:
    return {
        "float32": Detector(model, min_score=0, device="cpu", precision="float32"),
        "bfloat16": Detector(model, min_score=0, device="cpu", precision="bf16"),
    }


@torch.no_grad()
def _scores(
    programs: dict[str, Program], chosen: InstanceData, classes: Classes, noise: torch.Generator | None
) -> dict[str, dict[str, float | None]]:
    results: dict[str, list[CocoResult]] = {name: [] for name in programs}
    for number in range(len(chosen)):
        pixels, target = chosen[number]
        image = pixels.float() / 255
        if noise is not None:
            image = (image + _NOISE * torch.randn(image.shape, generator=noise)).clamp(0, 1)
        for name, program in programs.items():
            (found,) = program([image])
            told = coco_results(found, int(target["image_id"]))  # with labels for ids
            ids = classes.ids
            results[name] += [replace(r, category_id=ids[r.category_id]) for r in told if ids[r.category_id] >= 0]
    truth = chosen.ground_truth()
    return {
        name: {kind: ap(average_precision(truth, found, kind).figures["AP"]) for kind in ("box", "mask")}
        for name, found in results.items()
    }


def ap(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)
