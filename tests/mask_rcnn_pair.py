"""torchvision's Mask R-CNN and ours with the same perturbed weights: the oracle of the tests in tests/segmentation."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as Oracle
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from anyview.segmentation import MaskRCNN
from anyview.segmentation.options import DetectionOptions, ImageOptions, MaskRCNNOptions, ProposalOptions

CLASSES = 5
OPTIONS = MaskRCNNOptions(
    num_classes=CLASSES,
    images=ImageOptions(min_size=(96,), max_size=160),
    proposals=ProposalOptions(
        before_nms=150, after_nms=40, train_before_nms=200, train_after_nms=60, samples=64, positive_share=0.5
    ),
    detections=DetectionOptions(score_threshold=0.3, most=10, samples=32),
)
_SIZES = {"min_size": 96, "max_size": 160}
KNOBS: dict[str, Any] = {
    **_SIZES,
    "rpn_pre_nms_top_n_test": 150,
    "rpn_post_nms_top_n_test": 40,
    "rpn_pre_nms_top_n_train": 200,
    "rpn_post_nms_top_n_train": 60,
    "rpn_batch_size_per_image": 64,
    "box_score_thresh": 0.3,
    "box_detections_per_img": 10,
    "box_batch_size_per_image": 32,
}

# what a trained model's last layers give: deviation of their outputs
_SPREAD = {
    "rpn.head.cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 2.0,
    "roi_heads.box_predictor.bbox_pred": 1.0,
    "roi_heads.mask_predictor.mask_fcn_logits": 2.0,
}


def oracle(kind: str) -> Oracle:
    """torchvision's model of kind "18", "18 frozen", "v1" or "v2", of plausible statistics, in eval mode."""
    torch.manual_seed(0)
    if kind.startswith("18"):
        norm = FrozenBatchNorm2d if "frozen" in kind else nn.BatchNorm2d
        body = resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=norm, trainable_layers=5)
        model = Oracle(body, num_classes=CLASSES, **KNOBS)
    else:
        build = maskrcnn_resnet50_fpn if kind == "v1" else maskrcnn_resnet50_fpn_v2
        model = build(weights=None, weights_backbone=None, num_classes=CLASSES, **KNOBS)
    return perturb(model)


def ours(kind: str) -> MaskRCNN:
    """Our model of the same kind, with random weights, in eval mode."""
    body = "resnet18" if kind.startswith("18") else "resnet50"
    version = 2 if kind == "v2" else 1
    return MaskRCNN(replace(OPTIONS, body=body, version=version, frozen_norms="frozen" in kind)).eval()


@cache
def pair(kind: str) -> tuple[Oracle, MaskRCNN]:
    """Both with the oracle's weights, in eval mode; whoever changes them takes a copy."""
    theirs, mine = oracle(kind), ours(kind)
    mine.load_state_dict(theirs.state_dict())
    return theirs, mine


def own_pair(kind: str) -> tuple[Oracle, MaskRCNN]:
    """A pair to change."""
    return deepcopy(pair(kind))


@torch.no_grad()
def perturb(model: Oracle) -> Oracle:
    """Norms of random scales and about the images' statistics; last layers that find objects."""
    model.eval()
    hooks = [m.register_forward_pre_hook(_settle) for m in model.modules() if isinstance(m, _NORMS)]
    hooks += [model.get_submodule(name).register_forward_hook(partial(_spread, s)) for name, s in _SPREAD.items()]
    model(pictures([(96, 128), (110, 96)], seed=99))
    for hook in hooks:
        hook.remove()
    for module in model.modules():
        module.__dict__.pop("settled", None)
    return model


_NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


def _settle(norm: Any, inputs: tuple[Tensor]) -> None:
    """A norm's statistics become those of what it sees first, not quite; its scale and shift are random."""
    if "settled" not in norm.__dict__:
        norm.__dict__["settled"] = True
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        norm.running_var.copy_(variance * (0.7 + 0.6 * torch.rand_like(variance)) + 1e-3)
        norm.running_mean.copy_(mean + 0.2 * variance.sqrt() * torch.randn_like(mean))
        norm.weight.copy_(0.8 + 0.4 * torch.rand_like(mean))
        norm.bias.copy_(0.2 * torch.randn_like(mean))


def _spread(wanted: float, layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
    """A last layer's weights are scaled so that its first output has the wanted deviation."""
    if "settled" in layer.__dict__:
        return None
    layer.__dict__["settled"] = True
    factor = wanted / output.std()
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)
    return output * factor


def pictures(sizes: list[tuple[int, int]], seed: int) -> list[Tensor]:
    """Images of coloured patches and noise."""
    g = torch.Generator().manual_seed(seed)
    images = []
    for size in sizes:
        coarse = torch.rand((1, 3, 6, 7), generator=g)
        patches = nn.functional.interpolate(coarse, size, mode="nearest")[0]
        images.append((0.8 * patches + 0.2 * torch.rand((3, *size), generator=g)).contiguous())
    return images


def targets(sizes: list[tuple[int, int]], seed: int, counts: list[int]) -> list[dict[str, Tensor]]:
    """Random ellipses, as many in each image as wanted."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for (height, width), count in zip(sizes, counts, strict=True):
        side = torch.tensor([width, height])
        corner = torch.rand((count, 2), generator=g) * 0.5 * side
        extent = (0.15 + 0.35 * torch.rand((count, 2), generator=g)) * side
        boxes = torch.cat([corner, corner + extent], 1)
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        center, half = (corner + extent / 2)[:, :, None, None], (extent / 2)[:, :, None, None]
        masks = ((x - center[:, 0]) / half[:, 0]) ** 2 + ((y - center[:, 1]) / half[:, 1]) ** 2 < 1
        labels = torch.randint(1, CLASSES, (count,), generator=g)
        found.append({"boxes": boxes, "labels": labels, "masks": masks.to(torch.uint8)})
    return found
