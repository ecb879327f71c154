"""`anyview segment VERB`: what each takes (fields and their docstrings are the help text) and what it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union

from tyro.conf import Positional, UseAppendAction, arg, subcommand

from anyview.cli.command import Command
from anyview.cli.segmentation_predict import Predict

_Data = Positional[Annotated[str, arg(metavar="COCO_DIR")]]
_Run = Positional[Annotated[Path, arg(metavar="RUN")]]


@dataclass
class Train(Command):
    """Train Mask R-CNN on labelled images. Run again, the same command goes on from where it was."""

    data: _Data
    """Folder with labelled images: COCO's JSON beside them, or images with pictures of instance numbers; or the word
    `synthetic`: rendered pictures of simple solids."""
    out: Path
    """The run's folder: options, checkpoints, log, TensorBoard's curves, val.json and report.html."""
    preset: Literal["small"] | None = None
    """Options that go together: `small` is for small images of few things on a processor, such as `synthetic`."""
    weights: str | None = None
    """What training begins with: COCO_V1 or IMAGENET1K_V1 (downloaded once), a file, or another run. By default random
    numbers."""
    reset_heads: bool = False
    """Start the last layers anew where the weights are for another number of classes."""
    config: Path | None = None
    """Options as YAML, as a run's config.yaml has them; by default the run's own, or the defaults."""
    set: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="KEY=VALUE")] = ()
    """One option, such as optimiser.batch=4; may be given many times."""
    max_minutes: float | None = None
    """Train for so many minutes in all; learning rates end with them."""
    steps: int | None = None
    """Train for so many steps in all; by default 10,000, or what the minutes allow."""

    def run(self) -> int:
        """See `anyview.pipelines.segmentation.train_segmentation`."""
        from anyview.training.extra import require_learn

        require_learn()
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_figures, print_trained
        from anyview.segmentation.config import chosen

        options = chosen(
            self.out, self.config, self.preset, self.set,
            {"weights": self.weights, "reset_heads": self.reset_heads or None, "loop.max_minutes": self.max_minutes,
             "loop.steps": self.steps},
        )  # fmt: skip
        from anyview.pipelines.segmentation import train_segmentation

        with TerminalProgress() as progress:
            result, scores, page = train_segmentation(self.data, self.out, options, progress)
        if scores is not None:
            print_figures(scores, "val", page)
        print_trained(self.out, result)
        return 0


@dataclass
class Evaluate(Command):
    """Average precision of a run's boxes and masks on labelled images, and a page of the images that went worst."""

    folder: _Run
    """Folder that `anyview segment train` has made."""
    data: Positional[Annotated[str | None, arg(metavar="COCO_DIR")]] = None
    """Labelled images; by default those that the run was trained with."""
    split: Literal["train", "val"] = "val"
    """Which of them."""
    json: Path | None = None
    """Where the figures go as JSON; by default to val.json in the run's folder."""
    weights: Literal["best", "latest"] = "best"
    """Those of the best validation, or the last ones."""

    def run(self) -> int:
        """See `anyview.pipelines.segmentation.evaluate_segmentation`."""
        from anyview.training.extra import require_learn

        require_learn()
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_figures
        from anyview.pipelines.segmentation import evaluate_segmentation

        with TerminalProgress() as progress:
            scores, page = evaluate_segmentation(
                self.folder, self.data, self.split, self.json, weights=self.weights, progress=progress
            )
        print_figures(scores, self.split, page)
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
        from anyview.training.extra import require_learn

        require_learn()
        from anyview.cli.progress import TerminalProgress
        from anyview.cli.segmentation_output import print_demo
        from anyview.pipelines.segmentation_demo import segmentation_demo

        with TerminalProgress() as progress:
            made = segmentation_demo(self.out, self.max_minutes, progress)
        print_demo(self.out, made)
        return 0


@dataclass
class Segment(Command):
    """Instance segmentation: train Mask R-CNN on labelled images, score it, find objects; a demonstration."""

    verb: Annotated[
        Union[  # noqa: UP007 (tyro reads it)
            Annotated[Train, subcommand("train", prefix_name=False)],
            Annotated[Evaluate, subcommand("eval", prefix_name=False)],
            Annotated[Predict, subcommand("predict", prefix_name=False)],
            Annotated[Demo, subcommand("demo", prefix_name=False)],
        ],
        arg(name=""),
    ]

    def run(self) -> int:
        """Do the verb."""
        return self.verb.run()
