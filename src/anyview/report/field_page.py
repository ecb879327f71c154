"""`RUN/report.html` of a radiance field: curves, renders, errors, depth, films, options, in one self-contained file.

Only films lie beside it. What is missing is left out and told in a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from anyview import __version__
from anyview.errors import AnyviewError
from anyview.formats.files import atomic_write
from anyview.formats.images import read_image
from anyview.progress import SILENT, Progress
from anyview.radiance.evaluate import Figures, done_figures
from anyview.radiance.run import Run
from anyview.report import field_sections as parts
from anyview.report import sections, words
from anyview.report.cameras_plot import draw_cameras
from anyview.report.document import document
from anyview.report.field_curves import curves
from anyview.report.field_views import held_back, shown_views
from anyview.report.html import EMPTY, Html, join, tag
from anyview.report.pictures import fit
from anyview.scene.scene import Scene
from anyview.training.log import read_log

_STEPS = 4
_BARE_NAMES = {"", "scene", "data", "images", "sparse"}
_POSTER = 640  # pixels wide


def write_field_report(
    run: Run, figures: Figures | None = None, films: Sequence[Path] = (), machine: str = "", progress: Progress = SILENT
) -> Path:
    """Write the page of a run.

    Args:
        run: its field, its views; the folder is read: log, pictures of `evaluate`, films in `renders/`.
        figures: of an evaluation that is to be shown; by default what `evaluate` has left for these weights.
        films: folders with `color.mp4` and `depth.mp4` that are shown too, wherever they lie.
        machine: on which the field was trained, in words.
        progress: told how the work advances.

    Returns:
        The page's path, `RUN/report.html`.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    path = run.folder / "report.html"
    with progress.stage("report", _STEPS) as advance:
        missing: list[str] = []
        log = _log(run, missing)
        done = [figures] if figures is not None else [d for s in ("test", "val") if (d := done_figures(run, s))]
        main = done[0] if done else None
        advance()
        shown, not_shown = shown_views(run, main)
        advance()
        beside = _films(run, films)
        scene = _scene(run)
        light, dark = (draw_cameras(scene, dark=is_dark) for is_dark in (False, True))
        advance()
        split = main.split if main else held_back(run)[0]
        body = join(
            _header(run, log, main, machine),
            tag(
                "main",
                sections.tiles(_headline(run, log, main)),
                sections.section("Training", _training_lead(log), curves(log)) if log else EMPTY,
                parts.views(shown, split, run.step, main is not None),
                *(parts.all_views(one, run.folder) for one in done),
                parts.films(beside, run.folder),
                sections.cameras(light, dark, sections.scene_facts(scene, {})),
                sections.notes({}, missing + not_shown),
                parts.options(run.options),
            ),
            tag("footer", tag("p", f"Written by anyview {__version__}.")),
        )
        text = document(_name(run), body, styles=("style.css", "field.css"), films=bool(beside))
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        advance()
    return path


def _log(run: Run, missing: list[str]) -> dict[str, np.ndarray]:
    try:
        return dict(read_log(run.folder))
    except AnyviewError as error:
        missing.append(f"The curves are not shown: {error}.")
        return {}


def _name(run: Run) -> str:
    name = Path(run.options.scene).name
    return name if name not in _BARE_NAMES else Path(run.options.scene).parent.name or run.folder.resolve().name


def _header(run: Run, log: dict[str, np.ndarray], figures: Figures | None, machine: str) -> Html:
    trained = f"{machine}; anyview {run.options.anyview}" if machine else f"anyview {run.options.anyview}"
    return tag(
        "header",
        tag("p", "anyview", class_="mark"),
        tag("h1", _name(run)),
        tag("p", f"Radiance field {run.options.field}: any view from posed images", class_="lead"),
        tag("p", f"Trained on {trained}" if machine else f"Trained by {trained}", class_="lead small"),
    )


def _headline(run: Run, log: dict[str, np.ndarray], figures: Figures | None) -> list[tuple[str, str]]:
    """The few numbers that matter."""
    facts: list[tuple[str, str]] = []
    if figures is not None:
        means = figures.means()
        facts += [
            (f"{parts.NAMES[n]}, {len(figures.views)} {figures.split} views", parts.figure(n, v))
            for n, v in means.items()
        ]
    validated = log.get("validation/psnr")
    if validated is not None and np.isfinite(validated).any():
        facts.append(("Best validation", parts.figure("psnr", float(np.nanmax(validated)))))
    seconds = log.get("seconds")
    if seconds is not None and np.isfinite(seconds).any():
        facts.append(("Trained", words.duration(float(np.nanmax(seconds)))))
    facts.append(("Steps", words.count(float(log["step"][-1])) if log else words.count(run.step)))
    facts.append(("Views learnt from", words.count(len(run.views.train))))
    return facts


def _training_lead(log: dict[str, np.ndarray]) -> str:
    if "validation/psnr" not in log:
        return "There were no views to validate on. Hold the mouse over a drawing to read its values."
    return (
        "PSNR of training is of the rays of a step; that of validation is of a few pixels of every held-back view, the "
        "same ones always. Hold the mouse over a drawing to read its values."
    )


def _films(run: Run, given: Sequence[Path]) -> list[parts.ShownFilm]:
    """Films in the run's folder and those given, colour before depth."""
    folders = {folder.resolve(): None for folder in (*given, *sorted((run.folder / "renders").glob("*/")))}
    weights = max((p.stat().st_mtime for p in (run.folder / "checkpoints").glob("*.safetensors")), default=0.0)
    found = []
    for folder in folders:
        for kind in ("color", "depth"):
            film = folder / f"{kind}.mp4"
            if film.is_file():
                source = Path(os.path.relpath(film, run.folder.resolve())).as_posix()
                is_old = film.stat().st_mtime < weights
                found.append(parts.ShownFilm(f"{folder.name}, {kind}", source, _poster(folder / kind), is_old))
    return found


def _poster(frames: Path) -> PillowImage.Image | None:
    """The first frame, small."""
    try:
        rgb, _ = read_image(frames / "00000.png")
    except AnyviewError:
        return None
    return fit(np.rint(rgb * 255).astype(np.uint8), _POSTER, 2 * _POSTER).convert("RGB")


def _scene(run: Run) -> Scene:
    """The scene with the splits that the field was trained by."""
    views = [replace(v, split=s) for s in ("train", "val", "test") for v in getattr(run.views, s)]
    return replace(run.views.scene, views=tuple(views))
