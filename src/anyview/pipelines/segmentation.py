"""A segmentation model's training and its figures, each ending with the run's page.

The page is the last thing and the least: whatever happens to it, the work before it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.report.segmentation_page import write_segmentation_report
from anyview.segmentation.data.folder import Split
from anyview.segmentation.evaluate import Scores, score
from anyview.segmentation.figures_file import EvaluatedImages, write_figures
from anyview.segmentation.run import open_run
from anyview.segmentation.train_data import evaluation_data
from anyview.segmentation.train_options import SegmentationOptions

if TYPE_CHECKING:
    from anyview.training.loop import TrainingResult


def train_segmentation(
    folder: str | Path, run: Path, options: SegmentationOptions, progress: Progress = SILENT
) -> tuple["TrainingResult", Scores | None, Path | None]:
    """See `anyview.segmentation.train.train_segmentation`; at the end the best weights are evaluated.

    Returns:
        the result, what `evaluate_segmentation` gives; None for both where there is nothing to validate on.
    """
    from anyview.segmentation import train  # its library takes seconds to load

    result = train.train_segmentation(folder, run, options, progress)
    if result.best is None:
        return result, None, None
    return result, *evaluate_segmentation(run, progress=progress)


def evaluate_segmentation(
    run: Path,
    folder: str | Path | None = None,
    split: Split = "val",
    json_path: Path | None = None,
    *,
    out: Path | None = None,
    weights: Literal["best", "latest"] = "best",
    progress: Progress = SILENT,
) -> tuple[Scores, Path | None]:
    """Figures of a run on labelled images, as JSON and a page: `RUN/val.json` (or train.json) and `RUN/report.html`;
    of other images than the run's own in `RUN/eval/NAME`, where NAME is that of their folder.

    Args:
        run: the run's folder.
        folder: labelled images, or "synthetic"; by default those of the run. Their classes go by name.
        split: which of them, see `anyview.segmentation.train_data.evaluation_data`.
        json_path: of the figures, elsewhere.
        out: folder for the figures and the page, elsewhere.
        weights: those of the best validation, or the last ones.
        progress: told how it goes.

    Returns:
        the figures, and the page or None where it could not be written.

    Raises:
        WorkspaceError: no run, nothing trained.
        OptionError: no such images.
        FormatError: the images or the run are damaged.
    """
    opened = open_run(run, weights, progress=progress)
    place = opened.options.folder if folder is None else folder
    data = evaluation_data(place, split, opened.classes, opened.options, opened.images, progress)
    if data is None:
        raise OptionError("no images of this split", where=place, expected=split, hint="choose --split train")
    scores = score(opened.model, data, opened.options.loop.precision, progress)
    images = EvaluatedImages(str(place), split)
    out = _place(run, opened.options.folder, place) if out is None else out
    write_figures(json_path or out / f"{split}.json", scores, images, opened.step)
    try:
        return scores, write_segmentation_report(run, scores, data, images, opened.step, progress, out)
    except Exception as error:  # no failure here is worth the loss of the figures
        words = " ".join(str(error).split()) or type(error).__name__
        progress.note(f"report.html was not written, all else was: {words}")
        return scores, None


def _place(run: Path, own: str, images: str | Path) -> Path:
    """Where an evaluation's files go: beside the run's own only if it is of the run's own images."""
    full = Path(images).resolve()
    if own in (str(images), str(full)):
        return run
    return run / "eval" / (full.stem if full.is_file() else full.name)
