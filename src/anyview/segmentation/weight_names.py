"""Names of weights that can be downloaded; training, prediction and Python take the same ones."""

from __future__ import annotations

from typing import Final, Literal

from anyview.errors import OptionError

COCO: Final[dict[str, Literal[1, 2]]] = {"COCO_V1": 1, "COCO_V1_V2": 2}
"""torchvision's weights for COCO, and the version of the model: `maskrcnn_resnet50_fpn` and `_v2`."""

BODY: Final = "IMAGENET1K_V1"
"""torchvision's classifiers trained on ImageNet: of a ResNet alone."""


def coco_version(name: str, version: Literal[1, 2]) -> Literal[1, 2]:
    """Which weights a model gets: those of its own version by "COCO_V1", as torchvision calls both.

    Args:
        name: one of `COCO`.
        version: of the model.

    Raises:
        OptionError: the name is version 2's, the model is not.
    """
    if COCO[name] > version:
        raise OptionError(
            "the weights are of another version of the model", where=name, expected=f"model.version {COCO[name]}",
            actual=version, hint="pass COCO_V1, or build version 2 (--set model.version=2; mask_rcnn_resnet50_fpn_v2)",
        )  # fmt: skip
    return version


def refuse_body(name: str) -> None:
    """Raise an OptionError where a name is that of weights which find nothing by themselves."""
    if name == BODY:
        raise OptionError(
            "these are weights of a backbone only, which finds nothing yet", where=name,
            expected=f"{', '.join(COCO)}, a file, or a run's folder",
            hint=f"train from them: anyview segment train COCO_DIR --out RUN --weights {BODY}",
        )  # fmt: skip
