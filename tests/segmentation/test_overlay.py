"""How results are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.segmentation.data.classes import named_classes
from anyview.segmentation.drawing import color_of
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.overlay import draw_overlay
from anyview.segmentation.result import Result


def result(size: tuple[int, int], corner: tuple[int, int], side: int, count: int = 1) -> Result:
    boxes = torch.tensor([[corner[1], corner[0], corner[1] + side, corner[0] + side]] * count, dtype=torch.float32)
    crops = MaskCrops([torch.ones((side, side), dtype=torch.bool)] * count, [corner] * count, size)
    labels, scores = torch.ones(count, dtype=torch.int64), torch.full((count,), 0.9)
    return Result("a", named_classes(["cup"]), boxes, labels, scores, crops)


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((30, 40), (360, 480)), ((600, 800), (600, 800)), ((3000, 8192), (1500, 4096)), ((1, 1), (480, 480))],
)
def test_pictures_are_of_sizes_to_look_at(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    picture = draw_overlay(np.zeros((*size, 3), np.uint8), result(size, (0, 0), 1))
    assert picture.shape == (*drawn, 3)


def test_what_is_drawn() -> None:
    """Outline in the colour of the instance, a tint inside, a label above, and nothing elsewhere."""
    picture = draw_overlay(np.zeros((600, 800, 3), np.uint8), result((600, 800), (200, 300), 100))
    color = np.array(color_of(0))
    assert np.array_equal(picture[200, 330], color)
    assert np.array_equal(picture[250, 300], color)
    assert np.abs(picture[250, 350] - 0.4 * color).max() <= 1
    label = picture[170:200, 300:400].reshape(-1, 3)
    assert (label == color).all(1).sum() > 500
    assert (np.abs(label.astype(int) - color).max(1) > 100).sum() > 50  # letters
    rest = picture.copy()
    rest[170:300, 300:400] = 0
    assert not rest.any()


def test_labels_do_not_cover_each_other() -> None:
    one, three = (
        draw_overlay(np.zeros((600, 800, 3), np.uint8), result((600, 800), (200, 300), 100, n)) for n in (1, 3)
    )
    for number in range(3):
        same = (three == color_of(number)).all(2)
        assert same.sum() > 0.5 * (one == color_of(0)).all(2).sum() - 400  # a label's ground, whole
