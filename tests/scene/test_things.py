"""Pictures of things: the same bytes each time, every class, masks that the things fill."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.errors import OptionError
from anyview.scene.things import CLASSES, ThingsPicture, render_things


@pytest.fixture(scope="module")
def pictures() -> list[ThingsPicture]:
    return [render_things(3, number, (72, 56)) for number in range(30)]


def test_the_same_arguments_give_the_same_bytes(pictures: list[ThingsPicture]) -> None:
    for number in (0, 7):
        again = render_things(3, number, (72, 56))
        np.testing.assert_array_equal(again.rgb, pictures[number].rgb)
        np.testing.assert_array_equal(again.instance, pictures[number].instance)
        assert again.kinds == pictures[number].kinds
    assert not np.array_equal(render_things(4, 0, (72, 56)).rgb, pictures[0].rgb)


def test_things_are_many_and_of_every_class(pictures: list[ThingsPicture]) -> None:
    assert {kind for p in pictures for kind in p.kinds} == set(range(len(CLASSES)))
    assert {1, 7} < {len(p.kinds) for p in pictures} <= set(range(1, 8))
    shown = [(p.instance == i + 1).sum() for p in pictures for i in range(len(p.kinds))]
    assert 20 < np.median(shown) < 1000
    assert np.mean(np.array(shown) == 0) < 0.25  # hidden, or beside the picture
    assert all(p.rgb.shape == (56, 72, 3) and p.instance.max() <= len(p.kinds) for p in pictures)
    assert all(0.2 < (p.instance == 0).mean() < 1 for p in pictures)


def test_outlines_are_where_the_picture_changes() -> None:
    """Where the masks change the colours do, more than elsewhere."""
    ratios = []
    for number in range(12):
        made = render_things(0, number, (128, 128))
        steps = np.abs(np.diff(made.rgb.astype(float), axis=1)).sum(2)
        edges = np.diff(made.instance, axis=1) != 0
        if edges.sum() > 20:
            ratios.append(steps[edges].mean() / steps[~edges].mean())
    assert min(ratios) > 1.2
    assert np.median(ratios) > 3


def test_spheres_are_round() -> None:
    checked = 0
    for number in range(40):
        made = render_things(1, number, (96, 96), most=1)
        mask = made.instance == 1
        touches = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        if CLASSES[made.kinds[0]] == "sphere" and mask.sum() > 100 and not touches:
            height, width = mask.any(1).sum(), mask.any(0).sum()
            assert abs(mask.sum() / (np.pi / 4 * height * width) - 1) < 0.08
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("arguments", [(-1, 0), (0, -1), (0, 0, (0, 5)), (0, 0, (5, 5), 0)])
def test_impossible_pictures(arguments: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="no such picture: expected seed and number from 0"):
        render_things(*arguments)
