"""Resizing as MATLAB does it: against a direct twin, and against files that MATLAB made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anyview.errors import OptionError
from anyview.superresolution.bicubic import Edge, imresize, shrunk
from shipped_pairs import needs_shipped, pairs


def _kernel(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def _line(values: np.ndarray, want: int, scale: float, edge: Edge, whole: bool) -> np.ndarray:
    """One row or column, pixel by pixel."""
    have, narrow = len(values), min(scale, 1.0)
    out = np.zeros(want)
    for o in range(want):
        centre = (o + 0.5) / scale - 0.5
        reach = range(math.floor(centre - 2 / narrow) - 1, math.ceil(centre + 2 / narrow) + 2)
        weights = [_kernel(narrow * (centre - i)) for i in reach]
        for weight, i in zip(weights, reach, strict=True):
            if edge == "repeat":
                place = min(max(i, 0), have - 1)
            else:
                place = i % (2 * have)
                place = place if place < have else 2 * have - 1 - place
            out[o] += weight / sum(weights) * values[place]
    return np.clip(np.floor(np.round(out, 9) + 0.5), 0, 255) if whole else out


def direct(image: np.ndarray, size: tuple[int, int], scales: tuple[float, float], edge: Edge) -> np.ndarray:
    whole = image.dtype == np.uint8
    values = image.astype(np.float64)
    for axis in np.argsort(scales, kind="stable"):
        values = np.apply_along_axis(_line, axis, values, size[axis], scales[axis], edge, whole)
    return values


@pytest.mark.parametrize("edge", ["repeat", "mirror"])
@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 1 / 2, 0.37, 1.0, 1.6, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_equals_a_direct_twin(scale: float, edge: Edge, kind: type) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (13, 17, 3))
    image = noise.astype(np.uint8) if kind is np.uint8 else noise / 255
    size = math.ceil(13 * scale), math.ceil(17 * scale)
    found = imresize(image, scale, edge=edge)
    assert found.dtype == kind
    assert found.shape == (*size, 3)
    difference = np.abs(found - direct(image, size, (scale, scale), edge)).max()
    assert difference <= (0 if kind is np.uint8 else 1e-12)


def test_each_axis_has_its_scale_and_the_one_that_shrinks_most_is_first() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
    found = imresize(image, size=(15, 7))
    assert np.array_equal(found, direct(image, (15, 7), (15 / 20, 7 / 30), "repeat"))


def test_floats_keep_their_precision_and_range() -> None:
    image = np.random.default_rng(2).normal(size=(9, 8)).astype(np.float32) * 100
    found = imresize(image, 2)
    assert found.dtype == np.float32
    assert np.allclose(found, imresize(image.astype(np.float64), 2), atol=1e-3)
    assert found.min() < 0


def test_a_constant_stays_and_a_pixel_can_grow() -> None:
    assert np.all(imresize(np.full((40, 31, 3), 200, np.uint8), 0.3) == 200)
    assert np.all(imresize(np.full((1, 1, 3), 7, np.uint8), 4) == 7)


def test_what_cannot_be_resized() -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    with pytest.raises(OptionError, match="by a scale or to a size"):
        imresize(image)
    with pytest.raises(OptionError, match="expected 1 x 1 or more, found 4 x 0"):
        imresize(image, size=(0, 4))
    with pytest.raises(OptionError, match="no scale"):
        imresize(image, float("nan"))
    with pytest.raises(OptionError, match="without pixels"):
        imresize(np.zeros((0, 3, 3), np.uint8), 2)
    with pytest.raises(OptionError, match="expected multiples of 3, found 9 x 8; crop it"):
        shrunk(image, 3)


@needs_shipped
@pytest.mark.parametrize(("name", "images"), [("Set5", 5), ("Set14", 14)])
def test_matlabs_own_files_are_met_to_the_grey_level(name: str, images: int) -> None:
    found = pairs(name)
    assert len(found) == images
    for high, low in found:
        assert np.array_equal(shrunk(high, 4), low)
