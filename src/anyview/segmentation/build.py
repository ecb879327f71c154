"""The two models of torchvision by their names there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.options import MaskRCNNOptions
from anyview.segmentation.weights import load_weights

_COCO_CLASSES = 91
_TRAINED_STAGES = 3  # of a pretrained body


def mask_rcnn_resnet50_fpn(
    num_classes: int | None = None,
    *,
    weights: str | Path | None = None,
    options: MaskRCNNOptions | None = None,
    reset_heads: bool = False,
    progress: bool = True,
) -> MaskRCNN:
    """Mask R-CNN with a ResNet-50 and a feature pyramid (arXiv 1703.06870): torchvision's `maskrcnn_resnet50_fpn`.

    Args:
        num_classes: kinds of objects and the background; None takes the options', or COCO's 91.
        weights: None starts from random ones; "COCO_V1" downloads torchvision's; otherwise a file.
        options: everything else; body and version are this model's. None freezes the norms and the first two of the
            body's five stages if there are weights, as torchvision does, and nothing otherwise.
        reset_heads: start the last layers anew where the weights are for another number of classes.
        progress: whether a download draws a bar.

    Raises:
        OptionError, FormatError: see `anyview.segmentation.weights.load_weights`.
    """
    return _built(1, num_classes, weights, options, reset_heads, progress)


def mask_rcnn_resnet50_fpn_v2(
    num_classes: int | None = None,
    *,
    weights: str | Path | None = None,
    options: MaskRCNNOptions | None = None,
    reset_heads: bool = False,
    progress: bool = True,
) -> MaskRCNN:
    """The stronger Mask R-CNN (arXiv 2111.11429): torchvision's `maskrcnn_resnet50_fpn_v2`.

    Its pyramid and heads have norms that learn; weights without options freeze the body's first two stages, no norms.
    Arguments and errors are those of `mask_rcnn_resnet50_fpn`.
    """
    return _built(2, num_classes, weights, options, reset_heads, progress)


def _built(
    version: Literal[1, 2],
    num_classes: int | None,
    weights: str | Path | None,
    options: MaskRCNNOptions | None,
    reset_heads: bool,
    progress: bool,
) -> MaskRCNN:
    """A model with its weights."""
    if options is None:
        options = MaskRCNNOptions(num_classes=_COCO_CLASSES)
        if weights is not None:
            options = replace(options, frozen_norms=version == 1, trained_stages=_TRAINED_STAGES)
    classes = options.num_classes if num_classes is None else num_classes
    model = MaskRCNN(replace(options, body="resnet50", version=version, num_classes=classes))
    if weights is not None:
        load_weights(model, weights, reset_heads, progress)
    return model
