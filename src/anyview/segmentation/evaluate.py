"""How good a model is on labelled images: what it finds in each, and COCO's figures of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from anyview.formats.coco import CocoData, CocoResult
from anyview.progress import SILENT, Progress
from anyview.segmentation.average_precision import Precision, average_precision
from anyview.segmentation.data.items import InstanceData
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.result import result_of
from anyview.training.precision import autocast

_PIXELS_AT_ONCE = 800 * 1333  # of the network's images: one of the usual size, many small ones
_MOST_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Scores:
    """An evaluation.

    Attributes:
        box, mask: COCO's figures.
        truth: what was compared with.
        results: what was found.
    """

    box: Precision
    mask: Precision
    truth: CocoData = field(repr=False)
    results: tuple[CocoResult, ...] = field(repr=False)

    def figures(self) -> dict[str, float]:
        """The few that a training looks at; those without truth are left out."""
        names = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
        pairs = (("mask", self.mask), ("box", self.box))
        values = {f"{kind}_{short}": part.figures[name] for kind, part in pairs for short, name in names.items()}
        return {name: value for name, value in values.items() if value is not None}


def score(
    model: MaskRCNN,
    data: InstanceData,
    precision: str = "32-true",
    progress: Progress = SILENT,
    truth: CocoData | None = None,
) -> Scores:
    """Find things in every image, and compare.

    Args:
        model: in eval mode, on its device.
        data: labelled images.
        precision: of the network's arithmetic, in Lightning's words.
        progress: told of every image.
        truth: the data's, where it is at hand.

    Raises:
        FormatError: an image is damaged.
    """
    truth = data.ground_truth() if truth is None else truth
    results: list[CocoResult] = []
    with progress.stage("find objects", len(data)) as advance:
        for count, found in _results(model, data, precision):
            results += found
            advance(count)
    box, mask = (average_precision(truth, results, kind) for kind in ("box", "mask"))
    return Scores(box, mask, truth, tuple(results))


def _results(model: MaskRCNN, data: InstanceData, precision: str) -> Iterator[tuple[int, list[CocoResult]]]:
    """Images of one size go through the model together; how many, and what was found."""
    device = next(model.parameters()).device
    for numbers in _together(data, model):
        items = [data[i] for i in numbers]
        images = [image.to(device).float().div_(255) for image, _ in items]
        with torch.no_grad(), autocast(precision, device):
            found = model.detect(images, masks="crops")
        results: list[CocoResult] = []
        for one, (_, target) in zip(found, items, strict=True):
            results += result_of(one, "", data.classes).coco_results(int(target["image_id"]))
        yield len(numbers), results


def _together(data: InstanceData, model: MaskRCNN) -> Iterator[list[int]]:
    """Numbers of neighbours of one size, no more than the memory should hold."""
    o = model.options.images
    at_once = min(max(_PIXELS_AT_ONCE // (o.min_size[-1] ** 2), 1), _MOST_AT_ONCE)
    waiting: list[int] = []
    sizes = data.sizes
    for number, size in enumerate(sizes):
        if waiting and (sizes[waiting[0]] != size or len(waiting) == at_once):
            yield waiting
            waiting = []
        waiting.append(number)
    if waiting:
        yield waiting
