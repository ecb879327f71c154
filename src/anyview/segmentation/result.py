"""What was found in one image, and the forms in which others want it.

Letters: N objects, best first; H rows, W columns of the image. Boxes are left, top, right, bottom, pixels of the image;
(0, 0) is the corner of the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from anyview.errors import OptionError
from anyview.formats.coco import CocoResult, result_dicts
from anyview.formats.coco_masks import encode_crop
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.mask_rcnn import Found
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.network.transform import Size


@dataclass(frozen=True, eq=False)
class Result:
    """The objects of an image; everything is in the host's memory.

    Attributes:
        name: of the image.
        classes: what the labels mean.
        boxes, labels, scores: of each object.
        crops: of each object the mask, in its box only.
    """

    name: str
    classes: Classes
    boxes: Float32[Tensor, "N 4"]
    labels: Int64[Tensor, "N"]
    scores: Float32[Tensor, "N"]
    crops: MaskCrops

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> Size:
        """Height and width of the image, pixels."""
        return self.crops.size

    @property
    def names(self) -> list[str]:
        """The class of each object."""
        return [self.classes.names[label] for label in self.labels.tolist()]

    def select(self, classes: Iterable[str] | None = None, min_score: float = 0.0) -> Result:
        """The objects of some classes, and of some score at least.

        Raises:
            OptionError: a class that the model does not know.
        """
        chosen = self.scores >= min_score
        if classes is not None:
            chosen &= torch.isin(self.labels, torch.tensor(labels_of(self.classes, classes), dtype=torch.int64))
        return self.pick(chosen.nonzero()[:, 0].tolist())

    def pick(self, numbers: list[int]) -> Result:
        """The objects of these numbers, in this order."""
        crops = MaskCrops([self.crops.crops[i] for i in numbers], [self.crops.corners[i] for i in numbers], self.size)
        boxes, labels, scores = self.boxes[numbers], self.labels[numbers], self.scores[numbers]
        return replace(self, boxes=boxes, labels=labels, scores=scores, crops=crops)

    def masks(self) -> Bool[np.ndarray, "N H W"]:
        """All masks at the size of the image: N times its pixels, in bytes."""
        whole = np.zeros((len(self), *self.size), np.bool_)
        for into, crop, (top, left) in zip(whole, self.crops.crops, self.crops.corners, strict=True):
            into[top : top + crop.shape[0], left : left + crop.shape[1]] = crop.numpy()
        return whole

    def union(self, keep: Iterable[str] | None = None) -> Bool[np.ndarray, "H W"]:
        """Where any object is.

        Args:
            keep: only objects of these classes.

        Raises:
            OptionError: a class that the model does not know.
        """
        chosen = self.select(keep).crops
        whole = np.zeros(self.size, np.bool_)
        for crop, (top, left) in zip(chosen.crops, chosen.corners, strict=True):
            whole[top : top + crop.shape[0], left : left + crop.shape[1]] |= crop.numpy()
        return whole

    def numbers(self) -> Int64[np.ndarray, "H W"]:
        """At each pixel the number of its object, from 1; 0 is the background. Where several are, the best one's."""
        whole = np.zeros(self.size, np.int64)
        for number in reversed(range(len(self))):
            crop, (top, left) = self.crops.crops[number].numpy(), self.crops.corners[number]
            whole[top : top + crop.shape[0], left : left + crop.shape[1]][crop] = number + 1
        return whole

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Entries of a file of results, as COCO's evaluation takes it: they can be written as JSON."""
        return result_dicts(self.coco_results(image_id))

    def coco_results(self, image_id: int) -> list[CocoResult]:
        """The same as records."""
        found = []
        corners_and_crops = zip(self.crops.corners, self.crops.crops, strict=True)
        rows = zip(self.boxes.tolist(), self.labels.tolist(), self.scores.tolist(), corners_and_crops, strict=True)
        for (x0, y0, x1, y1), label, score, (corner, crop) in rows:
            rle = encode_crop(crop.numpy(), corner, self.size)
            box = (x0, y0, x1 - x0, y1 - y0)
            found.append(CocoResult(image_id, self.classes.ids[label], box, score, rle))
        return found

    def to_supervision(self) -> Any:
        """A `supervision.Detections`.

        Raises:
            OptionError: that package is not installed.
        """
        if find_spec("supervision") is None:
            raise OptionError(
                "the package supervision is not installed", where="to_supervision",
                hint="run pip install supervision",
            )  # fmt: skip
        return import_module("supervision").Detections(
            xyxy=self.boxes.numpy(),
            mask=self.masks(),
            confidence=self.scores.numpy(),
            class_id=self.labels.numpy(),
            data={"class_name": np.array(self.names, dtype=str)},
        )


def result_of(found: Found, name: str, classes: Classes) -> Result:
    """One image's detections, whose masks are crops, in the host's memory; labels that nothing has are left out."""
    crops: MaskCrops = found["masks"]
    boxes, labels, scores = (found[key].detach().cpu() for key in ("boxes", "labels", "scores"))
    host = MaskCrops([crop.cpu() for crop in crops.crops], crops.corners, crops.size)
    known = torch.isin(labels, torch.tensor(classes.used, dtype=torch.int64))
    return Result(name, classes, boxes, labels, scores, host).pick(known.nonzero()[:, 0].tolist())


def labels_of(classes: Classes, names: Iterable[str]) -> list[int]:
    """The labels of classes by name.

    Raises:
        OptionError: a class that the model does not know.
    """
    found = []
    for name in names:
        label = classes.label(name)
        if label is None:
            known = ", ".join(classes.names[label] for label in classes.used)
            raise OptionError("class that the model does not know", expected=f"one of {known}", actual=name)
        found.append(label)
    return found
