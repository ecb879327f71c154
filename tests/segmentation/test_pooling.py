"""RoIAlign on a pyramid, against torchvision's."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torchvision.ops import MultiScaleRoIAlign

from anyview.segmentation.network.pooling import STRIDES, levels, pool

MAPS = [torch.randn((2, 5, 64 // k, 96 // k), generator=torch.Generator().manual_seed(k)) for k in (1, 2, 4, 8)]


def regions() -> torch.Tensor:
    g = torch.Generator().manual_seed(9)
    side = torch.tensor([20.0, 110, 120, 200, 240, 440, 460])
    corner = torch.rand((7, 2), generator=g) * 40
    image = torch.tensor([0.0, 0, 0, 0, 1, 1, 1])
    return torch.cat([image[:, None], corner, corner + side[:, None] * torch.tensor([0.8, 1.25])], 1)


def test_torchvision() -> None:
    found = regions()
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    boxes = [found[found[:, 0] == i, 1:] for i in range(2)]
    wanted = theirs(OrderedDict((str(i), m) for i, m in enumerate(MAPS)), boxes, [(256, 384)] * 2)
    assert torch.equal(pool(MAPS, found, 7), wanted)
    assert levels(found).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_no_regions() -> None:
    assert pool(MAPS, torch.zeros(0, 5), 14).shape == (0, 5, 14, 14)


def test_the_operator_for_compilers_is_the_same() -> None:
    assert torch.equal(torch.ops.anyview.pool_pyramid(MAPS, regions(), 7, STRIDES), pool(MAPS, regions(), 7))
    torch.library.opcheck(
        torch.ops.anyview.pool_pyramid.default,
        (MAPS, regions(), 7, STRIDES),
        test_utils=("test_schema", "test_faketensor"),
    )
