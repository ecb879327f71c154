"""Some images of some data, as data."""

from __future__ import annotations

from collections.abc import Sequence

from anyview.formats.coco import CocoData
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.data.items import InstanceData, Item


class SomeInstances:
    """See `anyview.segmentation.data.items.InstanceData`.

    Args:
        data: the images.
        chosen: their numbers.
    """

    def __init__(self, data: InstanceData, chosen: Sequence[int]) -> None:
        self._data, self._chosen = data, list(chosen)

    @property
    def classes(self) -> Classes:
        """What the labels mean."""
        return self._data.classes

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of every image."""
        sizes = self._data.sizes
        return [sizes[i] for i in self._chosen]

    @property
    def names(self) -> Sequence[str]:
        """Of every image."""
        names = self._data.names
        return [names[i] for i in self._chosen]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._chosen)

    def __getitem__(self, index: int) -> Item:
        """An image and its things."""
        if not 0 <= index < len(self._chosen):
            raise IndexError(index)
        return self._data[self._chosen[index]]

    def ground_truth(self, chosen: Sequence[int] | None = None) -> CocoData:
        """See `anyview.segmentation.data.items.InstanceData.ground_truth`; ids are those of the whole."""
        return self._data.ground_truth(self._chosen if chosen is None else [self._chosen[i] for i in chosen])


def spread(data: InstanceData, most: int) -> InstanceData:
    """At most so many images, evenly spread over all."""
    if len(data) <= most:
        return data
    return SomeInstances(data, [i * len(data) // most for i in range(most)])
