"""Batches of varied images, made ahead by threads, the same whatever the threads do.

An image's random numbers are its own: their generator is seeded by the seed and by how many images were drawn before.
So neither the number of threads nor an interruption changes a batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from anyview.segmentation.data.batch_order import BatchOrder, BatchPlan
from anyview.segmentation.data.items import InstanceData, Item, Target

Vary: TypeAlias = Callable[[InstanceData, int, torch.Generator], Item]
"""Makes an item of some data's image: see `augmented`."""

_FEWEST_AHEAD = 2  # batches


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of a step, of sizes of their own, and what is in them.

    Attributes:
        number: of the batch, from 0.
        images: each (3, H, W) uint8 RGB.
        targets: torchvision's dicts, see `items`.
    """

    number: int
    images: tuple[Tensor, ...] = field(repr=False)
    targets: tuple[Target, ...] = field(repr=False)

    def to(self, device: torch.device | str) -> tuple[list[Float32[Tensor, "3 _ _"]], list[Target]]:
        """Images in [0, 1] and targets on a device, as a model takes them. Bytes travel, floats are made there."""
        images = [image.to(device, non_blocking=True).float().div_(255) for image in self.images]
        return images, [{k: v.to(device, non_blocking=True) for k, v in t.items()} for t in self.targets]


class Batches:
    """Batches without end, as a context that owns its threads; its state is that of the next batch to be handed out.

    Args:
        data: labelled images.
        batch_size: images in a batch.
        seed: of the order and of all variations.
        vary: makes an item; None takes the images as they are.
        threads: that make items; 0 makes them when they are asked for.
        ahead: batches at most that are made before they are asked for (that bounds the memory); None is what keeps the
            threads busy.
        bins: of shapes, see `BatchOrder`.
        part: (rank, processes): of all batches, each process makes every so many-th.

    Raises:
        OptionError: no images, or a batch without any.
    """

    def __init__(
        self,
        data: InstanceData,
        batch_size: int,
        seed: int,
        *,
        vary: Vary | None = None,
        threads: int = 1,
        ahead: int | None = None,
        bins: int = 2,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._data, self._seed, self._vary, self._part = data, seed, vary, part
        self._order = BatchOrder(data.sizes, batch_size, seed, bins)
        self._state = self._order.state_dict()
        self._pool = ThreadPoolExecutor(threads, "images") if threads else None
        enough = max(_FEWEST_AHEAD, math.ceil(2 * threads / batch_size))
        self._ahead = 0 if self._pool is None else enough if ahead is None else max(ahead, 0)
        self._coming: deque[tuple[BatchPlan, list[Future[Item]], dict[str, Any]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what they were making is thrown away."""
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
            FormatError: an image is damaged.
        """
        if self._pool is None:
            plan = self._plan()
            items = [self._make(plan, i) for i in range(len(plan.images))]
            self._state = self._order.state_dict()
        else:
            while len(self._coming) <= self._ahead:
                plan = self._plan()
                futures = [self._pool.submit(self._make, plan, i) for i in range(len(plan.images))]
                self._coming.append((plan, futures, self._order.state_dict()))
            plan, futures, after = self._coming[0]
            items = [future.result() for future in futures]
            self._coming.popleft()
            self._state = after
        return Batch(plan.number, tuple(image for image, _ in items), tuple(target for _, target in items))

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch begins, whatever the threads have made beyond it."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there.

        Raises:
            ValueError: the state is of other data, batches or bins.
        """
        for _, futures, _ in self._coming:
            for future in futures:
                future.cancel()
        self._coming.clear()
        self._order.load_state_dict(state)
        self._state = self._order.state_dict()

    def _plan(self) -> BatchPlan:
        """This process's of the next batches, one for each process: all have the same state afterwards."""
        rank, processes = self._part
        return [next(self._order) for _ in range(processes)][rank]

    def _make(self, plan: BatchPlan, place: int) -> Item:
        if self._vary is None:
            return self._data[plan.images[place]]
        return self._vary(self._data, plan.images[place], item_generator(self._seed, plan.first + place))


def item_generator(seed: int, position: int) -> torch.Generator:
    """The random numbers of the image that is the `position`-th drawn."""
    (word,) = np.random.SeedSequence([seed, position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(word))
