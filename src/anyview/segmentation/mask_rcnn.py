"""Mask R-CNN (He et al. 2017, arXiv 1703.06870) with a feature pyramid: images to boxes, classes and masks.

State-dict keys, results and losses are torchvision's. What differs: losses and detections can be had in either mode, a
batch goes through every step as one, and masks may be asked for in smaller forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.segmentation.network.anchors import check_anchors, grid_anchors
from anyview.segmentation.network.backbone import Backbone
from anyview.segmentation.network.layers import FrozenBatchNorm
from anyview.segmentation.network.own_backbone import eval_mode, map_layout, maps_for_regions, maps_in_order
from anyview.segmentation.network.paste import MaskCrops, crop_masks, paste_binary, paste_masks
from anyview.segmentation.network.pooling import STRIDES, ready
from anyview.segmentation.network.roi_heads import Detections, RoIHeads, regions_of
from anyview.segmentation.network.rpn import Objectness, RegionProposals
from anyview.segmentation.network.state_keys import rename_old_keys
from anyview.segmentation.network.targets import Target, Truth, check_targets, resized, scale
from anyview.segmentation.network.transform import Batch, Images, Size, prepare
from anyview.segmentation.options import MaskRCNNOptions

MaskForm: TypeAlias = Literal["soft", "binary", "crops"]
Losses: TypeAlias = dict[str, Float[Tensor, ""]]
Found: TypeAlias = dict[str, Any]
"""`boxes` (N, 4), `labels` (N,), `scores` (N,), `masks`: see `MaskRCNN.detect`."""


class Seen(NamedTuple):
    """What the network's convolutions give.

    Attributes:
        batch: the images.
        maps: those that regions are cut from, finest first, as `pooling.ready` gives them.
        objectness: what the proposal head says.
    """

    batch: Batch
    maps: list[Tensor]
    objectness: Objectness


class MaskRCNN(nn.Module):
    """A model of any backbone and any anchors.

    Args:
        options: what it is made of; the defaults are torchvision's `maskrcnn_resnet50_fpn`.
        backbone: of the user's own, see `anyview.segmentation.mask_rcnn_from_backbone`; None is the options' ResNet and
            pyramid.
        region_maps: how many of its maps regions are cut from.

    Attributes:
        options: of the model; with a backbone of the user's own `channels` are that one's.
        own_backbone: whether there is one.

    Raises:
        OptionError: the anchors do not fit, or the backbone gives no such maps.
    """

    def __init__(
        self,
        options: MaskRCNNOptions | None = None,
        backbone: nn.Module | None = None,
        region_maps: int | None = None,
    ) -> None:
        super().__init__()
        o, self.own_backbone = options or MaskRCNNOptions(), backbone is not None
        if backbone is None:
            norm = partial(FrozenBatchNorm if o.frozen_norms else nn.BatchNorm2d, eps=o.norm_epsilon)
            own = Backbone(o.body, norm, o.channels, None if o.version == 1 else nn.BatchNorm2d)
            own.body.freeze_all_but(o.trained_stages)
            self.backbone: nn.Module = own
            levels, cut = len(STRIDES) + 1, dict(enumerate(STRIDES))
        else:
            layout = map_layout(backbone, o.images.multiple)
            self.backbone, o = backbone, replace(o, channels=layout.channels)
            levels, cut = len(layout.strides), maps_for_regions(layout, region_maps)
        check_anchors(o.anchors, levels)
        self.options, self._region_maps = o, tuple(cut)
        self.rpn = RegionProposals(o.channels, o.anchors.per_place, o.proposal_depth, o.proposals)
        self.roi_heads = RoIHeads(o.channels, o.num_classes, o.version, o.detections, tuple(cut.values()))
        self.register_load_state_dict_pre_hook(rename_old_keys)

    def forward(
        self, images: Images, targets: Sequence[Target] | None = None, generator: torch.Generator | None = None
    ) -> list[Found] | Losses | tuple[Losses, list[Found]]:
        """Detections without targets; with targets losses in training mode, losses and detections in eval mode.

        Args:
            images: a list of (3, H, W), or one batch (B, 3, H, W); sRGB in [0, 1].
            targets: see `losses`.
            generator: see `losses`.

        Raises:
            OptionError: see `losses`.
        """
        if targets is None and self.training:
            return self.detect(images)
        if targets is None:  # as in `detect`, for a compiler's graph ends best in the function that it was given
            seen, detections = self._find(images)
            return self._finish(seen, detections, 0.0, "soft")
        if self.training:
            return self.losses(images, targets, generator)
        # both look at the images once, so both take the size of eval mode where several could be drawn
        seen, truth = self._study(images, targets, False, generator)
        return self._losses(seen, truth, generator), self._finish(seen, self._detections(seen), 0.0, "soft")

    def losses(self, images: Images, targets: Sequence[Target], generator: torch.Generator | None = None) -> Losses:
        """The five losses, whatever the mode (which only norms, and the choice among several sizes, depend on).

        Args:
            images: see `forward`.
            targets: for each image a dict of `boxes` (N, 4), float pixels (x0, y0, x1, y1); `labels` (N,), int64, 1 and
                up; `masks` (N, H, W), 0 or 1; and perhaps `iscrowd` (N,), nonzero where a box is a crowd: such boxes
                teach nothing, and what lies in them is not taken for background. N may be 0.
            generator: of the samples; None is torch's own.

        Raises:
            OptionError: an image or target of wrong shape or type, a box without area, a label that is no class.
        """
        seen, truth = self._study(images, targets, self.training, generator)
        return self._losses(seen, truth, generator)

    def detect(
        self, images: Images, min_score: float = 0.0, masks: MaskForm = "soft", sizes: Sequence[Size] | None = None
    ) -> list[Found]:
        """The objects in each image, best first: those of eval mode, whatever the mode, which stays.

        Args:
            images: see `forward`.
            min_score: detections below cost no mask; beside the threshold that the model's options give.
            masks: "soft" gives probabilities (N, 1, H, W), float32; "binary" bool of the same shape, at least 0.5;
                "crops" a `MaskCrops`, which keeps only the boxes' pixels.
            sizes: height and width of the pictures that boxes and masks are for, where the images are reduced copies.

        Returns:
            For each image `boxes` (N, 4), pixels of the image; `labels` (N,); `scores` (N,); `masks`.

        Raises:
            OptionError: an image of wrong shape or type.
        """
        if self.training:  # so that norms which learn do not take these images' statistics
            with eval_mode(self):
                return self.detect(images, min_score, masks, sizes)
        seen, detections = self._find(images)
        if sizes is not None:
            seen = seen._replace(batch=seen.batch._replace(originals=list(sizes)))
        return self._finish(seen, detections, min_score, masks)

    @torch.no_grad()
    def _find(self, images: Images) -> tuple[Seen, Detections]:
        """All that happens before masks."""
        seen = self.look(prepare(images, self.options.images))
        return seen, self._detections(seen)

    def _study(
        self, images: Images, targets: Sequence[Target], training: bool, generator: torch.Generator | None
    ) -> tuple[Seen, list[Truth]]:
        """What the network sees, and what is known of it, checked, at the network's size."""
        batch = prepare(images, self.options.images, training, generator)
        check_targets(targets, batch.originals, self.options.num_classes)
        device = batch.images.device
        moved = [{k: v.to(device) if isinstance(v, Tensor) else v for k, v in t.items()} for t in targets]
        truth = [resized(t, *sizes) for t, *sizes in zip(moved, batch.originals, batch.sizes, strict=True)]
        return self.look(batch), truth

    def look(self, batch: Batch) -> Seen:
        """Run the backbone and the proposal head."""
        maps = maps_in_order(self.backbone(batch.images))
        places = [(m.shape[-2], m.shape[-1]) for m in maps]
        height, width = batch.images.shape[-2:]
        anchors = grid_anchors(self.options.anchors, places, (height, width), batch.images.device)
        objectness = self.rpn.head(maps, anchors)
        return Seen(batch, ready([maps[i] for i in self._region_maps]), objectness)

    def _losses(self, seen: Seen, truth: list[Truth], generator: torch.Generator | None) -> Losses:
        """Of both stages."""
        proposals = self.rpn.propose(seen.objectness, seen.batch.limits, training=True)
        heads = self.roi_heads.losses(seen.maps, proposals, truth, generator)
        return {**heads, **self.rpn.losses(seen.objectness, truth, generator)}

    def _detections(self, seen: Seen) -> Detections:
        """Boxes with classes; of fixed shapes while PyTorch compiles."""
        limits = seen.batch.limits
        proposals = self.rpn.propose(seen.objectness, limits, training=False)
        return self.roi_heads.detect(seen.maps, proposals, limits, fixed=torch.compiler.is_compiling())

    @torch.compiler.disable
    @torch.no_grad()
    def _finish(self, seen: Seen, detections: Detections, min_score: float, form: MaskForm) -> list[Found]:
        """Masks and the way back to the images; its shapes depend on what was found, so no compiler is let in."""
        valid = detections.valid & (detections.scores >= min_score)
        boxes, labels, scores = (x[valid] for x in detections[:3])
        masks = self.roi_heads.masks(seen.maps, regions_of(detections.boxes, valid), labels)
        sizes = zip(seen.batch.sizes, seen.batch.originals, strict=True)
        factors = torch.stack([scale(size, original, boxes) for size, original in sizes])
        boxes = boxes * factors[valid.nonzero()[:, 0]]
        counts = valid.sum(1).tolist()
        return [
            {"boxes": b, "labels": k, "scores": s, "masks": _pasted(m, b, size, form)}
            for b, k, s, m, size in zip(
                *(x.split(counts) for x in (boxes, labels, scores, masks)), seen.batch.originals, strict=True
            )
        ]


def _pasted(masks: Tensor, boxes: Tensor, size: Size, form: MaskForm) -> Tensor | MaskCrops:
    """The masks of one image in the wanted form."""
    if form == "crops":
        return crop_masks(masks, boxes, size)
    return (paste_binary if form == "binary" else paste_masks)(masks, boxes, size)[:, None]
