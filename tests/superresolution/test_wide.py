"""The block of WDSR-B that learns in the cache: values and gradients of the plain one."""

from __future__ import annotations

import pytest
import torch

from anyview.superresolution import edsr, wdsr_b
from anyview.superresolution.network import wdsr, wide


def _learnt(dtype: torch.dtype, plain: bool, patch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The output and all gradients of a network of two blocks, in float32 or under autocast."""
    torch.manual_seed(3)
    network = wdsr_b(2, num_blocks=2, num_features=20, expansion=3)
    for parameter in network.parameters():  # biases, too, are not zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    patch.setattr(
        wide, "_BYTES", 50 * 60 * dtype.itemsize
    )  # 2 x 7 x 9 pixels come in parts of which the last is smaller
    if plain:
        patch.setattr(wdsr, "_learns_on_a_processor", lambda x: False)
    images = torch.rand(2, 3, 7, 9).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = network(images)
    (output.float() * torch.rand(output.shape)).sum().backward()
    found = {"output": output.detach().float(), "images": images.grad}
    found |= {name: parameter.grad for name, parameter in network.named_parameters()}
    patch.undo()
    assert all(tensor is not None and tensor.dtype == torch.float32 for tensor in found.values())
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
def test_it_is_the_plain_block(dtype: torch.dtype, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    found, wanted = (_learnt(dtype, plain, monkeypatch) for plain in (False, True))
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name] - tensor).norm() <= least * tensor.norm(), name


def test_in_bfloat16_it_is_as_precise_as_the_plain_block(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = _learnt(torch.float32, True, monkeypatch)

    def off(found: dict[str, torch.Tensor]) -> float:
        return sum(float((found[name] - exact[name]).norm() / exact[name].norm()) for name in exact)

    own, plain = (off(_learnt(torch.bfloat16, way, monkeypatch)) for way in (False, True))
    assert own < 1.2 * plain


def test_it_counts_a_residual_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    network = wdsr_b(2, num_blocks=1, num_features=8, residual_scaling=0.5)
    images = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        wanted = network(images)
    torch.testing.assert_close(network(images), wanted)


@pytest.mark.parametrize("scale", [2, 3])
def test_the_quick_shuffle_is_the_plain_one(scale: int) -> None:
    network, images = edsr(scale, num_blocks=1, num_features=8), torch.rand(2, 3, 5, 6)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        own = images.to(memory_format=order, copy=True).requires_grad_()
        output = network(own)
        output.square().sum().backward()
        found.append([output, own.grad, *(parameter.grad for parameter in network.parameters())])
        network.zero_grad()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one)
