"""Scores: published figures of bicubic upscaling, and what each figure is of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.errors import OptionError
from anyview.superresolution.bicubic import imresize
from anyview.superresolution.scores import luma, mean_scores, scores, to_bytes
from anyview.training import metrics
from shipped_pairs import needs_shipped, pairs


def _two(seed: int = 0, shape: tuple[int, ...] = (40, 50, 3)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    a = random.integers(20, 230, shape)
    return a.astype(np.uint8), np.clip(a + random.integers(-20, 21, shape), 0, 255).astype(np.uint8)


def test_luma_is_matlabs() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert np.allclose(luma(colours), [[16, 235, 81.481, 144.553, 40.966]])
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2)
    assert np.allclose(luma(grey, full=True)[:, 0], np.arange(256))


def test_psnr_of_luma_is_cropped_and_that_of_colours_is_not() -> None:
    a, b = _two()
    error = (luma(a) - luma(b))[3:-3, 3:-3]
    found = scores(a, b, 3)
    assert found.psnr_y == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
    assert found.psnr_rgb == pytest.approx(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))
    changed = a.copy()
    changed[:3] = 255 - changed[:3]  # the border
    assert scores(changed, b, 3).psnr_y == found.psnr_y
    assert scores(changed, b, 3).psnr_rgb < found.psnr_rgb


def test_ssim_is_that_of_windows_inside() -> None:
    a, b = _two()
    x = np.arange(11) - 5.0
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        return np.einsum("hwij,ij->hw", np.lib.stride_tricks.sliding_window_view(values, (11, 11)), window)

    p, q = luma(a)[2:-2, 2:-2], luma(b)[2:-2, 2:-2]
    mp, mq = mean(p), mean(q)
    variances, both = mean(p * p) - mp**2 + mean(q * q) - mq**2, mean(p * q) - mp * mq
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mp * mq + c1) * (2 * both + c2) / ((mp**2 + mq**2 + c1) * (variances + c2))
    assert scores(a, b, 2).ssim_y == pytest.approx(expected.mean(), abs=1e-6)


def test_figures_of_colours_are_those_of_the_package() -> None:
    a, b = _two()
    found = scores(a, b, 2)
    images = [torch.from_numpy(image / 255).permute(2, 0, 1)[None] for image in (a, b)]
    assert found.ssim_rgb == pytest.approx(metrics.ssim(*images).item(), abs=1e-7)
    assert found.psnr_rgb == pytest.approx(metrics.psnr(*images).item(), abs=1e-7)


def test_a_grey_truth_is_its_own_luma() -> None:
    a, b = _two(shape=(40, 50))
    three = np.repeat(a[:, :, None], 3, 2)
    error = (a.astype(float) - b)[4:-4, 4:-4]
    found = scores(three, b, 4)
    assert found.psnr_y == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
    assert found.psnr_y < scores(three, np.repeat(b[:, :, None], 3, 2), 4).psnr_y - 1.3


def test_equal_pictures_and_means() -> None:
    a, b = _two()
    same = scores(a, a, 2)
    assert same.psnr_y == same.psnr_rgb == float("inf")
    assert same.ssim_y == pytest.approx(1)
    one, two = scores(a, b, 2), scores(b, a, 4)
    assert mean_scores([one, two]).psnr_y == pytest.approx((one.psnr_y + two.psnr_y) / 2)
    assert list(one.labelled()) == ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"]


def test_sizes_that_cannot_be_scored() -> None:
    a, b = _two()
    with pytest.raises(OptionError, match="expected 50 x 40, found 48 x 40"):
        scores(a[:, 1:-1], b, 2)
    with pytest.raises(OptionError, match="too small for SSIM: expected 15 x 15 pixels or more, found 50 x 14"):
        scores(a[:14], b[:14], 2)


def test_a_networks_output_becomes_bytes() -> None:
    output = torch.tensor([-0.1, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.2]).reshape(1, 1, 6).repeat(3, 1, 1)
    assert to_bytes(output)[0, :, 2].tolist() == [0, 0, 0, 1, 255, 255]


@needs_shipped
@pytest.mark.parametrize(("name", "psnr", "ssim"), [("Set5", 28.42, 0.8104), ("Set14", 26.00, 0.7027)])
def test_bicubic_has_its_published_figures(name: str, psnr: float, ssim: float) -> None:
    each = []
    for high, low in pairs(name):
        colours = low if low.ndim == 3 else np.repeat(low[:, :, None], 3, 2)
        each.append(scores(imresize(colours, 4), high, 4))
    found = mean_scores(each)
    assert found.psnr_y == pytest.approx(psnr, abs=0.02)
    assert found.ssim_y == pytest.approx(ssim, abs=0.001)
