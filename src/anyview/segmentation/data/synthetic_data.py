"""Labelled images without end: things strewn on the ground, rendered when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int32, UInt8

from anyview.errors import OptionError
from anyview.formats.coco import CocoData
from anyview.scene.things import CLASSES, render_things
from anyview.segmentation.data.classes import named_classes
from anyview.segmentation.data.ground_truth import ground_truth
from anyview.segmentation.data.items import Item, make_target


class SyntheticInstances:
    """Pictures of `anyview.scene.things`, by number; the same arguments give the same images.

    A picture of 160x160 takes about 80 ms on one core; the first ones are kept then, 100 KB each.

    Args:
        count: how many images there are.
        size: width and height, pixels.
        seed: of the pictures; data of different seeds have none in common.
        most: things in a picture, at most.
        least: pixels that a thing must show; what shows less counts as ground.
        keep: pictures that are kept in memory, at most.

    Raises:
        OptionError: no images, or no such pictures.
    """

    def __init__(
        self,
        count: int,
        size: tuple[int, int] = (160, 160),
        seed: int = 0,
        *,
        most: int = 7,
        least: int = 16,
        keep: int = 2000,
    ) -> None:
        if count < 1 or seed < 0 or min(size) < 1 or most < 1:
            actual = f"{count} of {size[0]}x{size[1]}, seed {seed}, up to {most} things"
            raise OptionError("no such images", expected="at least one, of at least 1x1, with things", actual=actual)
        self.classes = named_classes(CLASSES)
        self._count, self._size, self._seed, self._most, self._least = count, size, seed, most, least
        self._keep = keep
        self._kept: dict[int, Any] = {}

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image."""
        return [self._size[::-1]] * self._count

    @property
    def names(self) -> Sequence[str]:
        """What a file of each image would be called."""
        return [f"{index:06}.png" for index in range(self._count)]

    def __len__(self) -> int:
        """How many images there are."""
        return self._count

    def __getitem__(self, index: int) -> Item:
        """A picture and its things.

        Raises:
            IndexError: there is no such number.
        """
        if not 0 <= index < self._count:
            raise IndexError(index)
        rgb, instance, kinds = self._picture(index)
        seen = np.bincount(instance.reshape(-1), minlength=len(kinds) + 1)
        numbers = np.flatnonzero(seen >= max(self._least, 1))
        numbers = numbers[numbers > 0]
        masks = torch.from_numpy((instance == numbers[:, None, None]).view(np.uint8))
        labels = torch.tensor([kinds[number - 1] + 1 for number in numbers], dtype=torch.int64)
        return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))), make_target(masks, labels, index)

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        """See `anyview.segmentation.data.items.InstanceData.ground_truth`."""
        return ground_truth(self, chosen)

    def _picture(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Int32[np.ndarray, "H W"], tuple[int, ...]]:
        if index in self._kept:
            rgb, instance, kinds = self._kept[index]
            return rgb, instance.astype(np.int32), kinds
        made = render_things(self._seed, index, self._size, self._most)
        if len(self._kept) < self._keep:
            self._kept[index] = made.rgb, made.instance.astype(np.uint8 if self._most < 256 else np.int32), made.kinds
        return made.rgb, made.instance, made.kinds
