"""Learning rates against the formulas; which weights learn."""

from __future__ import annotations

import copy
import math
from typing import Literal

import pytest
import torch
from torch import nn

from anyview.errors import OptionError
from anyview.segmentation.optimiser import learning_rate, make_optimiser
from anyview.segmentation.train_options import OptimiserOptions


def test_drops_and_the_batch() -> None:
    options = OptimiserOptions(batch=8, rate=0.02, warmup_steps=0)
    rates = [learning_rate(options, 1000, share) for share in (0.3, 0.7, 0.9)]
    assert rates == pytest.approx([0.01, 0.001, 0.0001])
    assert learning_rate(OptimiserOptions(kind="adamw", batch=8, rate=1e-4), 5000, 0.5) == pytest.approx(1e-4)


def test_half_a_wave() -> None:
    options = OptimiserOptions(batch=16, schedule="cosine", last_rate=0.1, warmup_steps=0)
    rates = [learning_rate(options, 500, share) for share in (0.0, 0.25, 0.5, 1.0)]
    wanted = [0.02, 0.02 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2), 0.02 * 0.55, 0.002]
    assert rates == pytest.approx(wanted)


def test_warm_up() -> None:
    options = OptimiserOptions(batch=16, warmup_steps=100)
    assert learning_rate(options, 0, 0.0) == pytest.approx(0.02 * 1e-3)
    assert learning_rate(options, 50, 0.01) == pytest.approx(0.02 * 0.5005)
    assert learning_rate(options, 20, 0.1) == pytest.approx(0.02)  # never more than a tenth


def test_frozen_weights_stay_out() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimiser = make_optimiser(model, OptimiserOptions())
    assert [id(p) for g in optimiser.param_groups for p in g["params"]] == [id(p) for p in model[1].parameters()]
    assert isinstance(make_optimiser(model, OptimiserOptions(kind="adamw")), torch.optim.AdamW)


def test_impossible() -> None:
    for wrong in ({"batch": 0}, {"rate": 0.0}, {"ema": 1.0}, {"clip": -1.0}):
        with pytest.raises(OptionError, match=f"optimiser.{next(iter(wrong))}"):
            OptimiserOptions(**wrong)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_step_does_not_depend_on_how_a_checkpoint_lies_in_memory(kind: Literal["sgd", "adamw"]) -> None:
    def fresh() -> tuple[nn.Conv2d, torch.optim.Optimizer]:
        conv = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
        return conv, make_optimiser(conv, OptimiserOptions(kind=kind, rate=0.1))

    def step(conv: nn.Conv2d, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        conv(torch.linspace(-1, 1, 4 * 25).reshape(1, 4, 5, 5)).square().sum().backward()
        optimiser.step()

    conv, optimiser = fresh()
    step(conv, optimiser)
    again, loaded = fresh()
    again.load_state_dict(conv.state_dict())
    state = copy.deepcopy(optimiser.state_dict())
    for averages in state["state"].values():
        averages.update({k: v.contiguous() for k, v in averages.items() if isinstance(v, torch.Tensor)})
    loaded.load_state_dict(state)
    step(conv, optimiser)
    step(again, loaded)
    assert torch.equal(conv.weight, again.weight)
