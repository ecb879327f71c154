"""Figures against numpy and scipy in float64, and what they must say of images that are known."""

from __future__ import annotations

import urllib.error

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from anyview.errors import OptionError
from anyview.training import metrics
from anyview.training.metrics import lpips, psnr, ssim


def pairs(noise: float, size: tuple[int, int] = (19, 26), dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    a = torch.rand(4, 3, *size, generator=g, dtype=dtype)
    a = (a + a.roll(1, -1) + a.roll(1, -2)) / 3  # neighbours are alike, as in pictures
    return [a, a + noise * torch.randn(a.shape, generator=g, dtype=dtype)]


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang's formula channel by channel, windows inside the image only."""
    x = np.arange(-5, 6)
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(image: np.ndarray) -> np.ndarray:
        smooth = correlate1d(correlate1d(image, window, axis=0, mode="constant"), window, axis=1, mode="constant")
        return smooth[5:-5, 5:-5]

    maps = []
    for p, q in zip(a, b, strict=True):
        mp, mq = mean(p), mean(q)
        vp, vq, cov = mean(p * p) - mp**2, mean(q * q) - mq**2, mean(p * q) - mp * mq
        c1, c2 = 0.01**2, 0.03**2
        maps.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(maps))


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_psnr(noise: float) -> None:
    a, b = pairs(noise)
    wanted = [10 * np.log10(1 / np.mean((x - y) ** 2)) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    assert np.allclose(psnr(a, b).numpy(), wanted, rtol=1e-12)
    assert np.allclose(psnr(a.float(), b.float()).numpy(), wanted, rtol=1e-4)


def test_psnr_of_known_images() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = torch.stack([torch.full((3, 4, 4), 0.1), torch.zeros(3, 4, 4)])
    assert psnr(a, b)[0].item() == pytest.approx(20, abs=1e-5)
    assert psnr(a, b)[1].item() == np.inf
    assert psnr(a, a + 2)[0].item() == pytest.approx(-6.0206, abs=1e-3)  # values are not clipped
    assert psnr(a.bfloat16(), b.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("size", [(19, 26), (11, 11), (40, 12)])
def test_ssim(noise: float, size: tuple[int, int]) -> None:
    a, b = pairs(noise, size)
    wanted = [slow_ssim(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    assert np.abs(ssim(a, b).numpy() - wanted).max() < 1e-12
    assert np.abs(ssim(a.float(), b.float()).numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_ssim_in_bands_is_that_of_the_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pairs(0.1)
    whole = ssim(a, b)
    monkeypatch.setattr(metrics, "_AT_ONCE", rows * 4 * a.shape[-1])
    assert (ssim(a, b) - whole).abs().max() < 1e-14


def test_ssim_looks_at_valid_windows_only() -> None:
    a, _ = pairs(0)
    b = a.clone()
    b[..., 0, 0] += 1  # in one window only, and there at the end of its tails
    assert 0 < (1 - ssim(a, b)).min() < 1e-3
    wanted = [slow_ssim(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    assert np.abs(ssim(a, b).numpy() - wanted).max() < 1e-12
    assert torch.allclose(ssim(a, a), torch.ones(4, dtype=torch.float64))


def test_too_small() -> None:
    a = torch.zeros(1, 3, 10, 40)
    with pytest.raises(OptionError) as caught:
        ssim(a, a)
    assert str(caught.value) == "images are too small for SSIM: expected 11 x 11 pixels or more, found 40 x 10"
    with pytest.raises(OptionError, match="images are too small for LPIPS: expected 32 x 32 pixels or more"):
        lpips(a, a)


def test_lpips_without_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import _api

    def offline(*words: object, **more: object) -> None:
        raise urllib.error.URLError("no route to host")

    metrics._lpips_network.cache_clear()
    monkeypatch.setattr(_api, "load_state_dict_from_url", offline)
    a = torch.rand(1, 3, 64, 64)
    with pytest.raises(OptionError) as caught:
        lpips(a, a)
    assert str(caught.value) == (
        "LPIPS cannot be computed: its weights cannot be had in network alex: found URLError: <urlopen error no "
        "route to host>; run once where there is an internet connection, or leave LPIPS out"
    )


def test_lpips_is_torchmetrics_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the features of an untrained network: the weights of the trained one are not here."""
    from torchmetrics.functional.image import lpips as module

    monkeypatch.setattr(module, "_get_tv_model_features", lambda net, pretrained: untrained(net))
    metrics._lpips_network.cache_clear()
    try:
        a, b = (image.float() for image in pairs(0.1, (64, 64)))
        found = lpips(a, b.clamp(0, 1))
        torch.manual_seed(0)
        wanted = module.learned_perceptual_image_patch_similarity(a, b.clamp(0, 1), reduction="none", normalize=True)
        assert found.shape == (4,)
        assert torch.allclose(found, wanted)
        assert (found > 0).all()
        assert torch.equal(lpips(a, b), found)  # clipped
        assert torch.equal(lpips(a[:1], a[:1]), torch.zeros(1))
    finally:
        metrics._lpips_network.cache_clear()


def untrained(net: str) -> torch.nn.Module:
    import torchvision

    torch.manual_seed(0)
    return getattr(torchvision.models, net)(weights=None).features
