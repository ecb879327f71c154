"""Results of a picture that was turned to be looked at, brought back to the pixels as they are stored.

A network wants people upright; cameras, poses and COCO's files speak of stored pixels. EXIF's orientation says how one
is made from the other: a transposition, then reversed rows or columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from jaxtyping import Float32
from torch import Tensor

from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.result import Result

_BACK: Final[dict[int, tuple[bool, bool, bool]]] = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
"""From upright to stored pixels, by EXIF's number: whether to transpose, then to reverse rows, and columns."""


def as_stored(result: Result, orientation: int) -> Result:
    """What was found in the upright picture, in the stored one.

    Args:
        result: of the picture turned as `orientation` asks.
        orientation: EXIF's, 1 to 8.
    """
    transpose, rows, columns = _BACK[orientation]
    height, width = result.size[::-1] if transpose else result.size
    crops, corners = [], []
    for crop, (top, left) in zip(result.crops.crops, result.crops.corners, strict=True):
        if transpose:
            crop, top, left = crop.T, left, top
        crops.append(crop.flip([axis for axis, turned in enumerate((rows, columns)) if turned]).contiguous())
        corners.append(
            (height - top - crop.shape[0] if rows else top, width - left - crop.shape[1] if columns else left)
        )
    boxes = result.boxes[:, [1, 0, 3, 2]] if transpose else result.boxes
    boxes = _reversed(boxes, 1, height) if rows else boxes
    boxes = _reversed(boxes, 0, width) if columns else boxes
    return replace(result, boxes=boxes, crops=MaskCrops(crops, corners, (height, width)))


def _reversed(boxes: Float32[Tensor, "N 4"], axis: int, side: int) -> Float32[Tensor, "N 4"]:
    """Boxes along an axis that runs the other way."""
    boxes = boxes.clone()
    boxes[:, [axis, axis + 2]] = side - torch.stack([boxes[:, axis + 2], boxes[:, axis]], 1)
    return boxes
