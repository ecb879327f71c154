"""COCO's figures against closed forms, and single images' F-scores."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.formats.coco import CocoAnnotation, CocoCategory, CocoData, CocoImage, CocoResult
from anyview.formats.coco_masks import encode_mask, mask_overlaps
from anyview.segmentation.average_precision import FIGURES, average_precision
from anyview.segmentation.image_scores import image_scores

SIDE = 64
CLASSES = (CocoCategory(3, "car"), CocoCategory(7, "cat"), CocoCategory(9, "cow"))


def square(x: int, y: int, side: int = 20) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def thing(
    number: int, image: int, category: int, x: int, y: int, side: int = 20, crowd: bool = False
) -> CocoAnnotation:
    box = (float(x), float(y), float(side), float(side))
    return CocoAnnotation(number, image, category, box, encode_mask(square(x, y, side)), float(side**2), crowd)


def found(image: int, category: int, x: int, y: int, score: float, side: int = 20) -> CocoResult:
    box = (float(x), float(y), float(side), float(side))
    return CocoResult(image, category, box, score, encode_mask(square(x, y, side)))


TRUTH = CocoData(
    tuple(CocoImage(i, f"{i}.png", SIDE, SIDE) for i in range(3)),
    (thing(1, 0, 3, 2, 2), thing(2, 1, 3, 30, 30), thing(3, 1, 7, 2, 2, 40), thing(4, 2, 7, 4, 4, 50, crowd=True)),
    CLASSES,
)


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_half_of_a_class_found(kind: str) -> None:
    results = [found(0, 3, 2, 2, 0.9), found(1, 7, 2, 2, 0.8, 40)]
    made = average_precision(TRUTH, results, kind)  # type: ignore[arg-type]
    # precision is 1 up to a recall of one half: 51 of COCO's 101 places; the other class is perfect
    assert made.figures["AP"] == pytest.approx((51 / 101 + 1) / 2)
    assert made.figures["AR_100"] == pytest.approx(0.75)
    assert made.figures["AP_small"] == pytest.approx(51 / 101)
    assert made.figures["AP_medium"] == pytest.approx(1)
    assert made.figures["AP_large"] is None
    assert [(c.name, c.things, c.figures["AP"]) for c in made.classes] == [
        ("car", 2, pytest.approx(51 / 101)), ("cat", 1, pytest.approx(1)), ("cow", 0, None),
    ]  # fmt: skip


def test_overlap_decides() -> None:
    # 20 x 20 moved by 4: overlap 16 / 24 = 0.667, so it counts at 0.50, 0.55, 0.60 and 0.65
    truth = CocoData(TRUTH.images, (thing(1, 0, 3, 2, 2),), CLASSES)
    made = average_precision(truth, [found(0, 3, 6, 2, 0.9)], "mask")
    assert made.figures["AP"] == pytest.approx(0.4)
    assert made.figures["AP50"] == pytest.approx(1)
    assert made.figures["AP75"] == pytest.approx(0)


def test_the_size_of_a_mask_is_not_that_of_its_box() -> None:
    # a false find of 128 pixels in a box of 33 x 33: small as a mask, medium as a box
    frame = square(20, 20, 33) & ~square(21, 21, 31)
    false = CocoResult(0, 3, (20.0, 20.0, 33.0, 33.0), 0.95, encode_mask(frame))
    truth = CocoData(TRUTH.images, (thing(1, 0, 3, 2, 2, 10),), CLASSES)
    results = [false, found(0, 3, 2, 2, 0.9, 10)]
    assert average_precision(truth, results, "mask").figures["AP_small"] == pytest.approx(0.5)
    assert average_precision(truth, results, "box").figures["AP_small"] == pytest.approx(1)


def test_nothing_found_and_nothing_there() -> None:
    made = average_precision(TRUTH, [], "mask")
    assert (made.figures["AP"], made.figures["AP_large"], made.figures["AR_small"]) == (0, None, 0)
    assert [c.figures["AP"] for c in made.classes] == [0, 0, None]
    made = average_precision(CocoData(TRUTH.images, (), CLASSES), [found(0, 3, 2, 2, 0.9)], "box")
    assert made.figures == dict.fromkeys(FIGURES)


def test_overlaps() -> None:
    masks = [encode_mask(square(x, 0)) for x in (0, 10, 40)]
    made = mask_overlaps(masks, [masks[0], encode_mask(square(0, 0, 40))], np.array([False, True]))
    np.testing.assert_allclose(made, np.array([[1, 1], [1 / 3, 1], [0, 0]]), atol=1e-12)
    assert mask_overlaps([], masks, np.zeros(3, bool)).shape == (0, 3)


def test_f_scores_of_images() -> None:
    results = [
        found(0, 3, 2, 2, 0.9), found(0, 3, 3, 2, 0.8),  # the second is one too many
        found(1, 3, 30, 30, 0.4),  # without confidence
        found(1, 3, 2, 2, 0.9, 40),  # another class
        found(2, 7, 10, 10, 0.9), found(2, 3, 10, 10, 0.9),  # in a crowd of cats
    ]  # fmt: skip
    scores = image_scores(TRUTH, results)
    assert [(s.matched, s.missed, s.false) for s in scores] == [(1, 0, 1), (0, 2, 1), (0, 0, 1)]
    assert [s.f_score for s in scores] == pytest.approx([2 / 3, 0, 0])
    assert image_scores(CocoData(TRUTH.images[:1], (), CLASSES), [])[0].f_score == 1
