"""A linear map that several processes train as one, and what is done to it in the tests of the loop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from anyview.errors import TrainingError
from anyview.progress import Progress
from anyview.training.group import current
from anyview.training.loop import GeneratorState, LoopOptions, Moment, Stateful, train
from anyview.training.watch import digest_weights

OPTIONS = LoopOptions(
    steps=12, log_every=3, validate_every=5, save_every_seconds=0, seed=3, device="cpu", devices=2, keep=20
)


def draw(generator: torch.Generator, own: torch.Generator) -> Tensor:
    """A batch: rows by the trainee's generator, noise by torch's own."""
    return torch.randn(6, 3, generator=generator) + 0.1 * torch.randn(6, 3, generator=own)


def loss_of(net: nn.Module, data: Tensor) -> Tensor:
    return (net(data) - data[:, :2].sin()).square().mean()


class Shared:
    """See `anyview.training.trainee.Trainee`; `after` is called when a step is done, with its number."""

    name = "shared"
    version = 1
    items = "rows"

    def __init__(self, after: Callable[[int], None] = lambda step: None) -> None:
        self.after, self.validated = after, 0
        self.loss: Callable[[int, Tensor], Tensor] = lambda step, loss: loss

    def setup(self, fabric: Fabric) -> None:
        self.group = current()
        net = nn.Linear(3, 2)
        self.net, self.adam = fabric.setup(net, torch.optim.Adam(net.parameters(), 0.1))
        self.generator = torch.Generator().manual_seed(self.group.seed(1))

    def state(self) -> dict[str, Stateful]:
        return {"net": self.net, "adam": self.adam, "generator": GeneratorState(self.generator)}

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        self.data = draw(self.generator, torch.default_generator)
        loss = self.loss(moment.step + 1, loss_of(self.net, self.data))
        self.adam.zero_grad()
        loss.backward()
        (found,) = self.group.average(self.net.parameters(), loss.detach()[None])
        self.adam.step()
        self.after(moment.step + 1)
        return {"loss": found, "items": 6.0 * self.group.size}

    def validate(self, moment: Moment) -> dict[str, float]:
        self.validated += 1
        return {"psnr": float(torch.randn((), generator=self.generator))}  # may draw, too

    def batch(self) -> dict[str, Tensor]:
        return {"data": self.data}


def refused(trainee: Shared, run: Path) -> str:
    try:
        train(trainee, run, OPTIONS, {})
    except TrainingError as error:
        return str(error)
    return ""


def scenario(progress: Progress, folder: Path) -> list[dict[str, Any]]:
    """Runs undisturbed, stopped and resumed, poisoned, grown apart, limited in time; what each process has seen."""
    rank, found = current().rank, {}
    whole = Shared()
    train(whole, folder / "whole", OPTIONS, {}, progress)
    found["digest"], found["validated"] = digest_weights(whole.state()), whole.validated

    stopped = Shared(lambda step: signal.raise_signal(signal.SIGINT) if step == 7 and rank == 0 else None)
    try:
        train(stopped, folder / "stopped", OPTIONS, {})
    except KeyboardInterrupt:
        found["stopped"] = True
    found["resumed"] = train(Shared(), folder / "stopped", OPTIONS, {}).step

    poisoned = Shared()
    poisoned.loss = lambda step, loss: loss * float("nan") if step == 4 and rank == 1 else loss
    found["poisoned"] = refused(poisoned, folder / "poisoned")

    def change(step: int) -> None:
        if step == 6 and rank == 1:
            nn.init.zeros_(apart.net.module.bias)

    apart = Shared(change)
    found["apart"] = refused(apart, folder / "apart")

    limit = replace(OPTIONS, steps=None, max_minutes=0.01, validate_every=10**6, save_every_seconds=1e9)
    limited = train(Shared(), folder / "limited", limit, {})
    found["limited"] = limited.step, limited.best is not None and limited.best.step
    return current().gathered(found)
