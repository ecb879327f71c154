"""Many groups at once, against the definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from anyview.segmentation.network.suppression import _at_once, _group_by_group, best, suppress


def brute_force(boxes: Tensor, scores: Tensor, valid: Tensor, groups: list[int], threshold: float) -> Tensor:
    """Box by box, best first: it stays unless one that stays overlaps it."""
    keep = torch.zeros_like(valid)
    group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    overlap = box_iou(boxes, boxes)
    for i in scores.sort(descending=True, stable=True).indices.tolist():
        rivals = keep & (group == group[i])
        keep[i] = bool(valid[i]) and not bool((overlap[i][rivals] > threshold).any())
    return keep


@pytest.mark.parametrize("way", [suppress, _group_by_group, _at_once])
@pytest.mark.parametrize("groups", [[40], [7, 0, 20, 13]])
def test_definition(groups: list[int], way: Callable[..., Tensor]) -> None:
    g = torch.Generator().manual_seed(len(groups))
    corner = torch.rand((3, 40, 2), generator=g) * 20
    boxes = torch.cat([corner, corner + 5 + 10 * torch.rand((3, 40, 2), generator=g)], 2)
    scores = torch.rand((3, 40), generator=g)
    scores[:, 5:9] = 0.5  # equal ones: the first wins
    valid = torch.rand((3, 40), generator=g) > 0.2
    found = way(boxes, scores, valid, groups, 0.4)
    wanted = torch.stack([brute_force(*row, groups, 0.4) for row in zip(boxes, scores, valid, strict=True)])
    assert torch.equal(found, wanted)
    assert 3 < int(found.sum()) < int(valid.sum()) - 3


def test_nothing_valid_and_nothing_at_all() -> None:
    assert not suppress(torch.zeros(2, 3, 4), torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool), [3], 0.5).any()
    assert suppress(torch.zeros(2, 0, 4), torch.ones(2, 0), torch.zeros(2, 0, dtype=torch.bool), [0], 0.5).shape == (
        2,
        0,
    )


def test_best() -> None:
    scores = torch.tensor([[0.1, 0.7, 0.7, 0.9], [0.2, 0.3, 0.4, 0.5]])
    keep = torch.tensor([[True, True, True, False], [False, False, True, False]])
    index, valid, ranked = best(scores, keep, 2)
    assert index[0].tolist() == [1, 2]
    assert index[1, 0] == 2
    assert valid.tolist() == [[True, True], [True, False]]
    torch.testing.assert_close(ranked, torch.tensor([[0.7, 0.7], [0.4, 0.0]]))


def test_the_operator_tells_a_compiler_its_shape() -> None:
    torch.library.opcheck(
        torch.ops.anyview.suppress.default,
        (torch.rand(2, 5, 4), torch.rand(2, 5), torch.ones(2, 5, dtype=torch.bool), [2, 3], 0.5),
        test_utils=("test_schema", "test_faketensor"),
    )
