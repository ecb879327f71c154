"""Edges and tints of things in pictures."""

from __future__ import annotations

import numpy as np

from anyview.segmentation.drawing import class_color, draw_things, edge


def test_edge() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:7, 3:9] = True  # touches the picture's border, which is no edge
    inner = np.zeros((9, 9), bool)
    inner[3:6, 4:9] = True
    np.testing.assert_array_equal(edge(mask), mask & ~inner)
    assert not edge(np.ones((4, 5), bool), 2).any()


def test_things() -> None:
    rgb = np.full((9, 9, 3), 100, np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    made = draw_things(rgb, [mask], [3])
    assert (made[~mask] == 100).all()
    assert (made[edge(mask)] == class_color(3)).all()
    np.testing.assert_allclose(made[4, 4], 100 + 0.32 * (class_color(3).astype(float) - 100), atol=0.51)
    assert (rgb == 100).all()
    assert len({tuple(class_color(label)) for label in range(1, 20)}) == 19
