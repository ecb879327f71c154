"""What the loop asks of that which it trains, and the states of random sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from lightning.fabric import Fabric
from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """Where in its training a run stands."""

    step: int
    """Steps that are done."""
    share: float
    """How much of the training is behind, 0 to 1, by steps or by time: for schedules."""


@runtime_checkable
class Stateful(Protocol):
    """Has a state that can be kept and taken up again: torch's modules and optimisers, `EMA`, `GeneratorState`, ..."""

    def state_dict(self) -> Mapping[str, Any]:
        """Nested dicts, lists and tuples of tensors, numbers, strings, None."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Go on from a state; its tensors are on the CPU."""
        ...


@runtime_checkable
class Trainee(Protocol):
    """A model with its optimisers and data.

    Where several processes train it (`anyview.training.group.current`), each has one: weights begin and stay the same,
    generators do not, and `step` averages gradients and losses.
    """

    name: str
    """Of the model; a checkpoint of another name or version is refused."""
    version: int
    items: str
    """What a step works on, in the plural: "rays", "images"."""

    def setup(self, fabric: Fabric) -> None:
        """Make modules, optimisers and generators on `fabric.device`; called once, before a state is loaded."""
        ...

    def state(self) -> Mapping[str, Stateful]:
        """Everything that a resumed run needs: modules (as such: their weights are looked at), optimisers, averages,
        generators, cursors into the data. After `setup` the same names always."""
        ...

    def step(self, moment: Moment) -> Mapping[str, Tensor | float]:
        """One step of optimisation. Scalars, the loss among them as "loss", which is that of all processes; "items" is
        how many of `items` were worked on by all."""
        ...

    def validate(self, moment: Moment) -> Mapping[str, float]:
        """Figures on what is not trained on; empty where there is nothing. Asked for of the first process alone."""
        ...

    def batch(self) -> Mapping[str, Tensor]:
        """What the last step was made of; written to a file when its loss is not finite."""
        ...


@runtime_checkable
class Illustrated(Protocol):
    """A trainee that can also show how far it has come."""

    def picture(self, moment: Moment) -> UInt8[np.ndarray, "H W 3"] | None:
        """What the present weights make of something that is not trained on; None where there is nothing. Asked for
        after `validate`, of the first process alone, so nothing random may be drawn."""
        ...


@runtime_checkable
class Exporting(Protocol):
    """A trainee that also writes its present weights for use without the run."""

    def export(self, moment: Moment, figures: Mapping[str, float], best: bool) -> None:
        """Asked for after each validation, when its checkpoint is written, of the first process alone.

        Args:
            moment: the present.
            figures: of the validation.
            best: whether no validation before was as good.
        """
        ...


class GeneratorState:
    """A generator's place in its sequence."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, Any]:
        """Device and state."""
        return {"device": self.generator.device.type, "state": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there; on another kind of device with a sequence that this state alone decides."""
        if state["device"] == self.generator.device.type:
            self.generator.set_state(state["state"])
        else:
            digest = hashlib.blake2b(state["state"].numpy().tobytes(), digest_size=7).digest()
            self.generator.manual_seed(int.from_bytes(digest, "little"))


def default_generators(device: torch.device) -> dict[str, GeneratorState]:
    """Torch's own sequences, which dropout and the like draw from: the CPU's, and the GPU's where it trains."""
    found = {"cpu": GeneratorState(torch.default_generator)}
    if device.type == "cuda":
        torch.cuda.init()
        found["cuda"] = GeneratorState(torch.cuda.default_generators[device.index or 0])
    return found
