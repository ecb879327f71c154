"""A detector gives what its model gives."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from anyview.errors import OptionError
from anyview.segmentation.detector import Detector
from anyview.segmentation.mask_rcnn import Found
from anyview.segmentation.network.packed import PackedConv, packable
from mask_rcnn_pair import pair, pictures


def matched(found: Found, wanted: Found) -> list[tuple[int, int, float]]:
    """For each wanted object the found one of its class that overlaps it most, and by how much (IoU)."""
    overlap = box_iou(wanted["boxes"], found["boxes"]) * (wanted["labels"][:, None] == found["labels"])
    best = overlap.max(1)
    return [(i, int(k), float(v)) for i, (v, k) in enumerate(zip(best.values, best.indices, strict=True))]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["18", "18 frozen"])
def test_the_same_in_float32(kind: str) -> None:
    _, model = pair(kind)
    images = pictures([(96, 128), (128, 96)], seed=21)
    detector = Detector(model, min_score=0.35, precision="float32", device="cpu")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in detector.model.modules())
    for found, wanted in zip(detector(images), model.detect(images, 0.35, "crops"), strict=True):
        assert len(wanted["labels"]) >= 2
        assert torch.equal(found["labels"], wanted["labels"])
        torch.testing.assert_close(found["boxes"], wanted["boxes"], rtol=0, atol=1e-3)
        torch.testing.assert_close(found["scores"], wanted["scores"], rtol=0, atol=1e-4)
        for i in range(len(wanted["labels"])):
            assert int((found["masks"].full(i) ^ wanted["masks"].full(i)).sum()) <= 5


@torch.no_grad()
def test_bfloat16_is_near() -> None:
    """Of a random model, whose decisions lie close together; a trained one's are far apart."""
    _, model = pair("18")
    images = pictures([(96, 128)], seed=21)
    (found,) = Detector(model, min_score=0.3, precision="bf16", device="cpu")(images)
    (wanted,) = model.detect(images, 0.45, "crops")
    pairs = matched(found, wanted)
    assert len(pairs) >= 5
    same = [(i, k) for i, k, overlap in pairs if overlap > 0.9]
    assert len(same) >= len(pairs) - 1  # measured: 0.93 and more, but for one that NMS lets go
    assert max(abs(float(wanted["scores"][i] - found["scores"][k])) for i, k in same) < 0.06  # measured: 0.028
    assert [found[key].dtype for key in ("boxes", "scores")] == [torch.float32] * 2


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_weights_are_packed_in_bfloat16_only(precision: Literal["float32", "bf16"]) -> None:
    """Measured: in float32 it is slower."""
    detector = Detector(pair("18")[1], precision=precision, device="cpu")
    packed = any(isinstance(module, PackedConv) for module in detector.model.modules())
    assert packed == (precision == "bf16" and packable(torch.bfloat16))


@torch.no_grad()
def test_bytes_are_floats() -> None:
    _, model = pair("18")
    detector = Detector(model, min_score=0.3, precision="float32", device="cpu")
    (image,) = pictures([(96, 128)], seed=22)
    whole = (image * 255).round().to(torch.uint8)
    (a,), (b,) = detector([whole]), detector([whole.float() / 255])
    assert len(a["labels"]) >= 2
    assert torch.equal(a["boxes"], b["boxes"])


@torch.no_grad()
def test_results_for_another_size() -> None:
    """Of a reduced copy, in pixels of the original: the same as scaling afterwards."""
    _, model = pair("18")
    detector = Detector(model, min_score=0.3, precision="float32", device="cpu")
    images = pictures([(96, 128)], seed=22)
    (small,), (large,) = detector(images), detector(images, [(192, 256)])
    torch.testing.assert_close(large["boxes"], 2 * small["boxes"], rtol=0, atol=1e-4)
    assert large["masks"].size == (192, 256)
    for i in range(len(small["labels"])):
        # pixels of random masks say nothing of their neighbours, those of solid ones would: the crops' places are left
        (top, left), crop = large["masks"].corners[i], large["masks"].crops[i]
        x0, y0, x1, y1 = small["boxes"][i].tolist()
        rim = 1 + max(x1 - x0, y1 - y0) / 28
        assert abs(top - max(2 * y0, 0)) <= 2 * rim
        assert abs(left - max(2 * x0, 0)) <= 2 * rim
        assert abs(top + crop.shape[0] - min(2 * y1, 192)) <= 2 * rim
        assert abs(left + crop.shape[1] - min(2 * x1, 256)) <= 2 * rim


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_no_such_device() -> None:
    with pytest.raises(OptionError, match="--device"):
        Detector(pair("18")[1], device="cuda")
