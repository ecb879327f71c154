"""What a Mask R-CNN is made of and how it decides. Defaults are torchvision's: its checkpoints mean the same here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from anyview.errors import OptionError

Body: TypeAlias = Literal["resnet18", "resnet34", "resnet50", "resnet101"]

_RATIOS = (0.5, 1.0, 2.0)
_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)


def _in_range(where: str, low: float, high: float, **values: float) -> None:
    """Raise an OptionError where a value is none of these."""
    for name, value in values.items():
        if not low <= value <= high:
            expected = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
            raise OptionError("option out of range", where=f"{where}.{name}", expected=expected, actual=value)


@dataclass(frozen=True)
class ImageOptions:
    """How an image is brought to the network's size.

    Attributes:
        min_size: wanted shorter side, pixels. Of several, each training image draws one; otherwise the last holds.
        max_size: most pixels of the longer side; wins over `min_size`.
        mean, std: of the images that the backbone was trained on, sRGB in [0, 1].
        multiple: sides of a padded batch are multiples of it, pixels.
    """

    min_size: tuple[int, ...] = (800,)
    max_size: int = 1333
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    multiple: int = 32

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        where = "model.images"
        if not self.min_size:
            raise OptionError("no size of images", where=f"{where}.min_size", expected="one number at least", actual="")
        _in_range(where, 1, math.inf, min_size=min(self.min_size), max_size=self.max_size, multiple=self.multiple)
        _in_range(where, 1e-6, math.inf, std=min(self.std))


@dataclass(frozen=True)
class AnchorOptions:
    """Anchors of each of the five levels, finest first; every level has the same number of them.

    Attributes:
        sizes: square roots of the anchors' areas, pixels of the resized image.
        ratios: height / width.
    """

    sizes: tuple[tuple[float, ...], ...] = tuple((size,) for size in _SIZES)
    ratios: tuple[tuple[float, ...], ...] = (_RATIOS,) * 5

    @property
    def per_place(self) -> int:
        """Anchors at each place of a feature map."""
        return len(self.sizes[0]) * len(self.ratios[0])


NINE_ANCHORS = AnchorOptions(sizes=tuple((size / 2, size, size * 2) for size in _SIZES))
"""Nine at each place: half, the whole and twice each level's size, in three ratios."""


@dataclass(frozen=True)
class ProposalOptions:
    """The region proposal network.

    Attributes:
        before_nms, after_nms: proposals kept per level before, and per image after suppression, when detecting.
        train_before_nms, train_after_nms: the same for the losses.
        nms_threshold: overlap (IoU) above which the worse of two proposals of a level goes.
        score_threshold: least probability of an object.
        positive_iou, negative_iou: an anchor is an object from the first on, background below the second.
        samples: anchors per image in the losses.
        positive_share: most of them that are objects, of 1.
        depth: 3x3 convolutions of the head before both outputs; None is the version's, 1 or 2.
    """

    before_nms: int = 1000
    after_nms: int = 1000
    train_before_nms: int = 2000
    train_after_nms: int = 2000
    nms_threshold: float = 0.7
    score_threshold: float = 0.0
    positive_iou: float = 0.7
    negative_iou: float = 0.3
    samples: int = 256
    positive_share: float = 0.5
    depth: int | None = None

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        where = "model.proposals"
        for name in ("before_nms", "after_nms", "train_before_nms", "train_after_nms", "samples"):
            _in_range(where, 1, math.inf, **{name: getattr(self, name)})
        for name in ("nms_threshold", "score_threshold", "positive_iou", "negative_iou", "positive_share"):
            _in_range(where, 0, 1, **{name: getattr(self, name)})
        _in_range(where, 0, math.inf, depth=self.depth or 0)


@dataclass(frozen=True)
class DetectionOptions:
    """The box head's decisions.

    Attributes:
        score_threshold: detections must have more.
        nms_threshold: overlap (IoU) above which the worse of two detections of a class goes.
        most: detections per image.
        candidates: most (proposal, class) pairs per image that a compiled or exported model looks at, whose shapes are
            fixed; otherwise there is no such limit.
        positive_iou: a proposal is an object from this overlap on, background below.
        samples: proposals per image in the losses.
        positive_share: most of them that are objects, of 1.
        mask_samples: most objects per image that the mask head learns from; None is all of these. Its convolutions cost
            more than those of all boxes.
    """

    score_threshold: float = 0.05
    nms_threshold: float = 0.5
    most: int = 100
    candidates: int = 2000
    positive_iou: float = 0.5
    samples: int = 512
    positive_share: float = 0.25
    mask_samples: int | None = None

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        where = "model.detections"
        for name in ("most", "candidates", "samples"):
            _in_range(where, 1, math.inf, **{name: getattr(self, name)})
        for name in ("score_threshold", "nms_threshold", "positive_iou", "positive_share"):
            _in_range(where, 0, 1, **{name: getattr(self, name)})
        _in_range(where, 1, math.inf, mask_samples=1 if self.mask_samples is None else self.mask_samples)


@dataclass(frozen=True)
class MaskRCNNOptions:
    """A whole model.

    Attributes:
        num_classes: kinds of objects and the background, which is class 0.
        body: the ResNet.
        version: 1 is the paper's with a pyramid (arXiv 1703.06870, 1612.03144); 2 has norms in pyramid and heads, two
            convolutions before the proposals and four before the boxes (arXiv 2111.11429).
        channels: of the pyramid's maps and the convolutions of all heads; the box head's hidden layers have four times
            as many. Multiples of 16 are fast.
        frozen_norms: the body's batch norms never change (their statistics come from pretraining).
        norm_epsilon: of the body's norms.
        trained_stages: of the body's five (first convolution and four layers), those that learn, counted from the end.
    """

    num_classes: int = 91
    body: Body = "resnet50"
    version: Literal[1, 2] = 1
    channels: int = 256
    frozen_norms: bool = False
    norm_epsilon: float = 1e-5
    trained_stages: int = 5
    images: ImageOptions = field(default_factory=ImageOptions)
    anchors: AnchorOptions = field(default_factory=AnchorOptions)
    proposals: ProposalOptions = field(default_factory=ProposalOptions)
    detections: DetectionOptions = field(default_factory=DetectionOptions)

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _in_range("model", 1, math.inf, channels=self.channels, num_classes=self.num_classes)
        _in_range("model", 0, 5, trained_stages=self.trained_stages)

    @property
    def proposal_depth(self) -> int:
        """Convolutions of the proposal head before its outputs."""
        return self.version if self.proposals.depth is None else self.proposals.depth
