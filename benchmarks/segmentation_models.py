"""torchvision's Mask R-CNN and ours with the same weights, for the benchmarks of segmentation.

Trained weights are no part of anyview, so without any the network is random, made to decide like a trained one
(`decide`): its norms have the statistics of the photographs, its last layers tell places apart, and the background's
logit is such that a wanted number of objects is found. That gives a network's work, not its knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.detection import MaskRCNN as Peer
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d

from anyview.formats.images import read_rgb
from anyview.segmentation import MaskRCNN
from anyview.segmentation.options import ImageOptions, MaskRCNNOptions
from anyview.segmentation.pretrained import open_pretrained

COCO = MaskRCNNOptions(frozen_norms=True, trained_stages=3)
"""What torchvision builds for weights of COCO."""

_SPREAD = {  # deviation of what the last layers give
    "rpn.head.cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 2.5,
    "roi_heads.box_predictor.bbox_pred": 0.5,
    "roi_heads.mask_predictor.mask_fcn_logits": 2.0,
}
_NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


def pair(weights: Path | None, images: Sequence[Tensor], objects: float, side: int = 800) -> tuple[Peer, MaskRCNN]:
    """Both models with the same weights, in eval mode.

    Args:
        weights: torchvision's checkpoint, or a run of `anyview segment train`; None for random ones.
        images: of which random ones get their statistics.
        objects: that random ones find in an image, on the mean.
        side: that the shorter one of an image gets with random weights, pixels.
    """
    if weights is None:
        options = replace(COCO, images=ImageOptions((side,), round(side * 5 / 3)))
        theirs, ours = decide(twin(options), images, objects), MaskRCNN(options).eval()
        ours.load_state_dict(theirs.state_dict())
    else:
        ours = open_pretrained(weights).model
        theirs = twin(ours.options)
        theirs.load_state_dict(ours.state_dict())
    return theirs.eval(), ours


def twin(o: MaskRCNNOptions) -> Peer:
    """torchvision's model of our options, with random weights of a fixed seed."""
    torch.manual_seed(0)
    c, p, d = o.channels, o.proposals, o.detections
    body_norm = partial(FrozenBatchNorm2d if o.frozen_norms else nn.BatchNorm2d, eps=o.norm_epsilon)
    norm = None if o.version == 1 else nn.BatchNorm2d
    body = getattr(resnet, o.body)(weights=None, norm_layer=body_norm)
    learning = ("layer4", "layer3", "layer2", "layer1", "conv1", "bn1")[
        : 6 if o.trained_stages == 5 else o.trained_stages
    ]
    for name, weight in body.named_parameters():
        weight.requires_grad_(name.startswith(learning))
    outputs = [body.inplanes // 8 * 2**i for i in range(4)]
    backbone = BackboneWithFPN(body, {f"layer{i + 1}": str(i) for i in range(4)}, outputs, c, norm_layer=norm)
    hidden = TwoMLPHead(c * 49, 4 * c) if norm is None else FastRCNNConvFCHead((c, 7, 7), [c] * 4, [4 * c], norm)
    return Peer(
        backbone, None, o.images.min_size, o.images.max_size, list(o.images.mean), list(o.images.std),
        rpn_head=RPNHead(c, o.anchors.per_place, o.proposal_depth), box_head=hidden,
        box_predictor=FastRCNNPredictor(4 * c, o.num_classes), mask_head=MaskRCNNHeads(c, [c] * 4, 1, norm),
        mask_predictor=MaskRCNNPredictor(c, c, o.num_classes),
        rpn_anchor_generator=AnchorGenerator(o.anchors.sizes, o.anchors.ratios),
        rpn_pre_nms_top_n_train=p.train_before_nms, rpn_pre_nms_top_n_test=p.before_nms,
        rpn_post_nms_top_n_train=p.train_after_nms, rpn_post_nms_top_n_test=p.after_nms,
        rpn_nms_thresh=p.nms_threshold, rpn_score_thresh=p.score_threshold, rpn_fg_iou_thresh=p.positive_iou,
        rpn_bg_iou_thresh=p.negative_iou, rpn_batch_size_per_image=p.samples, rpn_positive_fraction=p.positive_share,
        box_score_thresh=d.score_threshold, box_nms_thresh=d.nms_threshold, box_detections_per_img=d.most,
        box_fg_iou_thresh=d.positive_iou, box_bg_iou_thresh=d.positive_iou, box_batch_size_per_image=d.samples,
        box_positive_fraction=d.positive_share,
    ).eval()  # fmt: skip


@torch.no_grad()
def decide(model: Peer, images: Sequence[Tensor], objects: float) -> Peer:
    """Make random weights find so many objects in an image, on the mean; see above."""
    seen: dict[str, Any] = {}
    hooks = [m.register_forward_pre_hook(_settle) for m in model.modules() if isinstance(m, _NORMS)]
    hooks += [model.get_submodule(name).register_forward_hook(partial(_spread, s)) for name, s in _SPREAD.items()]
    heads = model.roi_heads
    hooks += [
        heads.box_roi_pool.register_forward_pre_hook(lambda module, inputs: seen.update(where=inputs[1:])),
        heads.box_predictor.register_forward_hook(lambda module, inputs, outputs: seen.update(what=outputs)),
    ]
    model(list(images))
    for hook in hooks:
        hook.remove()
    for module in model.modules():
        module.__dict__.pop("settled", None)
    low, high = -10.0, 20.0
    for _ in range(20):
        middle = (low + high) / 2
        logits, offsets = seen["what"]
        shifted = logits + middle * (torch.arange(logits.shape[1]) == 0)
        labels = heads.postprocess_detections(shifted, offsets, *seen["where"])[2]
        found = sum(map(len, labels)) / len(labels)
        low, high = (middle, high) if found > objects else (low, middle)
    heads.box_predictor.cls_score.bias[0] += low
    return model


def _settle(norm: Any, inputs: tuple[Tensor]) -> None:
    """A norm's statistics become those of what it sees first."""
    if "settled" not in norm.__dict__:
        norm.__dict__["settled"] = True
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        norm.running_var.copy_(variance)
        norm.running_mean.copy_(mean)


def _spread(wanted: float, layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
    """Each of a last layer's outputs gets the mean 0 and the wanted deviation over what it sees first."""
    if "settled" in layer.__dict__:
        return None
    layer.__dict__["settled"] = True
    over = [axis for axis in range(output.ndim) if axis != 1]
    deviation, mean = torch.std_mean(output, over)
    factor = wanted / deviation
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.copy_((layer.bias - mean) * factor)
    shape = [1, -1, *[1] * (output.ndim - 2)]
    return (output - mean.reshape(shape)) * factor.reshape(shape)


def photograph(path: Path) -> Tensor:
    """A file's pixels, (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(read_rgb(path).transpose(2, 0, 1))).float() / 255
