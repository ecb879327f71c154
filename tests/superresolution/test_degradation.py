"""Photographs made worse: the right size, the same for the same generator, each step doing its part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyview.errors import OptionError
from anyview.superresolution.bicubic import shrunk
from anyview.superresolution.degradation import DegradationOptions, degraded

NOTHING = DegradationOptions(
    blur_sigma=(0, 0), anisotropic=0, rough_resize=0, noise=(0, 0), poisson=0, jpeg=0, grey_noise=0
)


def _smooth(height: int = 72, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + c) * np.cos(y / 7 - c) for c in range(3)]
    return (127.5 + 90 * np.stack(waves, -1)).astype(np.uint8)


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_sizes_are_exact_whatever_is_drawn(scale: int) -> None:
    for seed in range(12):
        found = degraded(_smooth(), scale, _random(seed), DegradationOptions())
        assert found.shape == (72 // scale, 96 // scale, 3)
        assert found.dtype == np.uint8


def test_the_generator_decides_all() -> None:
    image, options = _smooth(), DegradationOptions()
    for seed in range(6):
        assert np.array_equal(degraded(image, 4, _random(seed), options), degraded(image, 4, _random(seed), options))
    assert len({degraded(image, 4, _random(seed), options).tobytes() for seed in range(6)}) == 6


def test_without_options_it_is_bicubic_and_with_nothing_nearly() -> None:
    image = _smooth()
    assert np.array_equal(degraded(image, 4, _random()), shrunk(image, 4))
    found = degraded(image, 4, _random(), NOTHING).astype(int)
    assert np.abs(found - shrunk(image, 4)).max() <= 1


@pytest.mark.parametrize("anisotropic", [0, 1])
def test_blur_takes_detail_and_keeps_the_mean(anisotropic: float) -> None:
    image = np.random.default_rng(3).integers(0, 256, (72, 96, 3), dtype=np.uint8)
    sharp = degraded(image, 2, _random(), NOTHING)
    soft = degraded(image, 2, _random(), replace(NOTHING, blur_sigma=(3, 3), anisotropic=anisotropic))
    assert soft.std() < 0.5 * sharp.std()
    assert soft.mean() == pytest.approx(sharp.mean(), abs=1.5)


def test_an_anisotropic_blur_is_turned() -> None:
    point = np.zeros((65, 65, 3), np.uint8)
    point[32, 32] = 255
    options = replace(NOTHING, blur_sigma=(0.5, 8), anisotropic=1)
    spread = []
    for seed in range(8):
        y, x = np.nonzero(degraded(point, 1, _random(seed), options)[:, :, 0] > 0)
        spread.append(abs(np.cov(y, x)[0, 1]) if len(y) > 2 else 0)
    assert max(spread) > 1


@pytest.mark.parametrize("options", [replace(NOTHING, noise=(0.05, 0.05)), replace(NOTHING, poisson=1)])
def test_noise_has_its_strength_and_may_be_grey(options: DegradationOptions) -> None:
    flat = np.full((400, 400, 3), 128, np.uint8)
    options = replace(options, photons=(100, 100))
    difference = degraded(flat, 2, _random(), options).astype(float) - 128
    expected = 0.05 if options.poisson == 0 else np.sqrt(128 / 255 / 100)
    assert difference.std() / 255 == pytest.approx(expected, rel=0.05)
    assert abs(difference.mean()) < 1
    assert abs(np.corrcoef(difference[..., 0].ravel(), difference[..., 1].ravel())[0, 1]) < 0.05
    grey = degraded(flat, 2, _random(), replace(options, grey_noise=1))
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_jpeg_is_worse_at_low_quality() -> None:
    image = np.random.default_rng(3).integers(0, 256, (72, 96, 3), dtype=np.uint8)
    clean = degraded(image, 2, _random(), NOTHING).astype(float)
    errors = [
        np.square(degraded(image, 2, _random(), replace(NOTHING, jpeg=1, quality=(q, q))) - clean).mean()
        for q in (20, 95)
    ]
    assert errors[0] > 1.3 * errors[1] > 0


def test_values_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="no range in quality: expected 1 to 100, found 0 to 50"):
        DegradationOptions(quality=(0, 50))
    with pytest.raises(OptionError, match="no range in noise"):
        DegradationOptions(noise=(0.3, 0.1))
    with pytest.raises(OptionError, match="no share in jpeg"):
        DegradationOptions(jpeg=1.5)
    with pytest.raises(OptionError, match="no multiples of the scale"):
        degraded(_smooth(70), 4, _random(), DegradationOptions())
