"""Several processes that train one model, each on its own part of a batch: what they do together.

All hold the same weights. A step's gradients are averaged over the processes, so N of them with batches of B learn what
one learns with N B, but for the order of sums. The first process decides, validates and writes; the others follow. With
one process nothing here does anything. `anyview.training.several` starts the processes.

Letters: N processes. What is called "together" must be called by all of them, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")

_MEET = timedelta(minutes=5)  # the others are there when the first begins to wait
_WAIT = timedelta(days=30)  # for the first process: it may validate for hours; one that dies is noticed at once
_LARGE = 1 << 16  # numbers in a gradient that travels by itself


class Group:
    """This process's place among those that train together.

    Args:
        rank: of this process, 0 for the first.
        size: N.
        port: of the first process's store, by which they find each other.
        meet: called before that: the first process waits for the others, they tell that they have come.
    """

    def __init__(self, rank: int = 0, size: int = 1, port: int = 0, meet: Callable[[], None] = lambda: None) -> None:
        self.rank, self.size, self._port, self._meet = rank, size, port, meet
        self._joined = False
        self._data: Any = None  # of tensors on GPUs; everything else goes from processor to processor

    @property
    def is_first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """The start of this process's own random sequences; the first one has the seed itself."""
        if self.is_first:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint32)[0])

    def join(self, device: torch.device) -> None:
        """Together: connect, for tensors on this kind of device too; again it does nothing."""
        if self.size == 1 or self._joined:
            return
        self._meet()
        store = dist.TCPStore("127.0.0.1", self._port, timeout=_MEET)  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=self.rank, world_size=self.size, timeout=_WAIT)
        self._joined = True
        if device.type == "cuda":
            self._data = dist.new_group(backend="nccl")

    def leave(self) -> None:
        """Close the connections."""
        if self._joined:
            dist.destroy_process_group()
        self._joined, self._data = False, None

    def agreed(self, value: T) -> T:
        """Together: the first process's value, which can be pickled."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def gathered(self, value: T) -> list[T]:
        """Together: the values of all processes by rank; they can be pickled."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """Together: whether it is so in any process."""
        if self.size == 1:
            return flag
        found = torch.tensor(int(flag))
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def wait(self) -> None:
        """Together: until all are here."""
        self.any(False)

    def joined(self, *columns: Float[Tensor, "R ..."]) -> tuple[Tensor, ...]:
        """Together: the rows of all processes by rank; how many each has (R) may differ.

        Args:
            columns: (R, K) or (R,), on the device that was joined.
        """
        if self.size == 1:
            return columns
        widths = [int(np.prod(column.shape[1:])) for column in columns]
        rows = torch.cat([column.reshape(len(column), k) for column, k in zip(columns, widths, strict=True)], 1)
        counts = self.gathered(len(rows))
        padded = rows.new_zeros((max(counts), rows.shape[1]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=self._data)
        whole = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
        return tuple(
            one.reshape(len(whole), *column.shape[1:]).contiguous()
            for one, column in zip(whole.split(widths, 1), columns, strict=True)
        )

    @torch.no_grad()
    def average(
        self, parameters: Iterable[Tensor], scalars: Float[Tensor, "S"], weight: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, "S"]:
        """Together: put the mean over the processes in the place of each gradient; the means of some scalars.

        Where one process has no gradient for a parameter and another has, that counts as zeros.

        Args:
            parameters: on the device that was joined.
            scalars: there too, such as the loss.
            weight: of this process in all these means, such as the sum of its pixels' weights; by default all have
                the same.
        """
        if self.size == 1:
            return scalars
        parameters = list(parameters)
        own = torch.ones_like(scalars[0]) if weight is None else weight.to(scalars).clone()
        total = own.clone()
        dist.all_reduce(total, group=self._data)
        share = own / total.clamp_min(1e-12)
        there = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
        dist.all_reduce(there, dist.ReduceOp.MAX)
        small = []
        for parameter in (p for p, one in zip(parameters, there.tolist(), strict=True) if one):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.mul_(share)
            if parameter.numel() < _LARGE:
                small.append(parameter.grad)
                continue
            whole = parameter.grad.contiguous()  # a copy only where it lies otherwise, as with channels last
            dist.all_reduce(whole, group=self._data)
            if whole is not parameter.grad:
                parameter.grad.copy_(whole)
        flat = torch.cat([part.reshape(-1) for part in (scalars * share, *small)])
        dist.all_reduce(flat, group=self._data)
        means, *rest = flat.split([len(scalars), *(part.numel() for part in small)])
        for part, mean in zip(small, rest, strict=True):
            part.copy_(mean.view_as(part))
        return means


ALONE = Group()

_current: ContextVar[Group] = ContextVar("group", default=ALONE)


def current() -> Group:
    """The group that this process trains in."""
    return _current.get()


def enter(group: Group) -> Callable[[], None]:
    """Let `current` be this group; what is returned takes it back."""
    token = _current.set(group)
    return lambda: _current.reset(token)
