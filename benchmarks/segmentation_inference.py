"""Photographs per second of torchvision's Mask R-CNN and of ours, one step after the other; see segmentation.py.

| step | what it adds |
|---|---|
| torchvision | `maskrcnn_resnet50_fpn`, float32, as it is |
| torchvision_bfloat16 | the same with channels last and bfloat16 autocast, as its users can have it |
| plain | our model, float32, norms apart, the same masks at full size, torchvision's RoIAlign |
| roi_align | our RoIAlign |
| crops | masks decided (probability one half) in their boxes only |
| folded | norms folded into convolutions |
| channels_last | channels last in memory: `Detector` in float32 |
| packed | weights laid out beforehand, sums and ReLU on the way out (`packed.py`); `Detector`: in bfloat16 only |
| bfloat16 | bfloat16: `Detector` as users get it on processors that are quick in it |
| confident | only objects of a score of one half: what `anyview segment predict` looks for |
| compiled | bfloat16 with `torch.compile`, for photographs of the first one's size only (--compile) |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from anyview.formats.coco import CocoAnnotation, CocoCategory, CocoData, CocoImage, CocoResult
from anyview.formats.coco_masks import encode_crop, encode_mask, mask_area
from anyview.segmentation import MaskRCNN
from anyview.segmentation.average_precision import average_precision
from anyview.segmentation.detector import Detector
from anyview.segmentation.network.folding import fold_batch_norm
from anyview.segmentation.network.packed import pack
from segmentation_models import Peer
from turns import Stolen, Times, in_turns, ratio

Found = dict[str, Any]
Program = Callable[[Tensor], Found]
PEER = "torchvision"


def ladder(theirs: Peer, ours: MaskRCNN) -> dict[str, Program]:
    """The steps, each with the ones before it."""
    apart = MaskRCNN(replace(ours.options, frozen_norms=False)).eval()  # a frozen norm scales the weights anyhow
    apart.load_state_dict(dict(ours.state_dict()))
    folded = fold_batch_norm(ours)
    last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    packed = copy.deepcopy(last)
    for part in (packed.backbone, packed.rpn, packed.roi_heads.box_head, packed.roi_heads.mask_head):
        pack(part)
    theirs_last = copy.deepcopy(theirs).to(memory_format=torch.channels_last)

    def reduced(image: Tensor) -> Found:
        with torch.autocast("cpu", torch.bfloat16):
            return theirs_last([image])[0]

    def plain(image: Tensor) -> Found:
        with mock.patch("anyview.segmentation.network.pooling.pools_here", return_value=False):
            return apart.detect([image])[0]

    def detector(**options: Any) -> Program:
        finder = Detector(ours, device="cpu", **options)
        return lambda image: finder([image])[0]

    return {
        PEER: lambda image: theirs([image])[0],
        "torchvision_bfloat16": reduced,
        "plain": plain,
        "roi_align": lambda image: apart.detect([image])[0],
        "crops": lambda image: apart.detect([image], masks="crops")[0],
        "folded": lambda image: folded.detect([image], masks="crops")[0],
        "channels_last": lambda image: last.detect([image], masks="crops")[0],
        "packed": lambda image: packed.detect([image], masks="crops")[0],
        "bfloat16": detector(min_score=0, precision="bf16"),
        "confident": detector(min_score=0.5, precision="bf16"),
    }


@torch.no_grad()
def inference(theirs: Peer, ours: MaskRCNN, images: Sequence[Tensor], rounds: int, compiled: bool) -> dict[str, Any]:
    """Times and agreement of all steps."""
    programs = ladder(theirs, ours)
    results: dict[str, list[CocoResult]] = {name: [] for name in programs}
    turns: list[Times] = []
    with Stolen() as host:
        for number, image in enumerate(images, 1):
            for name, program in programs.items():
                results[name] += coco_results(program(image), number)
            turns.append(in_turns({name: partial(p, image) for name, p in programs.items()}, rounds))
            print(f"photograph {number}:", {name: round(min(t), 2) for name, t in turns[-1].items()}, flush=True)
    sizes = [(int(image.shape[1]), int(image.shape[2])) for image in images]
    facts: dict[str, Any] = {
        "photographs": sizes,
        "rounds": rounds,
        "objects": {name: round(len(results[name]) / len(images), 1) for name in (PEER, "bfloat16", "confident")},
        "stolen": host.share,
        "steps": steps(turns, PEER),
        "mask_ap_to_torchvision": {
            name: agreement(sizes, results[PEER], found) for name, found in results.items() if name != "confident"
        },
    }
    if compiled:
        facts["compiled"] = with_compiler(programs, ours, images[0], rounds)
    return facts


def steps(turns: Sequence[Times], to: str) -> dict[str, dict[str, Any]]:
    """Photographs per second, of the best turns, and the ratio to a program, the median over all turns."""
    told = {}
    for name in turns[0]:
        joined = {key: [s for times in turns for s in times[key]] for key in (name, to)}
        told[name] = {
            "per_second": round(len(turns) / sum(min(times[name]) for times in turns), 3),
            "ratio": ratio(joined, name, to),
            "seconds": [[round(s, 3) for s in times[name]] for times in turns],
        }
    return told


def with_compiler(programs: dict[str, Program], ours: MaskRCNN, image: Tensor, rounds: int) -> dict[str, Any]:
    """One photograph: the steps that a compiler competes with, and compiled."""
    finder = Detector(ours, device="cpu", min_score=0, precision="bf16", compile=True)
    with Stolen() as first:
        finder([image])
    chosen = {name: partial(programs[name], image) for name in (PEER, "bfloat16")}
    times = in_turns({**chosen, "compiled": lambda: finder([image])}, rounds)
    return {"first_seconds": first.seconds, "steps": steps([times], PEER)}


def agreement(
    sizes: Sequence[tuple[int, int]], wanted: Sequence[CocoResult], found: Sequence[CocoResult]
) -> float | None:
    """Mask AP of some detections where others are taken for the truth."""
    images = tuple(CocoImage(number, f"{number}", width, height) for number, (height, width) in enumerate(sizes, 1))
    annotations = tuple(
        CocoAnnotation(number, r.image_id, r.category_id, r.box, r.mask, float(mask_area(r.mask)))
        for number, r in enumerate(wanted, 1)
        if r.mask is not None
    )
    kinds = sorted({r.category_id for r in wanted})
    truth = CocoData(images, annotations, tuple(CocoCategory(k, f"class {k}") for k in kinds))
    value = average_precision(truth, [r for r in found if r.category_id in set(kinds)], "mask").figures["AP"]
    return None if value is None else round(value, 4)


def coco_results(found: Found, image: int) -> list[CocoResult]:
    """Detections with masks, either program's, with labels for ids."""
    told = []
    rows = zip(found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
    for i, ((x0, y0, x1, y1), label, score) in enumerate(rows):
        masks = found["masks"]
        if isinstance(masks, Tensor):
            mask = encode_mask((masks[i, 0] >= 0.5).numpy())
        else:
            mask = encode_crop(masks.crops[i].numpy(), masks.corners[i], masks.size)
        told.append(CocoResult(image, label, (x0, y0, x1 - x0, y1 - y0), score, mask))
    return told
