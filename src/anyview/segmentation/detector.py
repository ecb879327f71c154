"""A model made ready to be used on many images: the same function, faster.

Norms are folded into the convolutions before them; channels lie last in memory, as processors' and graphics cards'
convolutions want them; networks compute in bfloat16 where the device has instructions for it; only masks that are asked
for are made, and of these only the boxes' pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from anyview.compute.precision import quick_in_bfloat16
from anyview.compute.torch_device import Precision, TorchDevice, torch_device
from anyview.segmentation.mask_rcnn import Found, MaskRCNN
from anyview.segmentation.network.folding import fold_batch_norm
from anyview.segmentation.network.packed import pack, packable
from anyview.segmentation.network.transform import Size


class Detector:
    """Finds objects; masks come as `MaskCrops`.

    Args:
        model: stays as it is.
        min_score: objects below are left out.
        device: "auto" is a CUDA device where there is one.
        precision: of the networks; boxes are computed in float32 in any case. "auto" is bfloat16 where it is quick.
        compile: use torch.compile: minutes at the first image, and again for other sizes of images.

    Raises:
        OptionError: there is no such device.
    """

    def __init__(
        self,
        model: MaskRCNN,
        *,
        min_score: float = 0.5,
        device: TorchDevice = "auto",
        precision: Precision = "auto",
        compile: bool = False,
    ) -> None:
        there = torch_device(device)
        self.device = torch.device(there)
        self.images = model.options.images
        self.bfloat16 = precision == "bf16" or (precision == "auto" and quick_in_bfloat16(there))
        # what follows what in a backbone of the user's own is not known: nothing of it is folded, rounded or packed
        own = model.own_backbone
        ready = fold_batch_norm(model, ("backbone",) if own else ())
        ready = ready.to(self.device).to(memory_format=torch.channels_last)
        if self.bfloat16:
            parts: list[nn.Module] = [ready.rpn, ready.roi_heads.box_head, ready.roi_heads.mask_head]
            parts += [] if own else [ready.backbone]
            for part in (*parts, ready.roi_heads.box_predictor, ready.roi_heads.mask_predictor):
                _narrow(part)
            # in float32 packed convolutions are slower than PyTorch's own: benchmarks/segmentation.py, step `packed`
            if self.device.type == "cpu" and not compile and packable(torch.bfloat16):
                for part in parts:
                    pack(part)
        self.model = ready
        self._detect: Callable[..., list[Found]] = torch.compile(ready.detect) if compile else ready.detect
        self._min_score = min_score

    @property
    def settings(self) -> tuple[str, bool, float]:
        """What results depend on beside the weights: device, arithmetic, least score."""
        return self.device.type, self.bfloat16, self._min_score

    @torch.no_grad()
    def __call__(self, images: Sequence[Tensor], sizes: Sequence[Size] | None = None) -> list[Found]:
        """The objects in each image, best first.

        Args:
            images: (3, H, W) each; uint8, or floats in [0, 1].
            sizes: height and width of the pictures that boxes and masks are for, where the images are reduced copies.
        """
        moved = [image.to(self.device) for image in images]
        floats = [image if image.is_floating_point() else image.float().div_(255) for image in moved]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            found = self._detect(floats, self._min_score, "crops", sizes)
        return found


def _narrow(model: nn.Module) -> None:
    """Round the weights of products in place; autocast would do so again for every image."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.to(torch.bfloat16)
