"""Named sets of options, as `--set` takes them."""

from __future__ import annotations

from typing import Final

PRESETS: Final[dict[str, tuple[str, ...]]] = {
    "small": (
        "model.body=resnet18",
        "model.channels=64",
        "model.images.min_size=[160]",
        "model.images.max_size=288",
        "model.anchors.sizes=[[12], [24], [48], [96], [160]]",
        "model.proposals.train_before_nms=400",
        "model.proposals.train_after_nms=200",
        "model.proposals.before_nms=300",
        "model.proposals.after_nms=150",
        "model.proposals.samples=128",
        "model.detections.samples=32",
        "model.detections.positive_share=0.2",
        "model.detections.most=30",
        "optimiser.batch=8",
        "optimiser.rate=0.04",
        "optimiser.warmup_steps=100",
        "optimiser.schedule=cosine",
        "optimiser.clip=5",
        "optimiser.ema=0.99",
        "data.validation_images=100",
        "loop.validate_every=200",
        "loop.log_every=10",
    ),
}
"""`small` is for small images of few things on a processor, such as the synthetic pictures."""
