"""`RUN/report.html` of a segmentation run: figures, curves, the images that went worst, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from anyview import __version__
from anyview.errors import AnyviewError
from anyview.formats.coco_masks import RLE, decode_mask
from anyview.formats.files import atomic_write
from anyview.progress import SILENT, Progress
from anyview.report import sections, words
from anyview.report.curves import Series, chart, smoothed
from anyview.report.document import document
from anyview.report.html import EMPTY, Html, join, picture, tag
from anyview.report.pictures import fit
from anyview.segmentation.average_precision import FIGURES
from anyview.segmentation.data.classes import Classes
from anyview.segmentation.data.items import InstanceData
from anyview.segmentation.drawing import color_of, line_width, tint
from anyview.segmentation.evaluate import Scores
from anyview.segmentation.figures_file import EvaluatedImages
from anyview.segmentation.image_scores import CONFIDENT, ImageScore, image_scores, rle_of
from anyview.training.log import read_log

_WORST = 12
_SIDE = 640  # of a picture, pixels
_SMOOTH = 40  # a curve is smoothed over one part in so many, to each side


def write_segmentation_report(
    folder: Path,
    scores: Scores,
    data: InstanceData,
    images: EvaluatedImages,
    step: int,
    progress: Progress = SILENT,
    out: Path | None = None,
) -> Path:
    """Write the page of an evaluation.

    Args:
        folder: of the run, whose log is read.
        scores: of the evaluation.
        data: that was evaluated on.
        images: where it comes from.
        step: of the weights.
        progress: told how the work advances.
        out: folder that the page is written to; None is the run's.

    Returns:
        The page's path, `report.html` there.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    path = (folder if out is None else out) / "report.html"
    worst = sorted(image_scores(scores.truth, scores.results), key=lambda s: (s.f_score, -s.missed - s.false))[:_WORST]
    classes = ", ".join(c.name for c in scores.truth.categories)
    rows = []
    with progress.stage("report", len(worst) + 1) as advance:
        for one in worst:
            rows.append(_pair(one, data))
            advance()
        body = join(
            tag(
                "header",
                tag("p", "anyview", class_="mark"),
                tag("h1", folder.resolve().name),
                tag("p", f"Instance segmentation: {classes}. Judged by {images.folder}.", class_="lead"),
            ),
            tag(
                "main",
                sections.tiles(_headline(scores, step, images.split)),
                _curves(folder),
                sections.section("Figures", _FIGURES_LEAD, _table(scores)),
                sections.section("Classes", "Of all sizes. No figure means no truth.", _classes(scores)),
                sections.section("Worst images", _WORST_LEAD, tag("div", *rows, class_="pairs")) if rows else EMPTY,
            ),
            tag("footer", tag("p", f"Written by anyview {__version__}.")),
        )
        text = document(folder.resolve().name, body, styles=("style.css", "field.css", "segmentation.css"))
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        advance()
    return path


_FIGURES_LEAD = (
    "COCO's average precision (AP) and recall (AR): means over overlaps from 0.50 to 0.95, and over classes. Small is "
    "up to 32 x 32 pixels, medium up to 96 x 96."
)
_WORST_LEAD = (
    f"Left what is there, right what was found with a score of at least {CONFIDENT:g}, by F-score (matches overlap by "
    "half or more). A class has one colour in all pictures."
)


def _headline(scores: Scores, step: int, split: str) -> list[tuple[str, str]]:
    return [
        ("Mask AP", _figure(scores.mask.figures["AP"])),
        ("Box AP", _figure(scores.box.figures["AP"])),
        (f"Images, {split}", words.count(len(scores.truth.images))),
        ("Steps", words.count(step)),
    ]


def _table(scores: Scores) -> Html:
    rows = [(n.replace("_", " "), _figure(scores.mask.figures[n]), _figure(scores.box.figures[n])) for n in FIGURES]
    return _numbers(("", "masks", "boxes"), rows)


def _classes(scores: Scores) -> Html:
    rows = [
        (m.name, words.count(m.things), *(_figure(p.figures[n]) for n in ("AP", "AP50", "AR_100") for p in (m, b)))
        for m, b in zip(scores.mask.classes, scores.box.classes, strict=True)
    ]
    names = [f"{kind} {n}" for n in ("AP", "AP50", "AR") for kind in ("mask", "box")]
    return _numbers(("class", "things", *names), rows)


def _numbers(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose first column are names."""
    top = tag("tr", *(tag("th", word, class_="n" if i else "") for i, word in enumerate(head)))
    body = [tag("tr", tag("th", row[0]), *(tag("td", word, class_="n") for word in row[1:])) for row in rows]
    table = tag("table", tag("thead", top), tag("tbody", *body))
    return tag("div", table, class_="card scroll")


def _curves(folder: Path) -> Html:
    """Figures and losses of the training; empty where it has no log."""
    try:
        log = read_log(folder)
    except AnyviewError:
        return EMPTY
    step = log["step"]
    figures = [
        Series(name, step, log[column], "dots")
        for name, column in (("masks", "validation/mask_ap"), ("boxes", "validation/box_ap"))
        if column in log
    ]
    drawings = [chart("AP on validation images", "steps", "", figures)]
    for column in [c for c in log if c.startswith("loss")]:
        there = np.isfinite(log[column])
        x, y = step[there], log[column][there]
        if len(y):
            name = words.title(column)
            drawings.append(
                chart(name, "steps", "smoothed", [Series(name, x, smoothed(y, len(y) // _SMOOTH))], log=True)
            )
    return sections.section("Training", "Steps from left to right.", tag("div", *drawings, class_="charts"))


def _pair(one: ImageScore, data: InstanceData) -> Html:
    """An image with its true and its found things."""
    name = one.image.file_name
    counts = f"{one.matched} found, {one.missed} missed, {one.false} false"
    head = tag("div", tag("h3", name), tag("span", f"F {one.f_score:.2f}: {counts}", class_="soft"), class_="head")
    try:
        rgb = np.ascontiguousarray(data[one.index][0].numpy().transpose(1, 2, 0))
    except AnyviewError as error:
        return tag("div", head, tag("p", f"Cannot be shown: {error}.", class_="soft pad"), class_="card")
    true = [(rle_of(a, one.image), a.category_id) for a in one.truth if not a.crowd]
    found = [(r.mask, r.category_id) for r in reversed(one.found) if r.mask is not None]  # the best ones on top
    cells = (
        _cell(rgb, true, data.classes, f"{name}, what is there"),
        _cell(rgb, found, data.classes, f"{name}, what was found"),
    )
    return tag("div", head, tag("div", *cells, class_="row"), class_="card")


def _cell(rgb: UInt8[np.ndarray, "H W 3"], things: Sequence[tuple[RLE, int]], classes: Classes, alt: str) -> Html:
    """A picture with things, given by mask and category id, in the colours of their classes."""
    labels = {classes.ids[label]: label for label in classes.used}
    drawn = rgb.copy()
    for mask, category in things:
        tint(drawn, decode_mask(mask) > 0, color_of(labels[category]), line_width(rgb.shape[:2]))
    return tag("div", picture(fit(drawn, _SIDE, _SIDE), alt))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
