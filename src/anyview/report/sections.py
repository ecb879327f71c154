"""The parts of the report, one function each: facts in, finished HTML out. A part without facts is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from anyview.reconstruction.options import ReconstructionOptions
from anyview.report import words
from anyview.report.cloud_view import PackedCloud
from anyview.report.html import EMPTY, Html, data_uri, join, picture, tag
from anyview.report.material import Sample
from anyview.report.rasterize import Render
from anyview.scene.scene import Scene

_TURBO = "linear-gradient(90deg,#900c00,#f1731d,#dfdf37,#63fe63,#2bb9f0,#4659d8,#30123b)"
_ERROR = "linear-gradient(90deg,rgb(49,54,149),rgb(69,160,190),rgb(120,198,121),rgb(254,224,96),rgb(215,48,39))"
_SPARSE = {
    "points": "Sparse points",
    "pairs": "Matched pairs",
    "moved_mean": "Cameras moved, mean",
    "moved_max": "Cameras moved, most",
    "turned_mean": "Cameras turned, mean",
    "turned_max": "Cameras turned, most",
}
_UNITS = {"mean_reprojection_error": " px", "turned_mean": "°", "turned_max": "°"}
_MOVES = ("moved_", "turned_")
_STAGES = {"sparse": "Sparse points", "dense": "Depth maps", "fuse": "Fusion", "mesh": "Mesh"}


def section(title: str, lead: str, *children: str) -> Html:
    """A titled part of the page."""
    return tag("section", tag("h2", title), tag("p", lead, class_="soft"), *children)


def table(rows: Sequence[tuple[str, str]], **attributes: str) -> Html:
    """Names and values in two columns."""
    body = join(*(tag("tr", tag("th", name, scope="row"), tag("td", text)) for name, text in rows))
    return tag("table", tag("tbody", body), **attributes)


def headline(summary: Mapping[str, Any], scene: Scene | None, faces: int | None) -> Html:
    """The few numbers that matter."""
    facts: list[tuple[str, str]] = []
    views = summary.get("views") or (len(scene) if scene else None)
    sparse, dense, mesh = (_dict(summary, name) for name in ("sparse", "dense", "mesh"))
    stages = _stages(summary)
    for name, number, spell in (
        ("Views", views, words.short_count),
        ("Sparse points", sparse.get("points"), words.short_count),
        ("Dense points", dense.get("points"), words.short_count),
        ("Mesh faces", mesh.get("faces", faces), words.short_count),
        ("Time", sum(stages.values()) if stages else None, words.duration),
        ("Peak memory", summary.get("peak_memory_bytes"), words.size),
    ):
        if number is not None and _number(number):
            facts.append((name, spell(float(number))))
    tiles = (tag("div", tag("dt", name), tag("dd", with_small_units(text))) for name, text in facts)
    return tag("dl", *tiles, class_="stats") if facts else EMPTY


def viewer(packed: PackedCloud, still: Render) -> Html:
    """The turning cloud; its still picture stays where the browser has no WebGL."""
    buttons = (("cameras", "Cameras"), ("spin", "Spin"), ("reset", "Reset"))
    return tag(
        "div",
        picture(still.rgba(), "the dense cloud", class_="still", loading="eager"),
        tag("canvas", tabindex="0", role="img", aria_label="The dense cloud; drag or use the arrow keys to turn it"),
        tag("p", "Drag to turn, click and scroll to zoom, right button to move", class_="hint"),
        tag("p", "A still picture: this browser shows no WebGL, or runs no scripts.", class_="without"),
        tag(
            "div",
            *(tag("button", text, type="button", data_does=does, aria_pressed="false") for does, text in buttons),
            class_="tools",
        ),
        tag("script", Html(packed.data), type="text/plain", id="cloud-bytes"),
        tag("script", Html(packed.cameras), type="text/plain", id="camera-bytes"),
        id="viewer",
        class_="card",
        data_count=packed.count,
        data_spacing=f"{packed.spacing:g}",
    )


def cameras(light: PillowImage.Image, dark: PillowImage.Image, facts: Sequence[tuple[str, str]]) -> Html:
    """The layout of the cameras beside facts of the scene and the sparse model."""
    drawing = tag(
        "picture",
        tag("source", srcset=data_uri(dark), media="(prefers-color-scheme: dark)"),
        picture(light, "where the cameras stand"),
    )
    return section(
        "Cameras",
        "Each pyramid is a view: its tip is where the camera stood, its base is the image, the flag is up.",
        tag(
            "div",
            tag("div", drawing, class_="card"),
            tag("div", table(facts, class_="facts"), class_="card"),
            class_="split",
        ),
    )


def scene_facts(scene: Scene, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Views, image sizes, and the sparse model's numbers."""
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene})
    splits = {split: sum(view.split == split for view in scene) for split in sorted({v.split for v in scene})}
    rows = [
        ("Views", ", ".join(f"{number} {name}" for name, number in splits.items())),
        ("Image size", ", ".join(f"{w}x{h}" for w, h in sizes[:3]) + (" ..." if len(sizes) > 3 else "")),
        ("Camera models", ", ".join(sorted({view.camera.model for view in scene}))),
        ("Format", scene.format),
    ]
    for name, number in _dict(summary, "sparse").items():
        # Cameras that were held fixed have moved by nothing: that is no fact worth a line.
        if not _number(number) or (number == 0 and name.startswith(_MOVES)):
            continue
        text = words.count(number) if float(number).is_integer() else f"{number:.3f}"
        rows.append((_SPARSE.get(name, words.title(name)), text + _UNITS.get(name, "")))
    return rows


def views(samples: Sequence[Sample]) -> Html:
    """Photographs beside their depth and normals."""
    if not samples:
        return EMPTY

    def cell(image: Any, alt: str) -> Html:
        return tag("div", tag("p", f"no {alt}", class_="soft") if image is None else picture(image, alt))

    rows = []
    for sample in samples:
        legend = EMPTY
        if sample.limits:
            near, far = (words.length(x) for x in sample.limits)
            legend = join(
                tag("span", f"depth {near}", tag("i", style=f"background:{_TURBO}"), far, class_="legend"),
                tag(
                    "span",
                    f"{min(sample.filled, 1):.0%} of the object has depth"
                    if sample.masked
                    else f"{sample.filled:.0%} has depth",
                    class_="legend",
                ),
            )
        rows.append(
            tag(
                "div",
                tag("div", tag("h3", sample.view.name), legend, class_="head"),
                tag(
                    "div",
                    cell(sample.photo, "photograph"),
                    cell(sample.depth, "depth map"),
                    cell(sample.normals, "normal map"),
                    class_="row",
                ),
                class_="card",
            )
        )
    return section(
        "From photographs to depth and normals",
        "Views spread over the capture. Depth is along the optical axis, in scene units; normals are red to the right, "
        "green upwards, blue towards the camera. Empty pixels have no reliable depth.",
        tag("div", *rows, class_="views"),
    )


def sides(title: str, lead: str, renders: Sequence[Render], *extra: str) -> Html:
    """A cloud or a mesh from its sides."""
    if not renders:
        return EMPTY
    cards = (
        tag("div", picture(render.rgba(), f"{title}, side {i + 1}", quality=80), class_="card")
        for i, render in enumerate(renders)
    )
    return section(title, lead, *extra, tag("div", *cards, class_="sides"))


def accuracy(evaluation: Mapping[str, Any], renders: Sequence[Render]) -> Html:
    """Precision, recall and F1 per threshold, and where the errors are."""
    scores = [s for s in evaluation.get("scores") or () if isinstance(s, Mapping)]
    if not scores:
        return EMPTY
    names = ("precision", "recall", "f1")
    head = tag("tr", tag("th", "Threshold"), *(tag("th", n.title(), class_="n") for n in names))
    rows = (
        tag(
            "tr",
            tag("th", _threshold(score), scope="row"),
            *(tag("td", f"{float(score.get(n, 0)):.1%}", class_="n") for n in names),
        )
        for score in scores
    )
    facts = [
        (words.title(n), words.length(evaluation[n]) if "to_" in n else words.count(evaluation[n]))
        for n in ("predicted", "true", "dropped", "median_to_truth", "mean_to_truth", "median_to_predicted")
        if _number(evaluation.get(n))
    ]
    largest = words.length(max(float(s.get("threshold", 0)) for s in scores))
    legend = tag("p", "error 0", tag("i", style=f"background:{_ERROR}"), f"{largest} and more", class_="legend pad")
    return section(
        "Accuracy",
        "Against the true surface: precision is the share of our points near it, recall the share of it near them.",
        tag(
            "div",
            tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="card scroll"),
            tag("div", table(facts, class_="facts"), class_="card") if facts else EMPTY,
            class_="split",
        ),
        join(
            legend,
            tag(
                "div",
                *(tag("div", picture(r.rgba(), "error", quality=80), class_="card") for r in renders),
                class_="sides",
            ),
        )
        if renders
        else EMPTY,
    )


def stages(summary: Mapping[str, Any]) -> Html:
    """Seconds and memory of each stage."""
    seconds = _stages(summary)
    if not seconds:
        return EMPTY
    total, memory = max(sum(seconds.values()), 1e-12), _dict(summary, "stage_memory_bytes")
    head = tag(
        "tr",
        tag("th", "Stage"),
        tag("th", "Time", class_="n"),
        tag("th", "Share", class_="n"),
        tag("th", ""),
        tag("th", "Peak memory", class_="n"),
    )
    rows = (
        tag(
            "tr",
            tag("th", _STAGES.get(name, words.title(name)), scope="row"),
            tag("td", words.duration(spent), class_="n"),
            tag("td", f"{spent / total:.0%}", class_="n"),
            tag("td", tag("i", style=f"width:{100 * spent / total:.1f}%"), class_="bar"),
            tag("td", words.size(memory[name]) if _number(memory.get(name)) else "-", class_="n"),
        )
        for name, spent in seconds.items()
    )
    return section(
        "Where the time went",
        f"{words.duration(sum(seconds.values()))} in all, without this page.",
        tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="card scroll"),
    )


def notes(summary: Mapping[str, Any], missing: Sequence[str]) -> Html:
    """What the run wants to be known, and what the page lacks."""
    warnings = [str(w) for w in _list(summary, "warnings")]
    plain = [str(n) for n in (*_list(summary, "notes"), _dict(summary, "sparse").get("note")) if n] + list(missing)
    if not warnings and not plain:
        return EMPTY
    items = [tag("li", w) for w in warnings] + [tag("li", n, class_="plain") for n in plain]
    return section("Notes", "What to know about this run.", tag("ul", *items, class_="notes"))


def options(chosen: Mapping[str, Any]) -> Html:
    """Every option; those that differ from the default stand out."""
    if not chosen:
        return EMPTY
    defaults = asdict(ReconstructionOptions())
    groups: dict[str, Mapping[str, Any]] = {"": {k: v for k, v in chosen.items() if not isinstance(v, Mapping)}}
    groups |= {k: v for k, v in chosen.items() if isinstance(v, Mapping)}
    cards = []
    for group, values in groups.items():
        usual = defaults if not group else defaults.get(group, {})
        rows = (
            tag(
                "tr",
                tag("th", tag("code", f"--{group + '.' if group else ''}{name}".replace("_", "-")), scope="row"),
                tag("td", words.value(value)),
                class_="changed" if name in usual and usual[name] != _plain(value) else "usual",
            )
            for name, value in values.items()
        )
        if values:
            body = tag("table", tag("tbody", *rows))
            cards.append(tag("div", tag("h3", words.title(group) if group else "All stages"), body, class_="card"))
    return section(
        "Options",
        "Every option of this run; coloured where it is not the default.",
        tag("div", *cards, class_="options"),
    )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _threshold(score: Mapping[str, Any]) -> str:
    text = words.length(float(score.get("threshold", 0)))
    return f"{score['label']} ({text})" if score.get("label") else text


def tiles(facts: Sequence[tuple[str, str]]) -> Html:
    """The few numbers that matter; units are small."""
    cells = (tag("div", tag("dt", name), tag("dd", with_small_units(text))) for name, text in facts)
    return tag("dl", *cells, class_="stats")


def with_small_units(text: str) -> Html:
    """The letters of "1 min 15 s" smaller than its digits."""
    return join(
        *(tag("small", f" {w}") if w.isalpha() else (" " if i else "") + w for i, w in enumerate(text.split(" ")))
    )


def _stages(summary: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage, without the report's own: the first page of a run cannot know it."""
    return {k: float(v) for k, v in _dict(summary, "stages").items() if _number(v) and k != "report"}


def _dict(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = summary.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(summary: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = summary.get(name)
    return value if isinstance(value, list | tuple) else []


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
