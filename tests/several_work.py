"""What is called in several processes at once by the tests of `anyview.training.several`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anyview.errors import SceneError
from anyview.progress import Progress
from anyview.training.group import Group, current


def joined_group() -> Group:
    group = current()
    group.join(torch.device("cpu"))
    return group


def parameters(rank: int) -> list[torch.nn.Parameter]:
    """Small, large, with columns last, without a gradient in the first process, without one in any."""
    generator = torch.Generator().manual_seed(rank)
    made = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((3,), (300, 300), (4, 5), (2,), (2,))]
    for parameter in made[:4]:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    made[2].grad = torch.randn((5, 4), generator=generator).t()
    if rank == 0:
        made[3].grad = None
    return made


def weight(rank: int) -> Tensor:
    return torch.tensor(2.0 + 3 * rank)


def together(progress: Progress, words: str) -> dict[str, Any]:
    """One of everything that a group does."""
    progress.note(words)
    group = joined_group()
    rank, found = group.rank, parameters(group.rank)
    scalars = group.average(found, torch.tensor([1.0 + rank, 5.0]), weight(rank))
    plain = [torch.nn.Parameter(torch.zeros(1))]
    plain[0].grad = torch.tensor([float(rank)])
    rows, more = torch.arange(6.0).view(3, 2)[: 1 + 2 * rank] + 10 * rank, torch.full((1 + 2 * rank,), float(rank))
    results = {
        "rank": rank,
        "scalars": scalars,
        "gradients": [parameter.grad for parameter in found],
        "equal weights": (group.average(plain, torch.tensor([4.0 * rank])), plain[0].grad),
        "joined": group.joined(rows, more),
        "nothing": group.joined(rows[:0], more[:0])[0].shape,
        "agreed": group.agreed(f"by {rank}"),
        "any": (group.any(rank == 1), group.any(False)),
        "seed": (group.seed(7), group.seed(8)),
        "threads": torch.get_num_threads(),
    }
    group.wait()
    return {"all": group.gathered(results), "process": os.getpid()}


def fails(progress: Progress, when: str) -> None:
    """The second process fails; the first would wait for it for ever."""
    group = current()
    if group.rank == 1 and when == "before they meet":
        raise SceneError("no views", where="here")
    joined_group()
    if group.rank == 1:
        if when == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if when == "a defect":
            raise ZeroDivisionError("of ours")
    group.wait()


class Stop(Exception):
    """Not of the family."""


def stop() -> None:
    raise Stop


def first_fails(progress: Progress, folder: Path) -> None:
    """While the second waits."""
    group = joined_group()
    (folder / str(group.rank)).write_text(str(os.getpid()))
    group.wait()
    if group.is_first:
        stop()
    group.wait()
