"""Backbones of the user's own, and torchvision's as one of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as Oracle
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone

from anyview.errors import OptionError
from anyview.segmentation import MaskRCNN, mask_rcnn_from_backbone
from anyview.segmentation.detector import Detector
from anyview.segmentation.fixed import FixedMaskRCNN
from anyview.segmentation.options import AnchorOptions
from anyview.segmentation.weights import load_body
from mask_rcnn_pair import CLASSES, KNOBS, OPTIONS, oracle, perturb, pictures, targets

SIZES = [(96, 128), (70, 101)]
THREE = AnchorOptions(sizes=((16.0, 24.0), (32.0, 48.0), (64.0, 96.0)), ratios=((0.5, 1.0, 2.0),) * 3)


class Tiny(nn.Module):
    """Three maps of strides 8, 16 and 32. The order of its layers is not the order in which they are listed."""

    def __init__(self, channels: int = 16, form: Callable[[list[Tensor]], Any] = list) -> None:
        super().__init__()
        self.stem, self.form = nn.Conv2d(3, channels, 8, 8), form
        self.second = nn.Conv2d(channels, channels, 3, 2, 1)
        self.norm = nn.BatchNorm2d(channels)  # of the stem
        self.third = nn.Sequential(nn.Conv2d(channels, channels, 3, 2, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))

    def forward(self, images: Tensor) -> Any:
        first = self.norm(self.stem(images)).relu()
        second = self.second(first)
        return self.form([first, second, self.third(second)])


def tiny(**given: Any) -> MaskRCNN:
    torch.manual_seed(0)
    return mask_rcnn_from_backbone(Tiny(**given), CLASSES, options=replace(OPTIONS, anchors=THREE))


def test_one_step_and_what_it_finds() -> None:
    model = tiny()
    assert model.options.channels == 16
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert int(before["backbone.norm.num_batches_tracked"]) == 0  # looking at its maps has left no trace
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    losses = model.train().losses(pictures(SIZES, 1), targets(SIZES, 2, [3, 2]), torch.Generator().manual_seed(0))
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    optimiser.step()
    weight = "backbone.stem.weight"
    assert not torch.equal(model.state_dict()[weight], before[weight])
    perturb(model)
    found = model.detect(pictures(SIZES, 3), masks="binary")
    assert all(len(f["boxes"]) >= 3 for f in found)
    assert [f["masks"].shape[1:] for f in found] == [(1, *size) for size in SIZES]


@torch.no_grad()
def test_made_ready_it_gives_the_same() -> None:
    """Its norms are not folded and its weights not packed: what follows what in it is not known."""
    model = tiny()
    perturb(model)
    images = pictures(SIZES, 3)
    detector = Detector(model, min_score=0.3, precision="float32", device="cpu")
    for found, wanted in zip(detector(images), model.detect(images, 0.3, "crops"), strict=True):
        assert len(wanted["labels"]) >= 2
        assert torch.equal(found["labels"], wanted["labels"])
        torch.testing.assert_close(found["boxes"], wanted["boxes"], rtol=0, atol=1e-3)
    reduced = Detector(model, min_score=0.3, precision="bf16", device="cpu")
    assert all(p.dtype == torch.float32 for p in reduced.model.backbone.parameters())
    assert all(len(found["labels"]) >= 1 for found in reduced(images))
    slots = FixedMaskRCNN(model)(torch.stack(pictures(SIZES[:1], 3)))
    assert int((slots["scores"] > 0).sum()) == len(model.detect(images[:1])[0]["labels"])


@torch.no_grad()
def test_every_form_of_maps() -> None:
    images, wanted = pictures(SIZES, 3), tiny()
    for form in (tuple, lambda maps: {str(i): m for i, m in enumerate(maps)}):
        model = tiny(form=form)
        for a, b in zip(model.eval().detect(images), wanted.eval().detect(images), strict=True):
            assert all(torch.equal(a[k], b[k]) for k in a)
    anchors = AnchorOptions(sizes=((32.0, 64.0),), ratios=((1.0,),))
    single = mask_rcnn_from_backbone(nn.Conv2d(3, 8, 16, 16), 2, options=replace(OPTIONS, anchors=anchors))
    assert len(single.eval()(images)) == 2
    assert isinstance(single, MaskRCNN)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["resnet", "mobilenet"])
def test_torchvision_s_backbones(kind: str) -> None:
    """The same state dict, the same results."""
    torch.manual_seed(0)
    options = OPTIONS
    if kind == "resnet":
        theirs = oracle("18")
    else:
        body = mobilenet_backbone(backbone_name="mobilenet_v3_small", weights=None, fpn=True, trainable_layers=6)
        theirs = perturb(
            Oracle(body, CLASSES, rpn_anchor_generator=AnchorGenerator(THREE.sizes, THREE.ratios), **KNOBS)
        )
        options = replace(OPTIONS, anchors=THREE)
    mine = mask_rcnn_from_backbone(deepcopy(theirs.backbone), options=options).eval()
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict())
    images = pictures(SIZES, seed=5)
    wanted, found = theirs(images), mine(images)
    assert isinstance(found, list)
    for a, b in zip(found, wanted, strict=True):
        assert len(b["boxes"]) >= 3
        assert torch.equal(a["labels"], b["labels"])
        for key in ("boxes", "scores", "masks"):
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-4)


class Gives(nn.Module):
    """What it is told to."""

    def __init__(self, shapes: list[tuple[int, int]] | None, out_channels: int | None = None) -> None:
        super().__init__()
        self.shapes = shapes
        if out_channels is not None:
            self.out_channels = out_channels

    def forward(self, images: Tensor) -> Any:
        if self.shapes is None:
            return None
        side = images.shape[-1]
        return [torch.zeros((1, channels, side // stride, side // stride)) for channels, stride in self.shapes]


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        (Gives(None), "the backbone gives no feature maps in backbone: expected a tensor, or a list"),
        (Gives([]), "the backbone gives no feature maps"),
        (Gives([(8, 8), (9, 16)]), "the backbone has maps of different channels"),
        (Gives([(8, 8), (8, 16)], 32), "which `out_channels` says if it is there"),
        (Gives([(8, 16), (8, 8)]), "the backbone has maps in the wrong order"),
        (Gives([(8, 6), (8, 12)]), "a stride that is no power of two"),
        (Gives([(8, 4), (8, 16), (8, 32)]), "leaves out a stride"),
        (Gives([(8, 4), (8, 8)]), "anchors do not fit the feature maps .*expected 2 tuples, one per level"),
    ],
)
def test_what_is_no_backbone(backbone: nn.Module, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        mask_rcnn_from_backbone(backbone)


def test_what_cannot_be_done_with_it() -> None:
    with pytest.raises(OptionError, match="region_maps: expected 1 to 3, found 4"):
        mask_rcnn_from_backbone(Tiny(), options=replace(OPTIONS, anchors=THREE), region_maps=4)
    with pytest.raises(OptionError, match="the model has a backbone of your own"):
        load_body(tiny())
