"""Objects and samples, against torchvision's matcher and by counting."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from anyview.segmentation.network.matching import BACKGROUND, IGNORED, match, sample


def random_boxes(count: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand((count, 2), generator=g) * 60
    return torch.cat([corner, corner + 10 + 30 * torch.rand((count, 2), generator=g)], 1)


@pytest.mark.parametrize("each_gets_one", [True, False])
def test_torchvision(each_gets_one: bool) -> None:
    truth, boxes = random_boxes(6, 0), random_boxes(300, 1)
    boxes[7] = boxes[3]  # equal overlaps
    theirs = Matcher(0.7, 0.3, each_gets_one)(box_iou(truth, boxes))
    assert torch.equal(match(truth, boxes, 0.7, 0.3, each_gets_one), theirs)
    assert (theirs >= 0).sum() >= (6 if each_gets_one else 1)
    assert {BACKGROUND, IGNORED} < set(theirs.tolist())


def test_an_object_that_no_box_touches_gets_none() -> None:
    """torchvision gives it every box that it does not touch."""
    truth, boxes = torch.tensor([[0.0, 0, 10, 10], [900, 900, 910, 910]]), random_boxes(20, 2) + 20
    boxes[0] = torch.tensor([1.0, 1, 11, 11])
    assert match(truth, boxes, 0.7, 0.3, True).tolist() == [0] + [BACKGROUND] * 19
    assert (Matcher(0.7, 0.3, True)(box_iou(truth, boxes)) >= 0).all()


def test_no_objects() -> None:
    assert match(torch.zeros(0, 4), random_boxes(5, 3), 0.7, 0.3, True).tolist() == [BACKGROUND] * 5


def test_what_lies_in_a_crowd_is_no_background() -> None:
    truth = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [28, 20, 38, 30], [60, 60, 70, 70], [25, 25, 25, 25]])
    crowds = torch.tensor([[0.0, 0, 32, 32], [300, 300, 400, 400]])
    found = match(truth, boxes, 0.5, 0.5, False, crowds)
    assert found.tolist() == [0, IGNORED, BACKGROUND, BACKGROUND, BACKGROUND]


def test_samples() -> None:
    g = torch.Generator().manual_seed(0)
    kind = torch.randint(0, 3, (4, 200), generator=g)
    kind[1] = torch.where(kind[1] == 0, 1, kind[1])  # no positives
    kind[2, 10:] = 2  # few of either
    kind[3] = 0  # no negatives
    positive, negative = kind == 0, kind == 1
    chosen = sample(positive, negative, 40, 0.25, g)
    assert not (chosen & (kind == 2)).any()
    few = min(int(positive[2].sum()), 10), int(negative[2].sum())
    assert (chosen & positive).sum(1).tolist() == [10, 0, few[0], 10]
    assert (chosen & negative).sum(1).tolist() == [30, 40, few[1], 0]


def test_every_box_has_the_same_chance() -> None:
    g = torch.Generator().manual_seed(1)
    positive = torch.arange(30) < 12
    draws = sample(positive.expand(4000, 30), ~positive.expand(4000, 30), 10, 0.4, g).float().mean(0)
    # 4 of 12 and 6 of 18; deviation of a mean of 4000 draws: 0.0075; measured: 0.018 at most
    torch.testing.assert_close(draws, torch.full((30,), 1 / 3), rtol=0, atol=0.03)


def test_the_same_seed_gives_the_same_sample() -> None:
    positive = torch.arange(50)[None] < 20
    one, two, other = (
        sample(positive, ~positive, 20, 0.5, torch.Generator().manual_seed(seed)).tolist() for seed in (3, 3, 4)
    )
    assert one == two
    assert one != other
