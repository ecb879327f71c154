"""Options of a training: the model, its data and variations, the optimiser, the loop. A run keeps them as YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from anyview.errors import OptionError
from anyview.segmentation.data.augment_options import AugmentOptions
from anyview.segmentation.options import MaskRCNNOptions
from anyview.training.options import LoopOptions

SYNTHETIC = "synthetic"
"""In the place of a folder: pictures rendered as they are needed."""

_MODEL = MaskRCNNOptions()
_AUGMENT = AugmentOptions()
_LOOP = LoopOptions(steps=None, log_every=20, better="mask_ap")

USUAL_STEPS = 10_000
"""Of a training that is told neither steps nor minutes."""


def _at_least(where: str, options: Any, **least: float) -> None:
    """Raise an OptionError where a value is given and lower."""
    for name, low in least.items():
        value = getattr(options, name)
        if value is not None and not value >= low:
            raise OptionError(
                "option out of range", where=f"{where}.{name}", expected=f"{low:g} or more", actual=value
            )  # fmt: skip


@dataclass(frozen=True)
class SyntheticOptions:
    """Pictures of things strewn on the ground, where the data is `synthetic`."""

    images: int = 2000
    """Pictures to learn from; each is rendered once (80 ms on a core), and kept in memory."""
    validation: int = 200
    """Pictures held back; another seed's, so none is learnt from."""
    width: int = 160
    """Of a picture, pixels."""
    height: int = 160
    """Of a picture, pixels."""
    most: int = 7
    """Things in a picture, at most."""
    seed: int = 0
    """Of the pictures to learn from; those held back have the next one."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("synthetic", self, images=1, validation=0, width=16, height=16, most=1, seed=0)


@dataclass(frozen=True)
class DataOptions:
    """Which images are learnt from and judged by."""

    hold_back: float = 0.1
    """Share of the training images that is held back where the folder has no others to validate on; 0 for none."""
    validation_images: int = 500
    """Most images of a validation during training, spread over those that there are; `segment eval` takes all."""
    numbering: Literal["auto", "contiguous", "coco"] = "auto"
    """Labels 1, 2, ... in the order of the data's categories, or `coco`: those of torchvision's COCO models. `auto` is
    `coco` where training begins from COCO_V1 or COCO_V1_V2 and the data has all 80 classes of COCO, so that the heads
    are kept."""
    threads: int | None = None
    """That read and vary images; null for one a core. The result does not depend on it."""
    check: bool = True
    """Read every image once before the first step, so that a damaged one is told then and not hours later."""
    bins: int = 2
    """Groups of images by width over height; a batch has images of one group, so little padding. 1 is no grouping."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("data", self, validation_images=1, bins=1, threads=0)
        if not 0 <= self.hold_back < 1:
            raise OptionError(
                "option out of range", where="data.hold_back", expected="0 or more, below 1", actual=self.hold_back
            )  # fmt: skip


@dataclass(frozen=True)
class OptimiserOptions:
    """Steps of stochastic gradient descent, by default torchvision's recipe for detection."""

    kind: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum; or AdamW (arXiv 1711.05101), which wants a rate near 1e-4."""
    batch: int = 2
    """Images in a step."""
    rate: float = 0.02
    """Learning rate of `sgd` for 16 images; it is scaled with the batch (arXiv 1706.02677); that of `adamw` is not."""
    momentum: float = 0.9
    """Share of the last step's direction that is kept (`sgd`)."""
    beta2: float = 0.999
    """Share of the mean square gradient that is kept (`adamw`); trainings of a few thousand steps learn faster with
    0.99."""
    weight_decay: float = 1e-4
    """Pull of all weights towards 0."""
    warmup_steps: int = 1000
    """Steps over which the learning rate rises from a thousandth of itself; never more than a tenth of all."""
    schedule: Literal["step", "cosine"] = "step"
    """How it falls then: by `drop` at each of `drops`, or along half a wave."""
    drops: tuple[float, ...] = (0.62, 0.85)
    """Shares of the training after which the rate drops; epochs 16 and 22 of 26, as torchvision's."""
    drop: float = 0.1
    """Factor of a drop."""
    last_rate: float = 0.0
    """Share of the learning rate that is left at the end of the half wave."""
    clip: float = 0.0
    """Longest gradient (norm over all weights); longer ones are shortened to it. 0 leaves them."""
    ema: float = 0.0
    """Decay of the average of the weights, such as 0.999; validation and use take the average. 0 for none."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("optimiser", self, batch=1, momentum=0, weight_decay=0, warmup_steps=0, last_rate=0, clip=0)
        for name, shares in (("drop", [self.drop]), ("drops", self.drops)):
            if not all(0 <= share <= 1 for share in shares):
                actual = getattr(self, name)
                raise OptionError("option out of range", where=f"optimiser.{name}", expected="0 to 1", actual=actual)
        if not self.rate > 0:
            raise OptionError("option out of range", where="optimiser.rate", expected="above 0", actual=self.rate)
        for name in ("ema", "beta2"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise OptionError(
                    "option out of range", where=f"optimiser.{name}", expected="0 or more, below 1", actual=value
                )


@dataclass(frozen=True)
class SegmentationOptions:
    """All of it. A run's folder has them as `config.yaml`."""

    anyview: str = ""
    """Version of anyview that began the run."""
    folder: str = ""
    """Labelled images; or `synthetic`."""
    weights: str | None = None
    """What training begins with: COCO_V1, COCO_V1_V2 (torchvision's Mask R-CNN and its second version), IMAGENET1K_V1
    (the body alone), a file of weights, the folder of another run; null for random weights."""
    reset_heads: bool = False
    """Start the last layers anew where the weights of a file or a run are for another number of classes, or those of a
    run for classes of other names. Those of COCO_V1 always do."""
    classes: tuple[str, ...] = ()
    """Names by label, the background's first; a run takes them from its data."""
    class_ids: tuple[int, ...] = ()
    """Category ids by label in the data's COCO files; -1 for labels that nothing has."""
    model: MaskRCNNOptions = _MODEL
    data: DataOptions = DataOptions()
    synthetic: SyntheticOptions = SyntheticOptions()
    augment: AugmentOptions = _AUGMENT
    optimiser: OptimiserOptions = OptimiserOptions()
    loop: LoopOptions = _LOOP

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        self.augment.check()
