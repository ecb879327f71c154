"""The parts of a radiance field's page, one function each: facts in, HTML out. A part without facts is empty."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image as PillowImage

from anyview.radiance.colors import colored
from anyview.radiance.evaluate import LARGEST_ERROR, Figures
from anyview.radiance.options import RadianceOptions
from anyview.report import words
from anyview.report.field_views import ShownView
from anyview.report.html import EMPTY, Html, data_uri, join, picture, tag
from anyview.report.pictures import color_depth, depth_range
from anyview.report.sections import section, table

NAMES = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS"}
_WORDS = {"psnr": "{:.2f} dB", "ssim": "{:.4f}", "lpips": "{:.4f}"}
_SPLITS = {"test": "test views", "val": "validation views", "train": "training views"}


class ShownFilm(NamedTuple):
    """A film beside the page.

    Attributes:
        title: what it is called.
        source: its path from the page.
        poster: its first frame, or None.
        is_old: whether the weights have changed since.
    """

    title: str
    source: str
    poster: PillowImage.Image | None
    is_old: bool


def figure(name: str, value: float) -> str:
    """A figure with its unit."""
    return _WORDS.get(name, "{:.4g}").format(value)


def views(shown: Sequence[ShownView], split: str, step: int, is_evaluated: bool) -> Html:
    """Truth, render, error and depth in a row per view."""
    if not shown:
        return EMPTY
    held = "which the field has not learnt from" if split != "train" else "which the field has learnt from"
    size = "whole pictures" if is_evaluated else "the pictures shown, " + _sizes(shown)
    lead = (
        f"{words.title(_SPLITS.get(split, split))}, {held}, by the weights of step {step:,}. Figures are of {size}. "
        "The error is the mean over the three colours; depth is along the optical axis, in scene units."
    )
    return section("Renders", lead, tag("div", *map(_row, shown), class_="views"))


def _sizes(shown: Sequence[ShownView]) -> str:
    return ", ".join(f"{w}x{h}" for w, h in sorted({one.size for one in shown}))


def _row(one: ShownView) -> Html:
    limits = depth_range(one.depth)
    figures = ", ".join(f"{NAMES.get(n, n)} {figure(n, v)}" for n, v in one.figures.items())
    bars = [_legend("error", "0", f"{LARGEST_ERROR:g} and more", gradient("inferno"))]
    if limits:
        bars.append(_legend("depth", words.length(limits[0]), words.length(limits[1]), gradient("turbo_r")))
    depth = picture(color_depth(one.depth, limits), "depth") if limits else tag("p", "nothing is met", class_="soft")
    cells = [*(picture(getattr(one, n), n, quality=88) for n in ("truth", "render", "error")), depth]
    captions = ("truth", "render", "error", "depth")
    mark = tag("span", one.mark, class_=f"mark-{one.mark}") if one.mark else EMPTY
    return tag(
        "div",
        tag("div", tag("h3", one.name, mark), tag("span", figures, class_="legend"), *bars, class_="head"),
        tag("div", *(tag("div", c, tag("small", n)) for c, n in zip(cells, captions, strict=True)), class_="row four"),
        class_="card",
    )


def _legend(name: str, low: str, high: str, style: str) -> Html:
    return tag("span", f"{name} {low}", tag("i", style=f"background:{style}"), high, class_="legend")


def gradient(name: str) -> str:
    """One of matplotlib's colour maps as a CSS background."""
    colors = colored(np.linspace(0, 1, 9)[None], 0.0, 1.0, name)[0].tolist()
    return "linear-gradient(90deg," + ",".join(f"rgb({r},{g},{b})" for r, g, b in colors) + ")"


def all_views(figures: Figures, run: Path) -> Html:
    """Every view's figures, the best and the worst marked, and the means."""
    names = list(figures.means())
    order = sorted(range(len(figures.views)), key=lambda i: figures.views[i].psnr)
    marks = {order[-1]: "best", order[0]: "worst"} if len(order) > 1 else {}

    def row(name: str | Html, values: Mapping[str, float], kind: str = "") -> Html:
        cells = (tag("td", _WORDS[n].removesuffix(" dB").format(values[n]), class_="n") for n in names)
        return tag("tr", tag("th", name, scope="row"), *cells, class_=kind or "usual")

    def marked(i: int) -> Html:
        mark = tag("span", marks[i], class_=f"mark-{marks[i]}") if i in marks else EMPTY
        return join(figures.views[i].name, mark)

    scales = figures.scales if len(figures.scales) > 1 else []
    head = tag("tr", tag("th", "View"), *(tag("th", NAMES[n] + " (dB)" * (n == "psnr"), class_="n") for n in names))
    means = [row("Mean", figures.means(), "mean"), *(row(f"Mean of scale 1/{s}", figures.means(s)) for s in scales)]
    rows = [row(marked(i), {n: getattr(v, n) for n in names}) for i, v in enumerate(figures.views)]
    if len(rows) > 8:
        few = [rows[order[0]], rows[order[-1]]]
        whole = tag("table", tag("thead", head), tag("tbody", *rows))
        rest = tag("details", tag("summary", f"All {len(rows)} views"), tag("div", whole, class_="scroll"))
    else:
        few, rest = rows, EMPTY
    return section(
        f"Figures of the {_SPLITS.get(figures.split, figures.split)}",
        f"{len(rows)} whole pictures, by the weights of step {figures.step:,}. "
        f"The pictures lie in {_beside(figures.folder, run)}.",
        tag(
            "div",
            tag("div", tag("table", tag("thead", head), tag("tbody", *means, *few)), class_="scroll"),
            rest,
            class_="card",
        ),
    )


def _beside(path: Path, run: Path) -> str:
    return path.relative_to(run).as_posix() if path.is_relative_to(run) else str(path)


def films(shown: Sequence[ShownFilm], run: Path) -> Html:
    """Films that lie beside the page, or how to make one."""
    how = tag("code", f"anyview radiance render {shlex.quote(str(run))} --path orbit")
    if not shown:
        lead = "There is none yet. "
        return section(
            "Film", lead, tag("p", "Make one with ", how, ", or the path spiral or interpolate.", class_="card pad")
        )
    cards = []
    for film in shown:
        attributes = {"poster": data_uri(film.poster)} if film.poster is not None else {}
        if film.poster is not None:
            attributes |= {"width": str(film.poster.width), "height": str(film.poster.height)}
        video = tag(
            "video",
            tag("a", film.source, href=quote(film.source)),
            src=quote(film.source),
            controls=True,
            loop=True,
            muted=True,
            playsinline=True,
            preload="none",
            aria_label=film.title,
            **attributes,
        )
        old = tag("span", "of earlier weights", class_="mark-worst") if film.is_old else EMPTY
        cards.append(tag("div", video, tag("p", film.title, old, class_="pad soft"), class_="card"))
    lead = "The films are files beside this page, and play where they lie."
    return section("Film", lead, tag("div", *cards, class_="sides films"))


def options(chosen: RadianceOptions) -> Html:
    """Those that differ from the defaults, then every one; of the two fields only the trained one's."""
    usual, values = (_flat(asdict(o)) for o in (RadianceOptions(), chosen))
    left_out = ("anyview", "scene")
    other = "grid." if chosen.field == "mip" else "mip."
    values = {k: v for k, v in values.items() if k not in left_out and not k.startswith(other)}
    changed = [(k, v) for k, v in values.items() if v != usual[k]]
    lead = "What differs from the defaults." if changed else "Nothing differs from the defaults."
    rows = [
        tag("tr", tag("th", tag("code", k), scope="row"), tag("td", words.value(usual[k])), tag("td", words.value(v)))
        for k, v in changed
    ]
    head = tag("tr", tag("th", "Option"), tag("th", "Default"), tag("th", "This run"))
    body = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll") if rows else EMPTY
    every = table([(k, words.value(v)) for k, v in values.items()], class_="facts")
    return section("Options", lead, tag("div", body, _folded(f"All {len(values)} options", every), class_="card"))


def _folded(title: str, content: Html) -> Html:
    return tag("details", tag("summary", title), tag("div", content, class_="scroll"))


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Values by dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return found
