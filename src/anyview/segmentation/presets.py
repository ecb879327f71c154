"""Named sets of options, as `--set` takes them."""

from __future__ import annotations

from typing import Final

from anyview.compute.precision import quick_in_bfloat16
from anyview.errors import OptionError

PRESETS: Final[dict[str, tuple[str, ...]]] = {
    "small": (
        "model.body=resnet18",
        "model.channels=64",
        "model.images.min_size=[160]",
        "model.images.max_size=288",
        "model.anchors.sizes=[[12], [24], [48], [96], [160]]",
        "model.proposals.train_before_nms=200",
        "model.proposals.train_after_nms=200",
        "model.proposals.before_nms=300",
        "model.proposals.after_nms=150",
        "model.proposals.samples=128",
        "model.detections.samples=40",
        "model.detections.positive_share=0.4",
        "model.detections.mask_samples=4",
        "model.detections.most=30",
        "optimiser.batch=8",
        "optimiser.kind=adamw",
        "optimiser.rate=0.001",
        "optimiser.beta2=0.99",
        "optimiser.weight_decay=0.02",
        "optimiser.warmup_steps=100",
        "optimiser.schedule=cosine",
        "optimiser.clip=2",
        "optimiser.ema=0.998",
        "data.validation_images=100",
        "synthetic.images=1500",
        "loop.validate_every=1000",
        "loop.log_every=10",
    ),
}
"""`small` is for small images of few things on a processor, such as the synthetic pictures."""


def preset(name: str) -> tuple[str, ...]:
    """A set of options for this machine: `small` learns in bfloat16 where a processor has instructions for it.

    Raises:
        OptionError: there is no such set.
    """
    if name not in PRESETS:
        raise OptionError("no such preset", where="--preset", expected=", ".join(PRESETS), actual=name)
    return (*PRESETS[name], *(("loop.precision=bf16-mixed",) if quick_in_bfloat16("cpu") else ()))
