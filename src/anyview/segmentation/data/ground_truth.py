"""Labelled images as a COCO file describes them, for evaluations and for writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyview.formats.coco import CocoAnnotation, CocoData, CocoImage
from anyview.formats.coco_masks import encode_mask

if TYPE_CHECKING:
    from anyview.segmentation.data.items import InstanceData


def ground_truth(data: InstanceData, chosen: Sequence[int] | None = None) -> CocoData:
    """Images of some data, each read once: its number is its id, its masks are run lengths.

    Args:
        data: the images.
        chosen: their numbers; None is all.
    """
    images: list[CocoImage] = []
    annotations: list[CocoAnnotation] = []
    names, sizes = data.names, data.sizes
    for index in range(len(data)) if chosen is None else chosen:
        height, width = sizes[index]
        images.append(CocoImage(index, names[index], width, height))
        target = data[index][1]
        for i in range(len(target["labels"])):
            x0, y0, x1, y1 = target["boxes"][i].tolist()
            annotations.append(
                CocoAnnotation(
                    len(annotations) + 1,  # COCO's evaluation takes 0 for no annotation
                    index,
                    data.classes.ids[int(target["labels"][i])],
                    (x0, y0, x1 - x0, y1 - y0),
                    encode_mask(target["masks"][i].numpy()),
                    float(target["area"][i]),
                    bool(target["iscrowd"][i]),
                )
            )
    return CocoData(tuple(images), tuple(annotations), data.classes.categories())
