"""Learning rates against the formulas; which weights learn."""

from __future__ import annotations

import copy
import math
from typing import Literal

import pytest
import torch
from torch import nn

from anyview.errors import OptionError
from anyview.segmentation.optimiser import StepWeights, learning_rate, make_optimiser
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
    optimiser = make_optimiser(StepWeights(model), OptimiserOptions())
    taken = [p.data_ptr() for group in optimiser.param_groups for p in group["params"]]
    assert taken == [p.data_ptr() for p in model[1].parameters()]


def test_impossible() -> None:
    below_zero = ("batch", "rate", "clip", "drop", "ema")
    for wrong in (*({name: -1} for name in below_zero), {"ema": 1.0}, {"beta2": 1.0}, {"drops": (5.0,)}):
        with pytest.raises(OptionError, match=f"optimiser.{next(iter(wrong))}:"):
            OptimiserOptions(**wrong)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_steps_do_not_depend_on_how_weights_and_gradients_lie_in_memory(kind: Literal["sgd", "adamw"]) -> None:
    """Torch's unfused step in the usual order is the twin."""
    torch.manual_seed(3)
    start = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 5, 1), nn.Flatten(), nn.Linear(20, 3))
    model = copy.deepcopy(start).to(memory_format=torch.channels_last)
    weights = StepWeights(model)
    ours = make_optimiser(weights, OptimiserOptions(kind=kind, rate=0.1, weight_decay=0.01))
    theirs = (
        torch.optim.AdamW(start.parameters(), 0.1, weight_decay=0.01, fused=False)
        if kind == "adamw"
        else torch.optim.SGD(start.parameters(), 0.1, momentum=0.9, weight_decay=0.01, fused=False)
    )
    for number in range(4):
        for weight, twin in zip(model.parameters(), start.parameters(), strict=True):
            twin.grad = torch.randn_like(twin)
            lies = torch.channels_last if twin.ndim == 4 and number % 2 else torch.contiguous_format
            weight.grad = twin.grad.clone(memory_format=lies)
        weights.take_gradients()
        ours.step()
        theirs.step()
    for weight, twin in zip(model.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(weight, twin, rtol=0, atol=2e-7)  # found: 4.5e-8
