"""The compiled kernels against their torch forms: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyview.radiance.grid import compositing, encoding, network
from anyview.radiance.grid.compositing import Packed, harmonics
from anyview.radiance.grid.optimizer import TableAdam


@pytest.mark.parametrize("count", [0, 1, 777, 5000])
def test_encoding(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    levels = encoding.make_levels(5, 4, 200, 12)
    assert levels[:, 2].tolist() == [1, 1, 0, 0, 0]
    points = torch.rand((count, 3), generator=generator)
    if count > 10:
        points[0], points[1] = 0, 1  # corners of the cube
    widths = torch.rand(count, generator=generator) * 0.05
    table = torch.randn((encoding.table_size(levels), 2), generator=generator)
    given = torch.randn((count, 10), generator=generator)
    found = []
    for function in (encoding.encode, encoding.encode_with_torch):
        entries = table.clone().requires_grad_()
        features = function(points, widths, entries, levels)
        features.backward(given)
        found.append((features.detach(), entries.grad))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=2e-6)  # measured 7e-7
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, atol=1e-5)  # measured 3e-6: order of sums


def test_encoding_on_other_devices() -> None:
    """What is not float32 on a processor goes the way of other devices: its own gradient, against autograd's."""
    generator = torch.Generator().manual_seed(5)
    levels = encoding.make_levels(5, 4, 200, 12)
    points = torch.rand((300, 3), generator=generator, dtype=torch.float64)
    widths = torch.rand(300, generator=generator, dtype=torch.float64) * 0.05
    table = torch.randn((encoding.table_size(levels), 2), generator=generator, dtype=torch.float64)
    given = torch.randn((300, 10), generator=generator, dtype=torch.float64)
    found = []
    for function in (encoding.encode, encoding.encode_with_torch):
        entries = table.clone().requires_grad_()
        features = function(points, widths, entries, levels)
        features.backward(given)
        found.append((features.detach(), entries.grad))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-12)


def test_fading_is_close_to_zip_nerf_s() -> None:
    relative = torch.logspace(-3, 3, 2001, dtype=torch.float64)  # widths in cells
    ours = (1 + (2.5066283 * relative) ** 4) ** -0.25
    theirs = torch.erf(1 / (8 * relative**2).sqrt())
    assert float((ours - theirs).abs().max()) < 0.053
    assert float((ours / theirs)[-1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("count", "i", "h", "o"), [(1, 16, 64, 32), (1000, 16, 64, 32), (333, 12, 20, 13)])
def test_network(count: int, i: int, h: int, o: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((count, i), generator=generator)
    weights = [torch.randn(s, generator=generator) / s[0] ** 0.5 for s in ((i, h), (h, h), (h, o))]
    given = torch.randn((count, o), generator=generator)
    given[count // 3 : count // 2] = 0  # rows that are passed over
    found = []
    for function in (network.run_network, network.network_with_torch):
        inputs = [t.clone().requires_grad_() for t in (x, *weights)]
        y = function(*inputs)
        y.backward(given)
        found.append([y.detach(), *(t.grad for t in inputs)])
    for ours, twin in zip(*found, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-5, atol=2e-4)  # measured 3e-5 where 1000 samples are summed


def _packed(rays: int, generator: torch.Generator) -> Packed:
    counts = torch.randint(0, 12, (rays,), generator=generator)
    counts[3] = 0  # a ray that meets nothing
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    n = int(offsets[-1])
    middles = torch.rand(n, generator=generator) + 2
    lengths = torch.rand(rays, generator=generator) * 0.1 + 0.01
    for r in range(rays):
        part = middles[offsets[r] : offsets[r + 1]]
        part.copy_(part.sort().values)
    spans = torch.rand(rays, generator=generator) * 0.1
    order = torch.randperm(n, generator=generator)  # rows in no order at all
    rows = torch.empty(n).index_copy_(0, order, middles)
    return Packed(torch.rand((n, 3), generator=generator), torch.zeros(n), rows, order, offsets, spans, lengths)


@pytest.mark.parametrize("functions", [1, 4, 9])
def test_compositing(functions: int) -> None:
    generator = torch.Generator().manual_seed(2)
    packed = _packed(60, generator)
    directions = torch.nn.functional.normalize(torch.randn((60, 3), generator=generator), dim=-1)
    basis = harmonics(directions, functions)
    raw = torch.randn((len(packed.points), 32), generator=generator)
    raw[:, 0] += 0.5  # no ray is blocked
    given = torch.randn((60, 6), generator=generator)
    found = []
    for function in (compositing.blend, compositing.composite_with_torch):
        values = raw.clone().requires_grad_()
        result, densities = function(values, basis, packed)
        result.backward(given)
        assert not densities.requires_grad
        found.append((result.detach(), values.grad, densities))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-5)  # measured 1e-6
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)  # measured 2e-6
    torch.testing.assert_close(found[0][2], found[1][2], rtol=1e-5, atol=0)


def test_distortion_is_the_sum_over_pairs() -> None:
    """mip-NeRF 360, arXiv 2111.12077, equation 15."""
    generator = torch.Generator().manual_seed(6)
    packed = _packed(20, generator)
    raw = torch.randn((len(packed.points), 16), generator=generator)
    result, densities = compositing.composite_with_torch(raw, torch.ones((20, 1)), packed)
    for r in range(20):
        begin, end = packed.offsets[r : r + 2].tolist()
        rows, left, weights = packed.order[begin:end], 1.0, []
        middles = packed.middles[rows].double()
        for density in densities[rows].double():
            after = left * float(torch.exp(-density * packed.lengths[r]))
            weights.append(left - after)
            left = after
        w = torch.tensor(weights, dtype=torch.float64)
        pairs = (w[:, None] * w * (middles[:, None] - middles).abs()).sum() + (w**2).sum() * packed.spans[r] / 3
        assert float(result[r, 5]) == pytest.approx(float(pairs), abs=1e-6)


def test_blocked_rays_end() -> None:
    packed = Packed(
        torch.rand((4, 3)),
        torch.zeros(4),
        torch.ones(4),
        torch.arange(4),
        torch.tensor([0, 4]),
        torch.ones(1),
        torch.ones(1),
    )
    raw = torch.full((4, 16), 3.0).requires_grad_()
    result, densities = compositing.blend(raw, torch.ones((1, 1)), packed)
    assert densities.tolist() == pytest.approx([np.exp(3), -1, -1, -1])
    result.sum().backward()
    assert (raw.grad[1:] == 0).all()
    assert float(result[0, 3].detach()) == pytest.approx(1, abs=1e-4)


def test_harmonics_are_orthonormal() -> None:
    generator = torch.Generator().manual_seed(3)
    directions = torch.nn.functional.normalize(torch.randn((200_000, 3), generator=generator).double(), dim=-1)
    basis = harmonics(directions, 9)
    gram = 4 * torch.pi * basis.T @ basis / len(basis)
    torch.testing.assert_close(
        gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=0.02
    )  # Monte Carlo, measured 0.007


def test_table_adam() -> None:
    generator = torch.Generator().manual_seed(4)
    start = torch.randn((50, 2), generator=generator)
    fast, twin = start.clone().requires_grad_(), start.double().requires_grad_()
    usual = start.clone().requires_grad_()
    ours, slow = TableAdam([fast], 0.01), TableAdam([twin], 0.01)
    adam = torch.optim.Adam([usual], 0.01, (0.9, 0.99), 1e-15)
    for _ in range(5):
        grad = torch.randn((50, 2), generator=generator)
        grad[10:20] = 0
        fast.grad, twin.grad, usual.grad = grad, grad.double(), grad.clone()
        for optimizer in (ours, slow, adam):
            optimizer.step()
        assert not fast.grad.any()  # ready to be added to
        assert not twin.grad.any()
    torch.testing.assert_close(fast.double(), twin, rtol=0, atol=1e-6)
    assert torch.equal(fast[10:20], start[10:20])
    torch.testing.assert_close(fast[20:], usual[20:], rtol=0, atol=1e-6)
