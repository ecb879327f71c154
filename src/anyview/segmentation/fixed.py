"""Mask R-CNN with shapes that depend on shapes only: for `torch.export`, and for compilers that want one graph."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.network.roi_heads import regions_of
from anyview.segmentation.network.targets import scale
from anyview.segmentation.network.transform import prepare


class FixedMaskRCNN(nn.Module):
    """A model in eval mode as one graph.

    Args:
        model: shares its weights. Of more than `options.detections.candidates` pairs of proposal and class above the
            threshold only the best are looked at.
    """

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Room for D objects in each image, best first.

        Args:
            images: sRGB in [0, 1].

        Returns:
            `boxes` (B, D, 4), pixels of the image; `labels` (B, D) and `scores` (B, D), both 0 where no object is;
            `masks` (B, D, 28, 28), probabilities in the boxes, for `anyview.segmentation.network.paste`.
        """
        batch, maps, objectness = self.model.look(prepare(images, self.model.options.images))
        proposals = self.model.rpn.propose(objectness, batch.limits, training=False)
        boxes, labels, scores, valid = self.model.roi_heads.detect(maps, proposals, batch.limits, fixed=True)
        masks = self.model.roi_heads.masks(maps, regions_of(boxes), labels.reshape(-1))
        return {
            "boxes": boxes * scale(batch.sizes[0], batch.originals[0], boxes),
            "labels": labels * valid,
            "scores": scores,
            "masks": masks.reshape(*labels.shape, *masks.shape[1:]),
        }
