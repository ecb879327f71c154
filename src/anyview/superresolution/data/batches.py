"""Batches of crops, turned and mirrored: a function of the seed and the step alone, so a resumed run has the same.

Letters: B crops, S pixels of a side of the small crop, s the scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.superresolution.data.pictures import Pictures, check_crops
from anyview.superresolution.degradation import DegradationOptions, degraded


@dataclass(frozen=True, eq=False)
class CropBatch:
    """Crops of a step, in bytes, channels last in memory.

    Attributes:
        low: small crops.
        high: what they were made from.
    """

    low: UInt8[Tensor, "B 3 S S"] = field(repr=False)
    high: UInt8[Tensor, "B 3 sS sS"] = field(repr=False)

    def to(self, device: torch.device | str) -> tuple[Float32[Tensor, "B 3 S S"], Float32[Tensor, "B 3 sS sS"]]:
        """In [0, 1] on a device. Bytes travel, floats are made there."""
        low, high = (crops.to(device, non_blocking=True).float().div_(255) for crops in (self.low, self.high))
        return low, high


class Crops:
    """Batches by number of the step. There is no state: the step says it all, and threads may ask at once.

    Each picture comes once a round, in an order shuffled anew; where in it, and which of the eight ways to turn and
    mirror a square, is drawn by the seed and the step.

    Args:
        pictures: to be cut from.
        batch_size: crops in a batch.
        seed: of all that is drawn.
        crop: pixels of a side of the large crop.
        turn: whether crops are turned and mirrored.
        degradation: what makes the small crop of the large one, drawn anew each time; None takes it from the small
            picture.
        part: (rank, processes): of all batches, each process has every so many-th.
        progress: told of pictures that are too small.

    Raises:
        OptionError: no crops, or none fits.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch_size: int,
        seed: int,
        *,
        crop: int = 96,
        turn: bool = True,
        degradation: DegradationOptions | None = None,
        part: tuple[int, int] = (0, 1),
        progress: Progress = SILENT,
    ) -> None:
        if batch_size < 1:
            raise OptionError("a batch without crops", expected="1 or more", actual=batch_size)
        self._fitting = check_crops(pictures, crop, progress)
        self._pictures, self._size, self._seed, self._turn, self._part = pictures, batch_size, seed, turn, part
        self._degradation = degradation
        self._side = crop // pictures.scale
        self._round: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def batch(self, step: int) -> CropBatch:
        """The batch of a step, from 0."""
        rank, processes = self._part
        number, scale, side = step * processes + rank, self._pictures.scale, self._side
        random = np.random.default_rng([self._seed, 1, number])
        places, ways = random.random((self._size, 2)), random.integers(0, 8, self._size)
        low = np.empty((self._size, side, side, 3), np.uint8)
        high = np.empty((self._size, side * scale, side * scale, 3), np.uint8)
        for i in range(self._size):
            index = self._drawn(number * self._size + i)
            height, width = self._pictures.sizes[index]
            top, left = int(places[i, 0] * (height - side + 1)), int(places[i, 1] * (width - side + 1))
            way = int(ways[i]) if self._turn else 0
            y, x, edge = top * scale, left * scale, side * scale
            high[i] = turned(self._pictures.high(index)[y : y + edge, x : x + edge], way)
            if self._degradation is None:
                low[i] = turned(self._pictures.low(index)[top : top + side, left : left + side], way)
            else:
                own = np.random.default_rng([self._seed, 2, number * self._size + i])
                low[i] = degraded(high[i], scale, own, self._degradation)
        return CropBatch(*(torch.from_numpy(crops).permute(0, 3, 1, 2) for crops in (low, high)))

    def _drawn(self, position: int) -> int:
        """The picture that is the `position`-th drawn."""
        number, place = divmod(position, len(self._fitting))
        shuffled = self._round  # taken once: threads may ask for steps of several rounds
        if shuffled[0] != number:
            order = np.random.default_rng([self._seed, 0, number]).permutation(len(self._fitting))
            self._round = shuffled = number, order
        return self._fitting[int(shuffled[1][place])]


def turned(square: UInt8[np.ndarray, "N N 3"], way: int) -> UInt8[np.ndarray, "N N 3"]:
    """One of the eight ways to see a square; 0 is as it is. A view, not a copy."""
    square = square.swapaxes(0, 1) if way & 1 else square
    square = square[::-1] if way & 2 else square
    return square[:, ::-1] if way & 4 else square
