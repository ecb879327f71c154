"""Looks out for a loss, or weights, that are no longer finite.

On a GPU looking at a number means to wait for it. There each loss only leaves a mark on the device, which is read when
the run stops to look anyway: for its log, a validation, a checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

_NEVER = 2**62


class LossWatch:
    """The first step whose loss is not finite."""

    def __init__(self) -> None:
        self._first: int = _NEVER
        self._mark: Tensor | None = None

    def see(self, step: int, loss: Tensor | float) -> bool:
        """Take a step's loss in; whether it is known now, without waiting for a device, that one was not finite."""
        if isinstance(loss, Tensor) and loss.device.type != "cpu":
            self._see_later(step, loss)
        elif not isfinite(float(loss)):
            self._first = min(self._first, step)
        return self._first < _NEVER

    def first(self) -> int | None:
        """The first step whose loss was not finite, or None; waits for the device."""
        marked = _NEVER if self._mark is None else int(self._mark)
        first = min(self._first, marked)
        return first if first < _NEVER else None

    def _see_later(self, step: int, loss: Tensor) -> None:
        finite = torch.isfinite(loss.detach()).all()
        mark = torch.where(finite, _NEVER, step)
        self._mark = mark if self._mark is None else torch.minimum(self._mark, mark)


def bad_weights(parts: Mapping[str, Any]) -> str | None:
    """The first parameter of the modules among `parts` that is not finite everywhere, or None."""
    named = [(name, torch.isfinite(value).all()) for name, value in _weights(parts)]
    if not named or all(torch.stack([finite.cpu() for _, finite in named]).tolist()):
        return None
    return next(name for name, finite in named if not finite)


def digest_weights(parts: Mapping[str, Any]) -> str:
    """A short digest of the parameters of the modules among `parts`."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in _weights(parts):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _weights(parts: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for part, module in parts.items():
        if isinstance(module, nn.Module):
            for name, parameter in module.named_parameters():
                yield f"{part}.{name}", parameter.detach()
