"""A trainee with all that can go wrong on a resume: two optimisers, dropout, an average, a generator, a cursor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from anyview.training.ema import EMA
from anyview.training.loop import GeneratorState, Moment, Stateful


def same(a: Any, b: Any) -> bool:
    """Type by type and bit by bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        x, y = (t.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8) for t in (a, b))
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(x, y)
    if isinstance(a, dict):
        return all(type(x) is type(y) for x, y in zip(a, b, strict=True)) and all(
            x == y and same(a[x], b[x]) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


class Cursor:
    """A place in the data."""

    def __init__(self) -> None:
        self.place = 0

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.place = state["place"]


class Small:
    """Two tiny networks that learn against each other; `after` is called when a step is done, with its number."""

    name = "small"
    version = 1
    items = "rows"

    def __init__(self, after: Callable[[int], None] = lambda step: None, width: int = 4) -> None:
        self.after, self.width = after, width
        self.moments: list[Moment] = []
        self.validated: list[Moment] = []
        self.setups = 0
        self.figures: Callable[[Moment], Mapping[str, float]] = lambda moment: {"psnr": self.distance()}
        self.loss = lambda step, loss: loss

    def setup(self, fabric: Fabric) -> None:
        self.setups += 1
        self.net = nn.Sequential(nn.Linear(3, self.width), nn.Dropout(0.3), nn.BatchNorm1d(self.width))
        self.critic = nn.Linear(self.width, 1)
        self.net, self.adam = fabric.setup(self.net, torch.optim.Adam(self.net.parameters(), lr=0.01))
        self.critic, self.sgd = fabric.setup(self.critic, torch.optim.SGD(self.critic.parameters(), 0.01, momentum=0.9))
        self.average = EMA(self.net.module, 0.9, warmup=True)
        self.generator = torch.Generator().manual_seed(1)
        self.cursor = Cursor()

    def state(self) -> dict[str, Stateful]:
        return {
            "net": self.net, "critic": self.critic, "adam": self.adam, "sgd": self.sgd, "average": self.average,
            "generator": GeneratorState(self.generator), "cursor": self.cursor,
        }  # fmt: skip

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        self.moments.append(moment)
        self.cursor.place += 1
        self.data = torch.randn(6, 3, generator=self.generator) + self.cursor.place % 3
        for group in self.adam.param_groups:
            group["lr"] = 0.01 * (1 - moment.share)
        loss = self.critic(self.net(self.data)).square().mean()
        self.adam.zero_grad()
        self.sgd.zero_grad()
        loss.backward()
        self.adam.step()
        self.sgd.step()
        self.average.update()
        self.after(moment.step + 1)
        return {"loss": self.loss(moment.step + 1, loss.detach()), "items": 6, "lr": 0.01 * (1 - moment.share)}

    def validate(self, moment: Moment) -> Mapping[str, float]:
        self.validated.append(moment)
        return self.figures(moment)

    def distance(self) -> float:
        with self.average.applied():
            noise = torch.randn(5, 3, generator=self.generator)  # validation may draw too
            return self.net(noise).mean().item()

    def batch(self) -> dict[str, Tensor]:
        return {"data": self.data}


class Illustrating(Small):
    """One that shows its steps as grey."""

    def picture(self, moment: Moment) -> np.ndarray | None:
        return np.full((2, 3, 3), moment.step, np.uint8)


class Killed(BaseException):
    """As kill -9: nothing is written on the way out."""


def at(step: int, what: Callable[[], None]) -> Callable[[int], None]:
    return lambda now: what() if now == step else None


def kill() -> None:
    raise Killed


class Notes:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stages: list[tuple[str, int]] = []
        self.done = 0

    def stage(self, name: str, total: int) -> Any:
        self.stages.append((name, total))

        def advance(steps: int = 1) -> None:
            self.done += steps

        return nullcontext(advance)

    def note(self, message: str) -> None:
        self.said.append(message)
