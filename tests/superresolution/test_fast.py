from __future__ import annotations

import pytest
import torch
from torch import nn

from anyview.compute import machine
from anyview.superresolution import fast_wdsr
from anyview.superresolution.build import build
from anyview.superresolution.fast import best_dtype, fast
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.options import SCALES, Arch, NetworkOptions


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_wdsr, "_BAND", 24 * 13 * 3)  # three rows of the widest image below


def network(arch: Arch, scale: int) -> Upscaler:
    torch.manual_seed(0)
    made = build(NetworkOptions(arch, scale, 2, 8, 3, 0.5))
    for name, p in made.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(p, std=0.1)  # what zeros around maps make a difference to
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return made.eval()


@pytest.mark.parametrize("arch", ["edsr", "wdsr-a", "wdsr-b", "srresnet"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 3), (7, 20), (8, 8), (17, 13)])
def test_the_same_output(arch: Arch, scale: int, size: tuple[int, int]) -> None:
    plain = network(arch, scale)
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = plain(images)
        out = fast(plain, torch.float32)(images)
        assert torch.equal(plain(images), expected)  # it stays as it was
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("arch", ["edsr", "wdsr-a", "wdsr-b", "srresnet"])
def test_bfloat16_is_close(arch: Arch) -> None:
    plain = network(arch, 4)
    images = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        expected, out = plain(images), fast(plain, torch.bfloat16)(images)
    assert out.dtype == torch.float32
    span = max(float(expected.max() - expected.min()), 1.0)  # random weights leave [0, 1]
    assert float((out - expected).square().mean()) / span**2 < 1e-5  # 50 dB


def test_the_type_is_chosen_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(machine, "cpu_features", lambda there=there: ["AVX-512 bf16"] if there else [])
        assert best_dtype() == dtype
        weights = {m.weight.dtype for m in fast(network("wdsr-b", 2)).modules() if isinstance(m, nn.Conv2d)}
        assert weights == {dtype}
