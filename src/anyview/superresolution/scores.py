"""How near an upscaled picture is to the true one, in the two ways that the field's figures are given.

- `psnr_y`, `ssim_y`: of the luma (ITU-R BT.601, 16 to 235) without a border as wide as the scale; the papers' figures.
- `psnr_rgb`, `ssim_rgb`: of the colours, nothing cropped; those of the widely used TensorFlow version.

Both are of pictures in bytes. A grey file is its own luma, 0 to 255: otherwise Set14, which has one, gains 0.09 dB.

Letters: H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from anyview.errors import OptionError
from anyview.training.metrics import psnr, ssim

_LUMA = (65.481, 128.553, 24.966)  # of red, green, blue in [0, 1]; they sum to 219
_BLACK = 16.0


@dataclass(frozen=True)
class Scores:
    """Of a picture, or the mean of several; decibels, and SSIM up to 1."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float

    def labelled(self) -> dict[str, float]:
        """By names, as they are written."""
        return asdict(self)


def scores(
    output: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"], scale: int
) -> Scores:
    """How near an output is to the truth.

    Args:
        output: of a network, rounded to bytes (`to_bytes`).
        truth: colours, or one channel where the file is grey.
        scale: of the upscaling; so many pixels are cropped from each edge for the luma.

    Raises:
        OptionError: sizes differ, or are too small for a window of SSIM (11 x 11).
    """
    if output.shape[:2] != truth.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (truth, output)]
        raise OptionError("the output has not the truth's size", expected=sizes[0], actual=sizes[1])
    grey = truth.ndim == 2
    colours = np.repeat(truth[:, :, None], 3, 2) if grey else truth
    inside = np.s_[scale:-scale, scale:-scale]
    y, y_truth = _image(luma(output, grey)[inside]), _image(luma(colours, grey)[inside])
    rgb, rgb_truth = _image(output), _image(colours)
    return Scores(*(float(figure(*pair)) for pair in ((y, y_truth), (rgb, rgb_truth)) for figure in (psnr, ssim)))


def mean_scores(each: Sequence[Scores]) -> Scores:
    """The mean over pictures, as the field has it: of the decibels, not of the errors."""
    rows = [list(asdict(one).values()) for one in each]
    return Scores(*(float(value) for value in np.mean(rows, 0)))


def luma(image: UInt8[np.ndarray, "H W 3"], full: bool = False) -> Float64[np.ndarray, "H W"]:
    """BT.601's luma as MATLAB's `rgb2ycbcr` gives it, not rounded.

    Args:
        image: in bytes.
        full: from 0 to 255 instead of 16 to 235: the grey value, where all channels are equal.
    """
    weights = np.array(_LUMA)
    return image @ (weights / weights.sum()) if full else _BLACK + image @ (weights / 255)


def to_bytes(image: torch.Tensor) -> UInt8[np.ndarray, "H W 3"]:
    """A network's output, (3, H, W) in [0, 1] and perhaps a little beyond, as a picture in bytes."""
    return image.detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()


def _image(values: np.ndarray) -> torch.Tensor:
    """(1, C, H, W) in [0, 1], double."""
    channels = values[:, :, None] if values.ndim == 2 else values
    return torch.from_numpy(np.asarray(channels, np.float64) / 255).permute(2, 0, 1)[None]
