"""What `anyview radiance` says at its end: tables and paths, on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from anyview.cli.learned_output import print_page
from anyview.cli.output import console

if TYPE_CHECKING:
    from anyview.radiance.evaluate import Figures
    from anyview.radiance.render import Film


def print_figures(figures: Figures, page: Path | None) -> None:
    """A line per view, the means, and where the pictures are."""
    names = list(figures.means())
    table = Table(title=f"{figures.split}, step {figures.step:,}", title_justify="left")
    table.add_column("view")
    for name in names:
        table.add_column(name, justify="right")
    for view in figures.views:
        table.add_row(view.name, *(f"{getattr(view, name):.4f}" for name in names))
    table.add_section()
    if len(figures.scales) > 1:
        for scale in figures.scales:
            table.add_row(f"mean of scale 1/{scale}", *(f"{value:.4f}" for value in figures.means(scale).values()))
    table.add_row("mean", *(f"{value:.4f}" for value in figures.means().values()))
    screen = console()
    screen.print(table)
    screen.print(f"pictures {figures.folder}", markup=False)
    print_page(page, 8)


def print_film(film: Film, page: Path | None) -> None:
    """Where it is."""
    for name, path in (("color", film.color), ("depth", film.depth), ("frames", film.folder)):
        console().print(f"{name:<7} {path}", markup=False)
    print_page(page, 7)
