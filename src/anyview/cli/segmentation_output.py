"""What `anyview segment` says at its end: tables and paths, on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from anyview.cli.learned_output import print_page
from anyview.cli.output import console

if TYPE_CHECKING:
    from anyview.pipelines.segmentation_demo import SegmentationDemo
    from anyview.segmentation.evaluate import Scores

_SHOWN = {
    "AP": "AP", "AP50": "AP50", "AP75": "AP75", "AP_small": "APs", "AP_medium": "APm", "AP_large": "APl",
    "AR_100": "AR100",
}  # fmt: skip


def print_figures(scores: Scores, split: str) -> None:
    """COCO's figures of masks and boxes, and for each class a line about its masks."""
    table = Table(title=f"{len(scores.truth.images):,} images, {split}; classes by masks", title_justify="left")
    table.add_column("", overflow="fold")
    for name in ("count", *_SHOWN.values()):
        table.add_column(name, justify="right", no_wrap=True)
    things = f"{sum(one.things for one in scores.mask.classes):,}"
    for kind, part in (("masks", scores.mask), ("boxes", scores.box)):
        table.add_row(kind, things, *(_figure(part.figures[name]) for name in _SHOWN))
    table.add_section()
    for one in scores.mask.classes:
        values = (_figure(one.figures[name]) if name in one.figures else "" for name in _SHOWN)
        table.add_row(escape(one.name), f"{one.things:,}", *values)
    console().print(table)


def print_demo(run: Path, made: SegmentationDemo) -> None:
    """Figures, what was drawn, and how to look for things in one's own pictures."""
    if made.scores is not None:
        print_figures(made.scores, "val")
    print_page(made.page, 10)
    screen = console()
    screen.print(f"picture    {made.sheet}", markup=False)
    screen.print(f"next       anyview segment train COCO_DIR --out RUN --weights {run} --reset-heads", markup=False)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
