"""Which images make up which batch: shuffled anew each time through, images of like shape together.

A batch of like shapes needs little padding. Images are sorted into bins of width over height as they come; a bin that
is full is a batch. What is left in the bins at the end of one round goes on into the next, so each image comes once a
round, and every batch is full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyview.errors import OptionError


@dataclass(frozen=True)
class BatchPlan:
    """A batch: its number, and its images; the first of these is the `first`-th drawn since the beginning."""

    number: int
    first: int
    images: tuple[int, ...]


class BatchOrder:
    """Batches without end; `state_dict` says where the next one begins.

    Args:
        sizes: rows and columns of every image.
        batch_size: images in a batch.
        seed: of the shuffling.
        bins: of width over height, from 1:2 to 2:1 in equal ratios; two tell upright from lying, one is no grouping.

    Raises:
        OptionError: no images, or a batch without any.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], batch_size: int, seed: int, bins: int = 2) -> None:
        if not sizes or batch_size < 1 or bins < 1:
            actual = f"{len(sizes)} images, batches of {batch_size}, {bins} bins"
            raise OptionError("no batches can be made", expected="at least one of each", actual=actual)
        self.batch_size, self.seed = batch_size, seed
        self._bin = [_bin(width / height, bins) for height, width in sizes]
        self._round, self._place, self._number = 0, 0, 0
        self._waiting: list[list[int]] = [[] for _ in range(bins)]
        self._shuffled = self._shuffle()

    def __next__(self) -> BatchPlan:
        """The next batch."""
        while True:
            if self._place == len(self._shuffled):
                self._round, self._place = self._round + 1, 0
                self._shuffled = self._shuffle()
            image = int(self._shuffled[self._place])
            self._place += 1
            waiting = self._waiting[self._bin[image]]
            waiting.append(image)
            if len(waiting) == self.batch_size:
                plan = BatchPlan(self._number, self._number * self.batch_size, tuple(waiting))
                waiting.clear()
                self._number += 1
                return plan

    def state_dict(self) -> dict[str, Any]:
        """The round, the place in it, batches so far, and the images that wait."""
        waiting = [list(images) for images in self._waiting]
        return {
            "seed": self.seed, "images": len(self._bin), "batch_size": self.batch_size, "round": self._round,
            "place": self._place, "number": self._number, "waiting": waiting,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there.

        Raises:
            ValueError: the state is of other data, batches or bins.
        """
        own = self.state_dict()
        for name in ("seed", "images", "batch_size"):
            if state[name] != own[name]:
                raise ValueError(f"the order's {name} was {state[name]} and is now {own[name]}")
        if len(state["waiting"]) != len(self._waiting):
            raise ValueError(f"there were {len(state['waiting'])} bins and are now {len(self._waiting)}")
        self._round, self._place, self._number = state["round"], state["place"], state["number"]
        self._waiting = [list(images) for images in state["waiting"]]
        self._shuffled = self._shuffle()

    def _shuffle(self) -> np.ndarray:
        return np.random.default_rng([self.seed, self._round]).permutation(len(self._bin))


def _bin(ratio: float, bins: int) -> int:
    """Equal parts of the logarithm from 1:2 to 2:1; what is longer falls into the outermost."""
    place = (math.log2(ratio) + 1) / 2 * bins
    return min(max(math.ceil(place) - 1, 0), bins - 1)  # a square counts as upright
