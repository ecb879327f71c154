"""A Mask R-CNN so small that a test can train it: one step of two images takes a second or so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anyview.progress import SILENT, Progress
from anyview.segmentation.config import chosen
from anyview.segmentation.train import train_segmentation
from anyview.segmentation.train_options import SegmentationOptions
from anyview.training.loop import TrainingResult

SETTINGS = (
    "model.body=resnet18",
    "model.channels=32",
    "model.images.min_size=[64]",
    "model.images.max_size=96",
    "model.proposals.train_before_nms=50",
    "model.proposals.train_after_nms=20",
    "model.proposals.before_nms=40",
    "model.proposals.after_nms=10",
    "model.proposals.samples=32",
    "model.detections.samples=8",
    "model.detections.most=3",
    "data.validation_images=2",
    "data.threads=1",
    "optimiser.warmup_steps=0",
    "optimiser.clip=1",
    "loop.precision=32-true",
    "loop.device=cpu",
    "loop.log_every=1",
    "synthetic.images=3",
    "synthetic.validation=2",
    "synthetic.width=64",
    "synthetic.height=64",
)


def options(out: Path, *settings: str, **given: Any) -> SegmentationOptions:
    return chosen(out, None, None, (*SETTINGS, *settings), given)


def run(folder: Path | str, out: Path, *settings: str, progress: Progress = SILENT) -> TrainingResult:
    return train_segmentation(folder, out, options(out, *settings), progress)
