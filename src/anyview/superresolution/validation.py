"""How good a network in training is: scores on pictures that it has not learnt from, and a picture for the eye.

Letters: h rows, w columns of a small picture; H and W of its large one.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8

from anyview.progress import SILENT, Progress
from anyview.superresolution.bicubic import imresize
from anyview.superresolution.build import without_weight_norm
from anyview.superresolution.data.pictures import Pictures
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.scores import Scores, mean_scores, scores, to_bytes
from anyview.training.precision import autocast

_WINDOW = 11  # of SSIM
_SHOWN = 96  # pixels of a side of a small picture that is shown


class Validation:
    """The pictures that a run is judged by.

    Args:
        pictures: those; None or too small ones for nothing to judge by.
        side: most pixels of a side of a small picture; of larger ones the middle is taken.
        progress: told of pictures that are too small.
    """

    def __init__(self, pictures: Pictures | None, side: int, progress: Progress = SILENT) -> None:
        self._pictures, self._side = pictures, side
        self._bicubic: float | None = None
        sizes = [] if pictures is None else pictures.sizes
        scale = 1 if pictures is None else pictures.scale
        self._fitting = [i for i, size in enumerate(sizes) if min(size) * scale >= _WINDOW + 2 * scale]
        if len(self._fitting) < len(sizes):
            progress.note(f"images too small to validate on, left out: {len(sizes) - len(self._fitting)}")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._fitting)

    def scores(self, network: Upscaler, precision: str = "32-true") -> tuple[Scores, float]:
        """The mean over all, and the decibels (of the luma) by which the network is better than bicubic.

        Args:
            network: stays as it is; one picture goes through it at a time.
            precision: of its arithmetic, see `LoopOptions.precision`.
        """
        copy = without_weight_norm(network).eval()
        each, plain = [], []
        for index in self._fitting:
            low, high = self._middle(index, self._side)
            each.append(scores(upscaled(copy, low, precision), high, network.options.scale))
            if self._bicubic is None:
                plain.append(scores(_enlarged(low, high), high, network.options.scale).psnr_y)
        self._bicubic = float(np.mean(plain)) if self._bicubic is None else self._bicubic
        found = mean_scores(each)
        return found, found.psnr_y - self._bicubic

    def picture(self, network: Upscaler, precision: str = "32-true") -> UInt8[np.ndarray, "H W 3"] | None:
        """The middle of the first one: bicubic, the network's output, the truth, side by side; None without any."""
        if not self._fitting:
            return None
        low, high = self._middle(self._fitting[0], _SHOWN)
        output = upscaled(without_weight_norm(network).eval(), low, precision)
        return np.concatenate([_enlarged(low, high), output, high], 1)

    def _middle(self, index: int, side: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "H W 3"]]:
        """The middle of a pair."""
        assert self._pictures is not None
        low, scale = self._pictures.low(index), self._pictures.scale
        top, left = (max(length - side, 0) // 2 for length in low.shape[:2])
        bottom, right = min(top + side, low.shape[0]), min(left + side, low.shape[1])
        high = self._pictures.high(index)[top * scale : bottom * scale, left * scale : right * scale]
        return low[top:bottom, left:right], high


@torch.no_grad()
def upscaled(
    network: Upscaler, image: UInt8[np.ndarray, "h w 3"], precision: str = "32-true"
) -> UInt8[np.ndarray, "H W 3"]:
    """What a network makes of a picture, whole.

    Args:
        network: in eval mode.
        image: in bytes.
        precision: of its arithmetic.
    """
    device, dtype = network.mean.device, network.mean.dtype
    batch = torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(device).to(dtype) / 255
    with autocast(precision, device):
        return to_bytes(network(batch)[0])


def _enlarged(low: UInt8[np.ndarray, "h w 3"], high: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """By bicubic."""
    return imresize(low, size=(high.shape[0], high.shape[1]))
