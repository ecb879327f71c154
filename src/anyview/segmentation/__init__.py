"""Instance segmentation: an image in; boxes, classes and a mask for each object out (Mask R-CNN)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyview.segmentation.build import mask_rcnn_from_backbone, mask_rcnn_resnet50_fpn, mask_rcnn_resnet50_fpn_v2
    from anyview.segmentation.mask_rcnn import MaskRCNN
    from anyview.segmentation.network.anchors import generate_base_anchors

__all__ = [
    "MaskRCNN",
    "generate_base_anchors",
    "mask_rcnn_from_backbone",
    "mask_rcnn_resnet50_fpn",
    "mask_rcnn_resnet50_fpn_v2",
]

_HOMES = {
    "MaskRCNN": "anyview.segmentation.mask_rcnn",
    "generate_base_anchors": "anyview.segmentation.network.anchors",
    "mask_rcnn_from_backbone": "anyview.segmentation.build",
    "mask_rcnn_resnet50_fpn": "anyview.segmentation.build",
    "mask_rcnn_resnet50_fpn_v2": "anyview.segmentation.build",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for: torch is loaded by those who need it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
