"""What trainings of all engines say at their end, on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from anyview.cli.output import console

if TYPE_CHECKING:
    from anyview.training.loop import TrainingResult


def print_training(result: TrainingResult, page: Path | None, following: str) -> None:
    """What a training reached, its page if there is one, and the command that usually comes next."""
    screen = console()
    table = Table(title=f"{result.step:,} steps in {result.seconds / 60:.1f} minutes", title_justify="left")
    table.add_column("validation")
    table.add_column("last", justify="right")
    table.add_column("best", justify="right")
    for name, value in result.figures.items():
        best = result.best if result.best is not None and result.best.figure == name else None
        table.add_row(name, f"{value:.4g}", "" if best is None else f"{best.value:.4g} (step {best.step:,})")
    if result.figures:
        screen.print(table)
    else:
        screen.print(table.title)
    screen.print(f"checkpoint {result.checkpoint}", markup=False)
    print_page(page, 10)
    screen.print(f"next       {following}", markup=False)


def print_page(page: Path | None, width: int = 0) -> None:
    """Where the page is, if there is one.

    Args:
        page: its path.
        width: letters of the longest word before a path on the lines around it.
    """
    if page is not None:
        console().print(f"{'report':<{width}} {page}", markup=False)
