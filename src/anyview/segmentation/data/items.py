"""What a model is trained on: an image, and the things in it.

Letters: N things, H rows, W columns. A target has torchvision's keys:

- `boxes` (N, 4) float32: left, top, right, bottom, pixels; (0, 0) is the corner of the first pixel;
- `labels` (N) int64, from 1;
- `masks` (N, H, W) uint8, 0 or 1;
- `iscrowd` (N) int64, `area` (N) float32, pixels of the mask, `image_id` () int64.

A box is the file's, where it has one that fits the mask, and moves with the picture; as soon as the mask loses a pixel
the box is that of the pixels left. (Boxes of COCO's polygons have fractions: a model that learned the masks' boxes and
made no mistake would reach a box AP of 0.97.) The area is always the mask's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, Integer, UInt8
from torch import Tensor

from anyview.formats.coco import CocoData
from anyview.segmentation.data.classes import Classes

Target: TypeAlias = dict[str, Tensor]
Item: TypeAlias = tuple[UInt8[Tensor, "3 _ _"], Target]
"""An RGB image and its target."""


@runtime_checkable
class InstanceData(Protocol):
    """Labelled images by number."""

    @property
    def classes(self) -> Classes:
        """What the labels mean."""
        ...

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image, without reading it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Of every image: its file's, perhaps with folders."""
        ...

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __getitem__(self, index: int) -> Item:
        """An image and its things; the same each time. Threads may ask at once."""
        ...

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        """What an evaluation compares with, crowds included; its categories have the ids of `classes`.

        Args:
            chosen: numbers of images, in whose order they come; None is all. What is not chosen costs nothing.
        """
        ...


def make_target(
    masks: UInt8[Tensor, "N H W"],
    labels: Int64[Tensor, "N"],
    image_id: int,
    crowd: Int64[Tensor, "N"] | None = None,
    boxes: Float32[Tensor, "N 4"] | None = None,
) -> Target:
    """The target of some masks; those without a pixel are left out. Without boxes they are the masks'."""
    boxes, area = mask_boxes(masks) if boxes is None else boxes, mask_areas(masks)
    crowd = torch.zeros_like(labels) if crowd is None else crowd
    target = {"boxes": boxes, "labels": labels, "masks": masks, "iscrowd": crowd, "area": area}
    return {**keep(target, area > 0), "image_id": torch.tensor(image_id)}


def keep(target: Target, chosen: Tensor) -> Target:
    """The chosen things of a target.

    Args:
        target: of N things.
        chosen: (N) booleans, or indices.
    """
    if chosen.dtype == torch.bool and bool(chosen.all()):
        return dict(target)
    return {name: value if name == "image_id" else value[chosen] for name, value in target.items()}


def remasked(target: Target, masks: UInt8[Tensor, "N H W"], boxes: Float32[Tensor, "N 4"]) -> Target:
    """A target with other masks and boxes; areas follow, things without a pixel are gone."""
    changed = {**target, "masks": masks, "boxes": boxes, "area": mask_areas(masks)}
    return keep(changed, changed["area"] > 0)


def uncovered(target: Target, above: UInt8[Tensor, "H W"]) -> Target:
    """What is left of things where something (1) lies above them."""
    masks = target["masks"] * (1 - above)
    whole = mask_areas(masks) == target["area"]
    return remasked(target, masks, torch.where(whole[:, None], target["boxes"], mask_boxes(masks)))


def mask_boxes(masks: UInt8[Tensor, "N H W"]) -> Float32[Tensor, "N 4"]:
    """Left, top, right, bottom of the pixels of each mask, as their outer edges; zeros for a mask without pixels."""
    if masks.numel() == 0:
        return torch.zeros((len(masks), 4))
    array = masks.numpy()  # on bytes numpy is a hundred times faster here
    left, right = _span(array.max(1))
    top, bottom = _span(array.max(2))
    return torch.from_numpy(np.stack([left, top, right, bottom], 1).astype(np.float32))


def mask_areas(masks: UInt8[Tensor, "N H W"]) -> Float32[Tensor, "N"]:
    """Pixels of each mask."""
    return torch.tensor([float(np.count_nonzero(mask)) for mask in masks.numpy()], dtype=torch.float32)


def _span(there: UInt8[np.ndarray, "N L"]) -> tuple[Integer[np.ndarray, "N"], Integer[np.ndarray, "N"]]:
    """The first place in each row that is not 0, and one past the last; zeros where none is."""
    some = there.max(1) > 0
    return (there > 0).argmax(1) * some, (there.shape[1] - (there[:, ::-1] > 0).argmax(1)) * some
