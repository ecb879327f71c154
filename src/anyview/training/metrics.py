"""How near a picture is to the true one: PSNR, SSIM (Wang et al. 2004), LPIPS (Zhang et al., arXiv 1801.03924).

Letters: B images, H rows, W columns. Images are sRGB in [0, 1].
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.errors import OptionError

_WINDOW, _SIGMA = 11, 1.5
_AT_ONCE = 1 << 18  # pixels that SSIM is computed of: torchmetrics keeps some 800 bytes of each


def psnr(a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"]:
    """Peak signal-to-noise ratio in decibels, of the values as they are; infinite where images are equal."""
    return -10 * torch.log10((_precise(a) - _precise(b)).square().mean((1, 2, 3)))


def ssim(a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"]:
    """Structural similarity: the mean over colours and over the Gaussian windows (11 x 11, sigma 1.5) that lie wholly
    inside the image, with K1 = 0.01, K2 = 0.03 and population variances. Memory does not grow with the images.

    Raises:
        OptionError: the images are smaller than a window.
    """
    _check_size(a, _WINDOW, "SSIM")
    edge = _WINDOW - 1
    rows, columns = a.shape[2] - edge, a.shape[3] - edge  # of windows
    each = max(_AT_ONCE // (a.shape[0] * a.shape[3]), 1)
    bands = (slice(top, top + each + edge) for top in range(0, rows, each))
    total = torch.stack([_ssim_sum(_precise(a[:, :, band]), _precise(b[:, :, band])) for band in bands]).sum(0)
    return (total / (3 * rows * columns)).to(_precise(a[:, :, :1]).dtype)


def _ssim_sum(a: Tensor, b: Tensor) -> Tensor:
    """(B,): over the windows inside, and the colours; float64."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, places = structural_similarity_index_measure(
        a, b, sigma=_SIGMA, kernel_size=_WINDOW, data_range=1.0, k1=0.01, k2=0.03,
        reduction="none", return_full_image=True,
    )  # fmt: skip
    edge = _WINDOW // 2  # torchmetrics also gives the windows that reach beyond the edge, with mirrored pixels
    return places[..., edge:-edge, edge:-edge].sum((1, 2, 3), dtype=torch.float64)


def lpips(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], network: Literal["alex", "vgg"] = "alex"
) -> Float[Tensor, "B"]:
    """Perceptual distance, 0 for equal images; values outside [0, 1] are clipped.

    Args:
        a, b: images of 32 x 32 pixels or more.
        network: whose features are compared; its weights are downloaded once (alex 233 MiB, vgg 528 MiB).

    Raises:
        OptionError: the images are too small, or the weights, torchmetrics or torchvision cannot be had.
    """
    _check_size(a, 32, "LPIPS")
    model = _lpips_network(network).to(a.device)
    with torch.no_grad():
        return model(a.float().clamp(0, 1), b.float().clamp(0, 1), normalize=True).reshape(len(a))


def load_lpips(network: Literal["alex", "vgg"] = "alex") -> None:
    """Have LPIPS's network at hand, downloaded if need be, so that `lpips` will not fail for want of it.

    Raises:
        OptionError: the weights, torchmetrics or torchvision cannot be had.
    """
    _lpips_network(network)


def _check_size(image: Tensor, least: int, figure: str) -> None:
    if min(image.shape[-2:]) < least:
        raise OptionError(
            f"images are too small for {figure}", expected=f"{least} x {least} pixels or more",
            actual=f"{image.shape[-1]} x {image.shape[-2]}",
        )  # fmt: skip


@cache
def _lpips_network(network: Literal["alex", "vgg"]) -> Any:
    try:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        return LearnedPerceptualImagePatchSimilarity(network, normalize=True).net
    except (ImportError, OSError, RuntimeError) as error:  # no network, no disk, a file of another digest
        raise OptionError(
            "LPIPS cannot be computed: its weights cannot be had", where=f"network {network}",
            actual=f"{type(error).__name__}: {error}",
            hint="run once where there is an internet connection, or leave LPIPS out",
        ) from error  # fmt: skip


def _precise(image: Tensor) -> Tensor:
    return image if image.dtype == torch.float64 else image.float()
