"""The two models of torchvision by their names there, and models of any backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import nn

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


def mask_rcnn_from_backbone(
    backbone: nn.Module,
    num_classes: int | None = None,
    *,
    options: MaskRCNNOptions | None = None,
    region_maps: int | None = None,
) -> MaskRCNN:
    """Mask R-CNN on a backbone of your own, with anchors of your own; torchvision's backbones are taken as they are.

    Args:
        backbone: an image batch (B, 3, H, W), normalised and padded as the options say, to feature maps: a tensor, or a
            list, tuple or dict of tensors (B, C, h, w), finest first, all of one number of channels, of strides that
            are powers of two. It is shown one image here, which tells channels and strides; `out_channels`, if it is
            there, must agree. Its keys in the model's state dict begin with `backbone.`; what of it learns is yours to
            say, before or after.
        num_classes: kinds of objects and the background; None takes the options', or COCO's 91.
        options: everything else; `options.anchors` has as many levels as there are maps (five by default). The
            backbone decides about `channels`; `body`, `frozen_norms`, `norm_epsilon` and `trained_stages` mean nothing.
        region_maps: how many of the finest maps regions are cut from, each twice as coarse as the one before; of
            several of one stride the first is taken. None is all but the last, which then sees proposals only, as in
            torchvision's pyramids; or the one that there is.

    Raises:
        OptionError: the backbone gives no such maps, or the anchors do not fit them; before anything is trained.
    """
    options = options or MaskRCNNOptions(num_classes=_COCO_CLASSES)
    classes = options.num_classes if num_classes is None else num_classes
    return MaskRCNN(replace(options, num_classes=classes), backbone, region_maps)


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
