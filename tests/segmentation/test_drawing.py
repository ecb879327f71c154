"""Edges, tints and colours of things in pictures."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.segmentation.drawing import color_of, edge, line_width, tint


@pytest.mark.parametrize("width", [1, 2, 5])
def test_an_edge_is_what_a_square_does_not_fit_around(width: int) -> None:
    mask = np.random.default_rng(0).random((20, 30)) < 0.97
    side, padded = 2 * width + 1, np.pad(mask, width)
    inner = [[padded[y : y + side, x : x + side].all() for x in range(30)] for y in range(20)]
    assert np.array_equal(edge(mask, width), mask & ~np.array(inner))
    assert width == 5 or np.any(inner)
    assert edge(np.ones((4, 9), bool), width).all() == (width > 1)  # the array's border is one


def test_a_tint_stays_in_its_mask() -> None:
    pixels = np.full((9, 9, 3), 100, np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    tint(pixels, mask, color_of(3), 1)
    assert (pixels[~mask] == 100).all()
    assert (pixels[edge(mask)] == color_of(3)).all()
    assert np.abs(pixels[4, 4] - (0.6 * 100 + 0.4 * np.array(color_of(3)))).max() <= 0.51  # rounded


def test_colours_and_lines() -> None:
    assert len({color_of(number) for number in range(60)}) == 60
    apart = [np.abs(np.subtract(color_of(n), color_of(n + 1))).max() for n in range(60)]
    assert min(apart) > 140  # of 255; measured 147
    assert [line_width(size) for size in ((1, 1), (640, 480), (3000, 4000))] == [1, 2, 10]
