"""What labels mean: numbers that a model learns, the data's category ids, and names.

Label 0 is the background. Labels are 1, 2, ... in the order of the category ids, whatever gaps these have; or those of
torchvision's COCO models, whose labels are COCO's own ids, 1 to 90.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from anyview.errors import FormatError
from anyview.formats.coco import CocoCategory

Numbering: TypeAlias = Literal["contiguous", "coco"]


@dataclass(frozen=True)
class Classes:
    """Names and category ids by label.

    Attributes:
        names: by label; the first is the background's.
        ids: category ids by label; -1 for labels that nothing has: the background, and those of COCO's that the data
            lacks.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    _labels: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Labels by name, for `label`; what has no id is nothing that the data can have."""
        pairs = enumerate(zip(self.names, self.ids, strict=True))
        labels = {name: label for label, (name, id_) in pairs if label > 0 and id_ >= 0}
        object.__setattr__(self, "_labels", labels)

    def __len__(self) -> int:
        """How many outputs a model has, background and unused labels included."""
        return len(self.names)

    def label(self, name: str) -> int | None:
        """The label of a class; None where there is no such class."""
        return self._labels.get(name)

    @property
    def used(self) -> tuple[int, ...]:
        """The labels that something can have."""
        return tuple(self._labels.values())

    def categories(self) -> tuple[CocoCategory, ...]:
        """As a COCO file lists them."""
        return tuple(CocoCategory(self.ids[label], self.names[label]) for label in self.used)


def named_classes(names: Sequence[str]) -> Classes:
    """Classes 1, 2, ... of these names, whose category ids are the labels."""
    return Classes(("background", *names), (-1, *range(1, len(names) + 1)))


def coco_classes() -> Classes:
    """Those of torchvision's COCO models: labels are COCO's category ids."""
    names = coco_names()
    return Classes(tuple(names), tuple(label if name and label else -1 for label, name in enumerate(names)))


def classes_of(categories: Sequence[CocoCategory], where: Path, numbering: Numbering = "contiguous") -> Classes:
    """The classes of a file.

    Args:
        categories: as the file lists them.
        where: the file, for messages.
        numbering: "contiguous", or "coco" for models with torchvision's COCO weights; categories are found by name.

    Raises:
        FormatError: no categories, two of one name, or one that COCO does not have.
    """
    if not categories:
        raise FormatError("no categories", where=where, expected="at least one class of things")
    twice = [name for name, count in Counter(c.name for c in categories).items() if count > 1]
    if twice:
        raise FormatError("two categories of one name", where=where, actual=", ".join(twice), hint="rename one of them")
    ordered = sorted(categories, key=lambda c: c.id)
    if numbering == "contiguous":
        return Classes(("background", *(c.name for c in ordered)), (-1, *(c.id for c in ordered)))
    names = coco_names()
    strange = [c.name for c in ordered if c.name not in names]
    if strange:
        raise FormatError(
            "categories that COCO does not have", where=where, actual=", ".join(strange[:5]),
            hint="number the classes from 1 instead, and train a new head",
        )  # fmt: skip
    ids = {c.name: c.id for c in ordered}
    return Classes(tuple(names), tuple(ids.get(name, -1) for name in names))


def coco_names() -> list[str]:
    """COCO's classes by the labels of torchvision's models."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    given = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return ["background", *("" if name == "N/A" else name for name in given[1:])]
