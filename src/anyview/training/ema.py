"""Exponential moving average of a module's weights (Polyak and Juditsky 1992): a = d a + (1 - d) w after each step.

Only parameters are averaged. Buffers (running statistics, tables) are copied as they are: their mean means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class EMA:
    """The average of a module's parameters; make it when the module is on its device.

    Args:
        module: the one that trains; not Fabric's wrapper around it.
        decay: d, 0 (no memory) to 1 (never changes).
        warmup: after n updates the decay is (1 + n) / (10 + n) where that is less, so that the first weights fade soon.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, warmup: bool = False) -> None:
        self._module, self.decay, self.warmup, self.updates = module, decay, warmup, 0
        self._averages = {name: _precise(p.detach()).clone() for name, p in module.named_parameters()}
        self._buffers = {name: b.detach().clone() for name, b in module.named_buffers()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights in; call it after each step of the optimiser."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        self.updates += 1
        for name, parameter in self._module.named_parameters():
            average = self._averages[name]
            average.lerp_(parameter.to(average.dtype), 1 - decay)
        for name, buffer in self._module.named_buffers():
            self._buffers[name].copy_(buffer)

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """The module, with the averaged weights and the copied buffers in it; after the context all is as it was."""
        live = dict(self._module.named_parameters()) | dict(self._module.named_buffers())
        before = {name: tensor.detach().clone() for name, tensor in live.items()}
        try:
            _copy(self._averages | self._buffers, live)
            yield self._module
        finally:
            _copy(before, live)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"updates": self.updates, "averages": dict(self._averages), "buffers": dict(self._buffers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            KeyError, RuntimeError: it is of another module.
        """
        for kind, ours in (("averages", self._averages), ("buffers", self._buffers)):
            if ours.keys() != state[kind].keys():
                raise KeyError(f"{kind} of other names: {', '.join(sorted(ours.keys() ^ state[kind].keys()))}")
            _copy(state[kind], ours)
        self.updates = int(state["updates"])


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    for name, tensor in into.items():
        if tensor.shape != values[name].shape:
            raise RuntimeError(f"{name}: {tuple(values[name].shape)} does not fit {tuple(tensor.shape)}")
        tensor.copy_(values[name])


def _precise(weights: Tensor) -> Tensor:
    """In 16 bits, 0.001 of a change is no change."""
    return weights if weights.dtype in (torch.float32, torch.float64) else weights.float()
