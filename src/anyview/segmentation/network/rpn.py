"""Region proposal network (Faster R-CNN, arXiv 1506.01497, section 3.1): where an object of any kind may be.

Letters: B images, N anchors of all levels, P proposals of each image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.segmentation.network.boxes import PROPOSAL_WEIGHTS, at_least, clip, decode, encode
from anyview.segmentation.network.layers import conv_block
from anyview.segmentation.network.matching import BACKGROUND, match, sample
from anyview.segmentation.network.suppression import best, suppress
from anyview.segmentation.network.targets import Truth, pick
from anyview.segmentation.options import ProposalOptions

_LEAST_SIDE = 1e-3  # pixels
_BETA = 1 / 9  # where the smooth L1 loss turns from square to straight


class Proposals(NamedTuple):
    """Boxes of equal number for each image.

    Attributes:
        boxes: pixels of the batch, best first.
        valid: which are proposals; the others fill up.
    """

    boxes: Float[Tensor, "B P 4"]
    valid: Bool[Tensor, "B P"]


class Objectness(NamedTuple):
    """What the head says of every anchor, float32.

    Attributes:
        logits: of being an object.
        offsets: from anchors to objects.
        anchors: pixels of the batch, of all levels.
        levels: anchors of each level; their sum is N.
    """

    logits: Float[Tensor, "B N"]
    offsets: Float[Tensor, "B N 4"]
    anchors: Float[Tensor, "N 4"]
    levels: list[int]


class ProposalHead(nn.Module):
    """Convolutions over a map, then a logit and an offset for each anchor of each place.

    Args:
        channels: of the maps.
        anchors: at each place.
        depth: 3x3 convolutions before both outputs.
    """

    def __init__(self, channels: int, anchors: int, depth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*(conv_block(channels, channels, 3, None) for _ in range(depth)))
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor], anchors: list[Tensor]) -> Objectness:
        """Of the maps (B, C, h, w) and their anchors, finest first."""
        logits, offsets = [], []
        for features in maps:
            x = self.conv(features)
            logits.append(self.cls_logits(x).float().permute(0, 2, 3, 1).flatten(1))
            offsets.append(self.bbox_pred(x).float().permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return Objectness(torch.cat(logits, 1), torch.cat(offsets, 1), torch.cat(anchors), [len(a) for a in anchors])


class RegionProposals(nn.Module):
    """The head, the choice of proposals and the losses."""

    def __init__(self, channels: int, anchors: int, depth: int, options: ProposalOptions) -> None:
        super().__init__()
        self.head = ProposalHead(channels, anchors, depth)
        self.options = options

    @torch.no_grad()
    def propose(self, found: Objectness, sizes: Float[Tensor, "B 2"], training: bool) -> Proposals:
        """The best boxes of each image; no gradient goes through.

        Args:
            found: what the head gave.
            sizes: height and width of each image in the batch, pixels.
            training: whether as many are wanted as for the losses.
        """
        o = self.options
        before, after = (o.train_before_nms, o.train_after_nms) if training else (o.before_nms, o.after_nms)
        picks, start = [], 0
        for count in found.levels:
            level = found.logits[:, start : start + count]
            picks.append(level.topk(min(before, count), dim=1).indices + start)
            start += count
        index = torch.cat(picks, dim=1)
        offsets = found.offsets.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = clip(decode(offsets, found.anchors[index], PROPOSAL_WEIGHTS), sizes)
        scores = found.logits.gather(1, index).sigmoid()
        valid = at_least(boxes, _LEAST_SIDE) & (scores >= o.score_threshold)
        keep = suppress(boxes, scores, valid, [pick.shape[1] for pick in picks], o.nms_threshold)
        order, valid, _ = best(scores, keep, after)
        return Proposals(boxes.gather(1, order[..., None].expand(-1, -1, 4)), valid)

    def losses(
        self, found: Objectness, truth: list[Truth], generator: torch.Generator | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """`loss_objectness` (cross entropy) and `loss_rpn_box_reg` (smooth L1), means over the sampled anchors.

        Args:
            found: what the head gave.
            truth: of each image.
            generator: of the sample.
        """
        o = self.options
        matched = torch.stack(
            [match(t.boxes, found.anchors, o.positive_iou, o.negative_iou, True, t.crowds) for t in truth]
        )
        chosen = sample(matched >= 0, matched == BACKGROUND, o.samples, o.positive_share, generator)
        image, place = chosen.nonzero(as_tuple=True)
        target = matched[image, place]
        objects = functional.binary_cross_entropy_with_logits(
            found.logits[image, place], (target >= 0).float(), reduction="sum"
        )
        image, place, target = (x[target >= 0] for x in (image, place, target))
        wanted = encode(pick([t.boxes for t in truth], image, target), found.anchors[place], PROPOSAL_WEIGHTS)
        boxes = functional.smooth_l1_loss(found.offsets[image, place], wanted, beta=_BETA, reduction="sum")
        count = chosen.sum().clamp_min(1)
        return {"loss_objectness": objects / count, "loss_rpn_box_reg": boxes / count}
