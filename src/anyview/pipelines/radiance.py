"""A radiance field's training, figures and films, each ending with the run's page.

The page is the last thing and the least: whatever happens to it, the work before it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anyview.compute import cpu_count
from anyview.compute.machine import cpu_name
from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.radiance.evaluate import Figures, evaluate
from anyview.radiance.options import RadianceOptions
from anyview.radiance.render import Film, render_path
from anyview.radiance.run import Run, open_run
from anyview.report.field_page import write_field_report
from anyview.workspace.workspace import Task, Workspace

if TYPE_CHECKING:
    from anyview.training.loop import TrainingResult

Weights = Literal["best", "latest"]


def train_field(
    scene: Path, run: Path, options: RadianceOptions, progress: Progress = SILENT
) -> tuple["TrainingResult", Path | None]:
    """See `anyview.radiance.train.train_field`.

    Returns:
        the result, and the page or None where it could not be written.
    """
    from anyview.radiance import train  # its library takes seconds to load

    result = train.train_field(scene, run, options, progress)

    def page() -> Path:
        _machine_task(run).done([], machine=_machine(options))
        return write_page(open_run(run), progress=progress)

    return result, _guarded(page, progress)


def evaluate_field(
    folder: Path,
    split: Literal["train", "val", "test"] | None = None,
    scale: int | None = None,
    json_path: Path | None = None,
    *,
    with_lpips: bool = False,
    weights: Weights = "best",
    scene: Path | None = None,
    progress: Progress = SILENT,
) -> tuple[Figures, Path | None]:
    """See `anyview.radiance.evaluate.evaluate`; without a split: test where there are some, else val.

    Args:
        scene: where the run's scene lies now, if not where it was.

    Returns:
        the figures, and the page or None where it could not be written.
    """
    run = open_run(folder, weights, scene, progress=progress)
    split = split or ("test" if run.views.test else "val")
    figures = evaluate(run, split, scale, json_path, with_lpips=with_lpips, progress=progress)
    return figures, _guarded(lambda: write_page(run, figures, progress=progress), progress)


def render_film(
    folder: Path,
    path: str,
    frames: int = 120,
    size: tuple[int, int] | None = None,
    fps: float = 30.0,
    out: Path | None = None,
    *,
    elevation: float | None = None,
    weights: Weights = "best",
    scene: Path | None = None,
    progress: Progress = SILENT,
) -> tuple[Film, Path | None]:
    """See `anyview.radiance.render.render_path`.

    Args:
        elevation: of an orbit, degrees above the horizon, see `anyview.radiance.paths.orbit`; its film lies in
            `renders/orbit_ELEVATION` by default.
        scene: where the run's scene lies now, if not where it was.

    Returns:
        the film, and the page or None where it could not be written.

    Raises:
        OptionError: the elevation of another path.
    """
    if elevation is not None:
        if path != "orbit":
            raise OptionError(
                "only an orbit has an elevation", where="--elevation", expected="--path orbit", actual=path
            )
        path = f"orbit:{elevation:.9g}"
    if path.startswith("orbit:") and out is None:
        out = folder / "renders" / path.replace(":", "_")
    run = open_run(folder, weights, scene, progress=progress)
    film = render_path(run, path, frames, size, fps, out, progress)
    return film, _guarded(lambda: write_page(run, film=film, progress=progress), progress)


def write_page(run: Run, figures: Figures | None = None, film: Film | None = None, progress: Progress = SILENT) -> Path:
    """Write `RUN/report.html` from what the run's folder holds now.

    Args:
        run: from `open_run`.
        figures: to be shown, such as those of another scale; by default what `evaluate` has left.
        film: shown too where it does not lie in the run's folder.
        progress: told how the work advances.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    record = _machine_task(run.folder).record()
    machine = str(record["notes"]["machine"]) if record else ""
    return write_field_report(run, figures, [film.folder] if film else [], machine, progress)


def _guarded(write: Callable[[], Path], progress: Progress) -> Path | None:
    """The page, or None and a sentence: no failure here is worth the loss of what has been trained."""
    try:
        return write()
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        progress.note(f"report.html was not written, all else was: {words}")
        return None


def _machine_task(run: Path) -> Task:
    """Whose notes say where a run was trained last."""
    return Workspace(run).task("machine", 1)


def _machine(options: RadianceOptions) -> str:
    import torch

    words = f"{cpu_name()}, {cpu_count()} cores"
    if options.loop.device != "cpu" and torch.cuda.is_available():
        words = f"{torch.cuda.get_device_name()}, {words}"
    return words
