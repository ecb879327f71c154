"""`anyview segment VERB`: what each takes (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union

from tyro.conf import Positional, arg, subcommand

from anyview.cli.command import Command
from anyview.cli.learned import Engine, Trained, Training
from anyview.cli.segmentation_predict import Predict


@dataclass
class Train(Training):
    """Train Mask R-CNN on labelled images. Run again, the same command goes on from where it was."""

    data: Positional[Annotated[str, arg(metavar="COCO_DIR")]]
    """Folder with labelled images: COCO's JSON beside them, or images with pictures of instance numbers; or the word
    `synthetic`: rendered pictures of simple solids. Told neither steps nor minutes, training takes 10,000 steps."""
    preset: Literal["small"] | None = None
    """Options that go together: `small` is for small images of few things on a processor, such as `synthetic`."""
    weights: str | None = None
    """What training begins with: COCO_V1, COCO_V1_V2 (version 2 of the model) or IMAGENET1K_V1 (its backbone alone),
    downloaded once; a file, or another run. By default random numbers."""
    reset_heads: bool = False
    """Start the last layers anew where the weights are for another number of classes, or a run's for other classes."""

    def run(self) -> int:
        """See `anyview.pipelines.segmentation.train_segmentation`."""
        from anyview.cli.learned_output import print_training
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_figures
        from anyview.segmentation.config import chosen

        given = self.given(weights=self.weights, reset_heads=self.reset_heads or None)
        options = chosen(self.out, self.config, self.preset, self.set, given)
        from anyview.pipelines.segmentation import train_segmentation

        with TerminalProgress() as progress:
            result, scores, page = train_segmentation(self.data, self.out, options, progress)
        if scores is not None:
            print_figures(scores, "val")
        print_training(result, page, f"anyview segment predict IMAGES --weights {self.out} --out OUT")
        return 0


@dataclass
class Evaluate(Trained):
    """Average precision of a run's boxes and masks on labelled images, and a page of the images that went worst."""

    data: Positional[Annotated[str | None, arg(metavar="COCO_DIR")]] = None
    """Labelled images; by default those that the run was trained with."""
    split: Literal["train", "val"] = "val"
    """Which of them."""
    out: Path | None = None
    """Folder for the figures (val.json) and report.html; by default the run's for its own images, RUN/eval/NAME for
    those of another folder."""
    json: Path | None = None
    """Where the figures go as JSON, elsewhere."""

    def run(self) -> int:
        """See `anyview.pipelines.segmentation.evaluate_segmentation`."""
        from anyview.cli.learned_output import print_page
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_figures
        from anyview.pipelines.segmentation import evaluate_segmentation

        with TerminalProgress() as progress:
            scores, page = evaluate_segmentation(
                self.folder, self.data, self.split, self.json, out=self.out, weights=self.weights, progress=progress
            )
        print_figures(scores, self.split)
        print_page(page)
        return 0


@dataclass
class Demo(Command):
    """Train a small Mask R-CNN on rendered pictures of simple solids, and show what it finds in others."""

    out: Path = Path("anyview-segment-demo")
    """The run's folder; demo.png and report.html go there too."""
    max_minutes: float = 4.0
    """Train for so many minutes in all; 15 give far better masks."""

    def run(self) -> int:
        """See `anyview.pipelines.segmentation_demo`."""
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_demo
        from anyview.pipelines.segmentation_demo import segmentation_demo

        with TerminalProgress() as progress:
            made = segmentation_demo(self.out, self.max_minutes, progress)
        print_demo(self.out, made)
        return 0


@dataclass
class Segment(Engine):
    """Instance segmentation: train Mask R-CNN on labelled images, score it, find objects; a demonstration."""

    less_memory = (
        "close other programs, and run the same command: it resumes; or train into another --out with --set and a "
        "lower optimiser.batch or model.images.max_size, or predict with --tile 1024"
    )

    verb: Annotated[
        Union[  # noqa: UP007 (tyro reads it)
            Annotated[Train, subcommand("train", prefix_name=False)],
            Annotated[Evaluate, subcommand("eval", prefix_name=False)],
            Annotated[Predict, subcommand("predict", prefix_name=False)],
            Annotated[Demo, subcommand("demo", prefix_name=False)],
        ],
        arg(name=""),
    ]
