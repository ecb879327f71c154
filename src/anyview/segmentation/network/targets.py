"""What is known of a training image: each object's box, class and mask; and where crowds are.

Letters: G objects, C crowds; h, w the sides of the resized image. Boxes are (x0, y0, x1, y1), pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from anyview.errors import OptionError

Target = Mapping[str, Any]
"""`boxes` (N, 4), `labels` (N,), `masks` (N, H, W), and perhaps `iscrowd` (N,); torchvision's names."""


class Truth(NamedTuple):
    """Of one image, at the size that the network sees.

    Attributes:
        boxes, labels, masks: of each object; masks are 0 or 1.
        crowds: boxes of groups that nobody counted: what lies in them is no background.
    """

    boxes: Float[Tensor, "G 4"]
    labels: Int[Tensor, "G"]
    masks: UInt8[Tensor, "G h w"] | Bool[Tensor, "G h w"]
    crowds: Float[Tensor, "C 4"]


def pick(parts: Sequence[Tensor], image: Int[Tensor, "R"], index: Int[Tensor, "R"]) -> Tensor:
    """Rows of one tensor per image, given by their image and their index in it: (R, ...)."""
    starts = torch.tensor([0] + [len(part) for part in parts], device=image.device).cumsum(0)
    return torch.cat(list(parts))[starts[image] + index]


def resized(target: Target, original: tuple[int, int], size: tuple[int, int]) -> Truth:
    """An image's target at another size; masks take their nearest pixel.

    Args:
        target: checked by `check_targets`.
        original, size: height and width before and after, pixels.
    """
    boxes, labels, masks = target["boxes"].float(), target["labels"], target["masks"].to(torch.uint8)
    boxes = boxes * scale(original, size, boxes)
    if len(masks):
        masks = functional.interpolate(masks[:, None], size, mode="nearest")[:, 0]
    crowd = target.get("iscrowd")
    crowd = torch.zeros_like(labels, dtype=torch.bool) if crowd is None else crowd.bool()
    return Truth(boxes[~crowd], labels[~crowd], masks[~crowd], boxes[crowd])


def scale(original: tuple[int, int], size: tuple[int, int], like: Tensor) -> Float[Tensor, "4"]:
    """What boxes are multiplied by when an image of the original (height, width) gets another size."""
    ratio = like.new_tensor(size) / like.new_tensor(original)
    return ratio.flip(0).repeat(2)


def check_targets(targets: Sequence[Target], sizes: Sequence[tuple[int, int]], classes: int) -> None:
    """Refuse targets that would give wrong or infinite losses.

    Args:
        targets: one per image.
        sizes: height and width of each image, pixels.
        classes: kinds of objects and the background.

    Raises:
        OptionError: names the image and the box.
    """
    if len(targets) != len(sizes):
        raise OptionError("images and targets differ in number", expected=len(sizes), actual=len(targets))
    for i, (target, size) in enumerate(zip(targets, sizes, strict=True)):
        where = f"targets[{i}]"
        missing = [name for name in ("boxes", "labels", "masks") if not isinstance(target.get(name), Tensor)]
        if missing:
            raise OptionError("a target lacks tensors", where=where, expected=", ".join(missing))
        boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
        count = len(boxes)
        wanted = {"boxes": (count, 4), "labels": (count,), "masks": (count, *size)}
        if "iscrowd" in target:
            wanted["iscrowd"] = (count,)
        for name, shape in wanted.items():
            if tuple(target[name].shape) != shape:
                raise OptionError(
                    f"{name} have the wrong shape", where=where, expected=shape, actual=tuple(target[name].shape)
                )
        for name, right in (
            ("boxes", boxes.is_floating_point()),
            ("labels", labels.dtype == torch.int64),
            ("masks", not masks.is_floating_point()),
        ):
            if not right:
                kind = {"boxes": "floats", "labels": "torch.int64", "masks": "0 and 1 as torch.uint8 or torch.bool"}
                raise OptionError(
                    f"{name} have the wrong type", where=where, expected=kind[name], actual=target[name].dtype
                )
        _check_boxes(boxes, where)
        _check_labels(labels, classes, where)


def _check_boxes(boxes: Tensor, where: str) -> None:
    """Raise OptionError at the first box without area."""
    good = (boxes[:, 2:] > boxes[:, :2]).all(dim=1) & boxes.isfinite().all(dim=1)
    if not good.all():
        first = int((~good).nonzero()[0])
        raise OptionError(
            f"box {first} has no area",
            where=where,
            expected="x0 < x1 and y0 < y1",
            actual=[round(x, 3) for x in boxes[first].tolist()],
            hint="leave out objects without pixels",
        )


def _check_labels(labels: Tensor, classes: int, where: str) -> None:
    """Raise OptionError at the first label that is no class."""
    good = (labels > 0) & (labels < classes)
    if not good.all():
        first = int((~good).nonzero()[0])
        raise OptionError(
            f"label {first} is not one of the model's classes",
            where=where,
            expected=f"1 to {classes - 1} (0 is the background)",
            actual=int(labels[first]),
        )
