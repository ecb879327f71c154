"""How near an upscaled picture is to the true one, in the two ways that the field's figures are given.

- `psnr_y`, `ssim_y`: of the luma (ITU-R BT.601, 16 to 235) without a border as wide as the scale; the papers' figures.
- `psnr_rgb`, `ssim_rgb`: of the colours, nothing cropped; those of the widely used TensorFlow version.

Both are of pictures in bytes. A grey file is its own luma, 0 to 255: otherwise Set14, which has one, gains 0.09 dB.

SSIM is that of `anyview.training.metrics`, but filters rows and columns one after the other: a hundredth of the time.

Letters: H rows, W columns, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from scipy.ndimage import correlate1d

from anyview.errors import OptionError

_LUMA = (65.481, 128.553, 24.966)  # of red, green, blue in [0, 1]; they sum to 219
_BLACK = 16.0
_WINDOW, _SIGMA = 11, 1.5


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
    y, y_truth = luma(output, grey)[inside], luma(colours, grey)[inside]
    if min(y.shape) < _WINDOW:
        least, found = _WINDOW + 2 * scale, f"{truth.shape[1]} x {truth.shape[0]}"
        raise OptionError("images are too small for SSIM", expected=f"{least} x {least} pixels or more", actual=found)
    rgb, rgb_truth = output.astype(np.float64), colours.astype(np.float64)
    each = [_ssim(rgb[:, :, c], rgb_truth[:, :, c]) for c in range(3)]
    return Scores(_psnr(y, y_truth), _ssim(y, y_truth), _psnr(rgb, rgb_truth), sum(each) / 3)


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


def _psnr(a: Float64[np.ndarray, "H W *C"], b: Float64[np.ndarray, "H W *C"]) -> float:
    """Decibels; infinite where images are equal."""
    error = float(np.square(a - b).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _ssim(a: Float64[np.ndarray, "H W"], b: Float64[np.ndarray, "H W"]) -> float:
    """Mean over the windows inside (Wang et al. 2004, equation 13)."""
    mean_a, mean_b = _windows(a), _windows(b)
    both, squares = _windows(a * b) - mean_a * mean_b, mean_a**2 + mean_b**2
    variances = _windows(a * a + b * b) - squares
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ratio = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((squares + c1) * (variances + c2))
    return float(ratio.mean())


def _windows(values: Float64[np.ndarray, "H W"]) -> Float64[np.ndarray, "h w"]:
    """Means weighted by a Gaussian, of the windows that lie wholly inside."""
    steps, half = np.arange(_WINDOW) - _WINDOW // 2, _WINDOW // 2
    weights = np.exp(-0.5 * (steps / _SIGMA) ** 2)
    for axis in (0, 1):
        values = correlate1d(values, weights / weights.sum(), axis)
    return values[half:-half, half:-half]
