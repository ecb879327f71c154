"""Some of a table's rows, told by where they begin and end: a few numbers per row of an image, not one per pixel.

Letters: K runs, N rows that they hold, B rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


class PixelRuns:
    """Rows of a table of pixels, rising.

    Args:
        starts: first row of each run, (K,).
        lengths: rows in each, (K,), above 0.
    """

    def __init__(self, starts: Int[Tensor, "K"], lengths: Int[Tensor, "K"]) -> None:
        self._ends = lengths.cumsum(0)
        self._shifts = starts - (self._ends - lengths)
        self.count = int(self._ends[-1]) if len(lengths) else 0
        """N."""

    def at(self, index: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
        """The rows of these numbers, from 0 to N - 1."""
        return index + self._shifts[torch.searchsorted(self._ends, index, right=True)]


def runs_of(parts: Iterable[Bool[np.ndarray, " _"]], device: torch.device | str = "cpu") -> PixelRuns:
    """The rows that are true, in parts that follow each other.

    Args:
        parts: of the table, taken one by one.
        device: where rows will be asked for.
    """
    starts, lengths, first = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for part in parts:
        turns = np.flatnonzero(np.diff(part.view(np.int8), prepend=np.int8(0), append=np.int8(0))).reshape(-1, 2)
        starts.append(first + turns[:, 0])
        lengths.append(turns[:, 1] - turns[:, 0])
        first += len(part)
    both = (torch.from_numpy(np.concatenate(values)).to(device) for values in (starts, lengths))
    return PixelRuns(*both)
