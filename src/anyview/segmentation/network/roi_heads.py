"""What the two heads make of proposals: detections and their masks, or losses.

Letters: B images, P proposals of each, D detections of each, R regions of all images, K candidates of each image.
A region is (index of the image, x0, y0, x1, y1). Where shapes are fixed, as compilers want them, what does not count is
marked; otherwise it is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from anyview.segmentation.network import box_head, mask_head
from anyview.segmentation.network.box_head import BoxPredictor, ConvHead, LinearHead, box_losses
from anyview.segmentation.network.boxes import DETECTION_WEIGHTS, at_least, clip, decode, encode
from anyview.segmentation.network.candidates import best_candidates, candidates
from anyview.segmentation.network.mask_head import MaskHead, MaskPredictor, mask_loss
from anyview.segmentation.network.pooling import STRIDES, pool
from anyview.segmentation.network.rpn import Proposals
from anyview.segmentation.network.samples import draw, spread_over
from anyview.segmentation.network.suppression import best, suppress
from anyview.segmentation.network.targets import Truth, pick
from anyview.segmentation.options import DetectionOptions

_LEAST_SIDE = 1e-2  # pixels


class Detections(NamedTuple):
    """Objects of each image, best first.

    Attributes:
        boxes: pixels of the batch.
        labels: classes, 1 and up.
        scores: probabilities.
        valid: which are detections; the others fill up.
    """

    boxes: Float[Tensor, "B D 4"]
    labels: Int[Tensor, "B D"]
    scores: Float[Tensor, "B D"]
    valid: Bool[Tensor, "B D"]


class RoIHeads(nn.Module):
    """Box head and mask head with their decisions.

    Args:
        channels: of the maps.
        num_classes: with the background.
        version: of the heads, 1 or 2.
        options: how they decide.
        strides: of the maps that regions are cut from, finest first, pixels.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        version: int,
        options: DetectionOptions,
        strides: tuple[int, ...] = STRIDES,
    ) -> None:
        super().__init__()
        self.options, self._strides = options, strides
        self.box_head = LinearHead(channels) if version == 1 else ConvHead(channels, nn.BatchNorm2d)
        self.box_predictor = BoxPredictor(channels, num_classes)
        self.mask_head = MaskHead(channels, None if version == 1 else nn.BatchNorm2d)
        self.mask_predictor = MaskPredictor(channels, num_classes)

    @torch.no_grad()
    def detect(
        self, maps: list[Tensor], proposals: Proposals, sizes: Float[Tensor, "B 2"], fixed: bool = False
    ) -> Detections:
        """What the proposals are.

        Args:
            maps: that regions are cut from, finest first.
            proposals: of each image.
            sizes: height and width of each image in the batch, pixels.
            fixed: shapes depend on shapes only, never on what is found.
        """
        o = self.options
        regions = regions_of(proposals.boxes, None if fixed else proposals.valid)
        logits, offsets = self._boxes(maps, regions)
        table = logits.softmax(-1)[:, 1:]
        found = (
            best_candidates(table, proposals.valid, o)
            if fixed
            else candidates(table, regions[:, 0].long(), len(sizes), o)
        )
        region, label = found.region, found.column + 1
        boxes = clip(decode(offsets[region, label], regions[region, 1:], DETECTION_WEIGHTS), sizes)
        valid = found.valid & at_least(boxes, _LEAST_SIDE)
        # classes are told apart by shifts, in float64, which keeps every digit of a box
        shift = label[..., None] * (sizes.max().double() + 1)
        keep = suppress(boxes + shift, found.scores.double(), valid, [label.shape[1]], o.nms_threshold)
        order, valid, scores = best(found.scores, keep, o.most)
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return Detections(boxes, label.gather(1, order), scores, valid)

    @torch.no_grad()
    def masks(
        self, maps: list[Tensor], regions: Float[Tensor, "R 5"], labels: Int[Tensor, "R"]
    ) -> Float[Tensor, "R 28 28"]:
        """Probability of being the object, for a grid of places in each region's box."""
        return self._masks(maps, regions, labels).sigmoid()

    def losses(
        self, maps: list[Tensor], proposals: Proposals, truth: list[Truth], generator: torch.Generator | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """`loss_classifier`, `loss_box_reg` and `loss_mask` over sampled proposals, the true boxes among them.

        Args:
            maps: that regions are cut from, finest first.
            proposals: of each image.
            truth: of each image.
            generator: of the sample.
        """
        drawn = draw(proposals, truth, self.options, generator)
        inside, labels = drawn.regions[drawn.objects], drawn.labels[drawn.objects]
        if len(drawn.regions):
            boxes = pick([t.boxes for t in truth], drawn.image, drawn.which)
            wanted = encode(boxes, inside[:, 1:], DETECTION_WEIGHTS)
            losses = box_losses(*self._boxes(maps, drawn.regions), drawn.labels, wanted)
        else:  # all images are crowds from edge to edge
            nothing = _nothing(self.box_head, self.box_predictor)
            losses = {"loss_classifier": nothing, "loss_box_reg": nothing}
        if len(inside):
            few = spread_over(drawn.image, self.options.mask_samples)
            inside = inside[few]
            logits = self._masks(maps, inside, labels[few])
            losses["loss_mask"] = mask_loss(logits, inside[:, 1:], drawn.image[few], drawn.which[few], truth)
        else:
            losses["loss_mask"] = _nothing(self.mask_head, self.mask_predictor)
        return losses

    def _boxes(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (R, C) and offsets (R, C, 4)."""
        logits, offsets = self.box_predictor(self.box_head(pool(maps, regions, box_head.SIDE, self._strides)))
        return logits, offsets

    def _masks(self, maps: list[Tensor], regions: Tensor, labels: Tensor) -> Tensor:
        """Logits of each region's class."""
        return self.mask_predictor(self.mask_head(pool(maps, regions, mask_head.SIDE, self._strides)), labels)


def _nothing(*modules: nn.Module) -> Float[Tensor, ""]:
    """A loss of 0 that gives every parameter a gradient of 0, for other processes expect one."""
    return 0 * torch.stack([p.sum() for module in modules for p in module.parameters()]).sum()


def regions_of(boxes: Float[Tensor, "B P 4"], valid: Bool[Tensor, "B P"] | None = None) -> Float[Tensor, "R 5"]:
    """Boxes of all images in one list, row by row: the valid ones, or all."""
    if valid is None:
        image = torch.arange(len(boxes), device=boxes.device)[:, None].expand(boxes.shape[:2]).reshape(-1)
        boxes = boxes.reshape(-1, 4)
    else:
        image, boxes = valid.nonzero(as_tuple=True)[0], boxes[valid]
    return torch.cat([image[:, None].to(boxes.dtype), boxes], 1)
