"""Which samples a step of mip-NeRF works on, in which shares, and in which memory."""

from __future__ import annotations

from threading import Lock

import numpy as np
from jaxtyping import Float
from torch import Tensor

_LOST = 1e-6  # share of the gradient that may go without a backward pass: about what rounding to float32 takes anyway
_FEW = 0.25  # samples that must be spared so that it pays to gather the others


def telling(size: Float[Tensor, "N"]) -> np.ndarray | None:
    """The samples that make up all of the gradient but a millionth, in order; None where those are most, or unknown.

    Args:
        size: of each sample's gradient.
    """
    ordered, order = size.sort(stable=True)
    sums = ordered.double().cumsum(0)
    if not len(sums) or not sums[-1].isfinite():  # a gradient that has lost its way must be seen as it is
        return None
    lost = int((sums <= _LOST * sums[-1]).sum())
    return order[lost:].sort().values.numpy() if lost > _FEW * len(size) else None


def shares(items: int, most: int) -> list[tuple[int, int]]:
    """First and last of each share of the work: from its size alone, so that sums do not depend on threads."""
    step = min(most, max(4, items // 16))
    return [(first, min(first + step, items)) for first in range(0, items, step)]


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers, in rows."""
    return tensor.detach().contiguous().numpy()


_lock = Lock()
_free: list[np.ndarray] = []  # memory that the system has already given: new memory costs more than the work on it


def taken(size: int) -> np.ndarray:
    """Room for so many float32, of any content: given back before, or new. What has other sizes is freed."""
    with _lock:
        while _free:
            room = _free.pop()
            if room.size == size:
                return room
    return np.empty(size, np.float32)


def given_back(room: np.ndarray) -> None:
    """Keeps the memory for the next step: two at most, one for each level."""
    with _lock:
        _free.append(room)
        del _free[:-2]


def forget() -> None:
    """Frees what is kept: there is no next step."""
    with _lock:
        _free.clear()
