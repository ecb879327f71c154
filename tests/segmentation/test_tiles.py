"""Tiles against a detector that finds coloured discs exactly, but nothing small in a reduced image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyview.errors import OptionError
from anyview.segmentation.mask_rcnn import Found
from anyview.segmentation.network.paste import MaskCrops
from anyview.segmentation.network.transform import Size
from anyview.segmentation.options import ImageOptions
from anyview.segmentation.tiles import TileOptions, find_in_tiles, starts, tile_side

SIDE, LONGEST, OVERLAP = 128, 128, 0.25
WHOLE_IN_A_TILE = 30  # pixels: the overlap without two margins
LEAST = 6  # pixels of the network's image, below which nothing is found
MARK = 128  # blue of every disc, and of no mixture with the background


class Discs:
    """A finder of what `draw` has drawn; its score is a disc's share of what is there to see of it."""

    def __init__(self, least: float = LEAST) -> None:
        self.least = least
        self.seen: list[Size] = []

    def __call__(self, images: Sequence[Tensor], sizes: Sequence[Size] | None = None) -> list[Found]:
        own: list[Size] = [(image.shape[1], image.shape[2]) for image in images]
        return [self._one(image, size) for image, size in zip(images, sizes or own, strict=True)]

    def _one(self, image: Tensor, size: Size) -> Found:
        height, width = image.shape[1:]
        self.seen.append((height, width))
        rows, columns = size
        factor = min(LONGEST / max(height, width), 1)
        red, _, blue = image.numpy()
        numbers = np.where(blue == MARK, red, 0)
        boxes, labels, scores, crops, corners = [], [], [], [], []
        for number in np.unique(numbers[numbers > 0]).tolist():
            mask = numbers == number
            there = np.nonzero(mask)
            if max(np.ptp(axis) + 1 for axis in there) * factor < self.least:
                continue
            y, x = (np.arange(rows) * height // rows, np.arange(columns) * width // columns)
            large = mask[y][:, x]
            ys, xs = np.nonzero(large)
            top, left, bottom, right = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
            boxes.append([left, top, right, bottom])
            labels.append(label_of(number))
            scores.append(0.5 + number / 1000)
            crops.append(torch.from_numpy(large[top:bottom, left:right].copy()))
            corners.append((top, left))
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "scores": torch.tensor(scores, dtype=torch.float32),
            "masks": MaskCrops(crops, corners, (rows, columns)),
        }


def label_of(number: int) -> int:
    return 1 + number % 3


def draw(size: Size, discs: Sequence[tuple[float, float, float]]) -> tuple[Tensor, dict[int, np.ndarray]]:
    """An image of discs (x, y, diameter), and the masks of those that touch no other and have a pixel."""
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    image, taken, masks = np.zeros((3, *size), np.uint8), np.zeros(size, bool), {}
    for number, (cx, cy, diameter) in enumerate(discs, 1):
        distance = np.hypot(x - cx * width, y - cy * height)
        mask = distance < diameter / 2
        if mask.any() and not taken[distance < diameter / 2 + 4].any():
            image[:, mask] = np.array([[number], [255 - number], [MARK]])
            taken |= mask
            masks[number] = mask
    return torch.from_numpy(image), masks


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


disc = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(8, 140))


@settings(max_examples=15)
@given(st.lists(disc, min_size=1, max_size=12), st.integers(140, 300), st.integers(140, 420))
@example([(0.625, 0.0, 96.0)], 140, 275)  # a border cuts off a sliver that the reduced image does not show
def test_the_same_things_with_and_without_tiles(
    discs: list[tuple[float, float, float]], height: int, width: int
) -> None:
    image, masks = draw((height, width), discs)
    extents = {n: max(np.ptp(axis) + 1 for axis in np.nonzero(mask)) for n, mask in masks.items()}
    wanted = {n: mask for n, mask in masks.items() if extents[n] >= 1.2 * LEAST}
    finder = Discs()
    found = find_in_tiles(finder, image, SIDE, OVERLAP, LONGEST)
    whole = [found["masks"].full(i).numpy() for i in range(len(found["labels"]))]
    for number, mask in wanted.items():
        matches = [i for i, other in enumerate(whole) if overlap(mask, other) > 0.1]
        assert len(matches) == 1
        (i,) = matches
        assert int(found["labels"][i]) == label_of(number)
        assert overlap(mask, whole[i]) > 0.7  # reduced once to 256 pixels
        if extents[number] < WHOLE_IN_A_TILE:
            assert np.array_equal(mask, whole[i])
            ys, xs = np.nonzero(mask)
            assert found["boxes"][i].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert all(any(overlap(mask, other) > 0.1 for mask in masks.values()) for other in whole)
    scores = found["scores"].tolist()
    assert scores == sorted(scores, reverse=True)
    assert max(max(size) for size in finder.seen) <= max(SIDE, 2 * LONGEST)  # memory is that of one tile


def test_on_a_border_found_once() -> None:
    tops, lefts = starts(300, SIDE, OVERLAP), starts(420, SIDE, OVERLAP)
    border = (lefts[1] / 420, (tops[0] + SIDE) / 300, 24.0)  # on borders of both axes
    image, masks = draw((300, 420), [border])
    alone = sum(len(Discs()([image[:, t : t + SIDE, s : s + SIDE]])[0]["labels"]) for t in tops for s in lefts)
    assert alone >= 4  # several tiles see it, or a part of it
    found = find_in_tiles(Discs(), image, SIDE, OVERLAP, LONGEST)
    assert len(found["labels"]) == 1
    assert np.array_equal(found["masks"].full(0).numpy(), masks[1])


def test_larger_than_a_tile_is_found_in_the_whole() -> None:
    image, masks = draw((300, 420), [(0.5, 0.5, 250.0), (0.05, 0.05, 10.0)])
    found = find_in_tiles(Discs(), image, SIDE, OVERLAP, LONGEST)
    assert len(found["labels"]) == 2
    whole = [found["masks"].full(i).numpy() for i in range(2)]
    assert max(overlap(masks[1], mask) for mask in whole) > 0.95  # measured: 0.977
    assert any(np.array_equal(masks[2], mask) for mask in whole)


def test_what_nobody_sees_whole_stays_in_parts() -> None:
    """A thing too small for the reduced image, yet cut by every tile that sees it: parts are better than nothing."""
    image, masks = draw((128, 240), [(0.5, 0.5, 60.0)])
    found = find_in_tiles(Discs(least=40), image, SIDE, OVERLAP, LONGEST)
    whole = [found["masks"].full(i).numpy() for i in range(len(found["labels"]))]
    assert len(whole) >= 1
    assert np.array_equal(np.logical_or.reduce(whole) & masks[1], np.logical_or.reduce(whole))
    assert np.logical_or.reduce(whole).sum() > 0.8 * masks[1].sum()


def test_neighbours_of_a_class_stay_two() -> None:
    image, _ = draw((300, 420), [(0.30, 0.5, 24.0), (0.9, 0.9, 9.0), (0.1, 0.1, 9.0), (0.40, 0.5, 24.0)])
    assert label_of(1) == label_of(4)
    assert len(find_in_tiles(Discs(), image, SIDE, OVERLAP, LONGEST)["labels"]) == 4


@pytest.mark.parametrize("size", [(300, 420), (1, 700), (700, 3)])
def test_nothing_to_find(size: Size) -> None:
    found = find_in_tiles(Discs(), torch.zeros((3, *size), dtype=torch.uint8), SIDE, OVERLAP, LONGEST)
    assert found["boxes"].shape == (0, 4)
    assert found["masks"].size == size


@given(st.integers(1, 5000), st.integers(64, 1600), st.floats(0, 0.75))
def test_tiles_cover_an_axis(length: int, side: int, overlap: float) -> None:
    first = starts(length, side, overlap)
    assert first[0] == 0
    assert first[-1] + side >= length
    assert all(0 < b - a <= side * (1 - overlap) + 1 for a, b in pairwise(first))


def test_which_images_are_tiled() -> None:
    images = ImageOptions()
    assert tile_side(TileOptions(), images, (3000, 4000)) == 0
    assert tile_side(TileOptions(), images, (4000, 6000)) == 1600
    assert tile_side(TileOptions(1000), images, (3000, 4000)) == 1000
    assert tile_side(TileOptions(1000), images, (300, 400)) == 0
    assert tile_side(TileOptions(0), images, (30000, 40000)) == 0


def test_impossible_options() -> None:
    with pytest.raises(OptionError, match="--tile: expected auto, 0 for none, or 64 pixels and more, found 10"):
        TileOptions(10)
    with pytest.raises(OptionError, match="overlap"):
        TileOptions(overlap=0.9)
