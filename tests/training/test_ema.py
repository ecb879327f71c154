"""Averages against the recurrence in plain Python, and that the module is never changed by them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anyview.training.ema import EMA


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("table", torch.zeros(2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x))


def train(net: Net, seed: int) -> None:
    """As a step of training would: all parameters and buffers move."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    net(torch.randn(8, 3, generator=g))
    net.table += 1


@pytest.mark.parametrize("warmup", [False, True])
def test_parameters_follow_the_recurrence_and_buffers_are_copied(warmup: bool) -> None:
    net = Net()
    ema = EMA(net, 0.9, warmup)
    wanted = {name: p.detach().double() for name, p in net.named_parameters()}
    for n in range(30):
        train(net, n)
        ema.update()
        decay = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
        wanted = {name: decay * wanted[name] + (1 - decay) * p.detach().double() for name, p in net.named_parameters()}
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    with ema.applied() as averaged:
        assert averaged is net
        for name, p in net.named_parameters():
            assert torch.allclose(p.double(), wanted[name], rtol=1e-5, atol=1e-6)
        for name, b in net.named_buffers():
            assert torch.equal(b, buffers[name])
    assert buffers["table"].tolist() == [30, 30]


def test_the_first_weights_fade_soon_with_warm_up() -> None:
    found = []
    for warmup in (False, True):
        layer = nn.Linear(1, 1)
        nn.init.constant_(layer.weight, 100.0)
        ema = EMA(layer, 0.999, warmup)
        nn.init.constant_(layer.weight, 1.0)
        for _ in range(50):
            ema.update()
        with ema.applied():
            found.append(layer.weight.item())
    assert found[0] > 90
    assert found[1] < 1.1


def test_the_context_puts_everything_back_after_an_error_too() -> None:
    net = Net()
    ema = EMA(net, 0.5)
    train(net, 0)
    ema.update()
    train(net, 1)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError, match="inside"), ema.applied():  # noqa: PT012
        assert not torch.equal(net.layer.weight, before["layer.weight"])
        assert net.norm.num_batches_tracked == 1  # as it was at the last update
        net(torch.rand(4, 3))  # moves the running statistics
        raise RuntimeError("inside")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_resumed_average_goes_on_as_if_nothing_had_been() -> None:
    net = Net()
    whole = EMA(net, 0.9, warmup=True)
    for n in range(5):
        train(net, n)
        whole.update()
    other = EMA(Net(), 0.9, warmup=True)
    other.load_state_dict(copy.deepcopy(whole.state_dict()))
    other._module = net
    train(net, 9)
    whole.update()
    other.update()
    assert other.updates == whole.updates == 6
    for name, average in whole.state_dict()["averages"].items():
        assert torch.equal(average, other.state_dict()["averages"][name])


def test_sixteen_bits_do_not_swallow_small_changes() -> None:
    layer = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    nn.init.constant_(layer.weight, 1.0)
    ema = EMA(layer, 0.999)
    nn.init.constant_(layer.weight, 2.0)
    for _ in range(1000):
        ema.update()
    with ema.applied():
        assert layer.weight.item() == pytest.approx(2 - 0.999**1000, abs=0.01)
        assert layer.weight.dtype == torch.bfloat16


def test_a_state_of_another_module_is_refused() -> None:
    state = EMA(nn.Linear(2, 3)).state_dict()
    with pytest.raises(KeyError, match=r"averages of other names: .*norm"):
        EMA(Net()).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"weight: \(3, 2\) does not fit \(3, 4\)"):
        EMA(nn.Linear(4, 3)).load_state_dict(state)
