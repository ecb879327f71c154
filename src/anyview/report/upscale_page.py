"""`OUT/report.html` of enlarged images: a part of each, bicubic and the network's, with a slider between them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as PillowImage

from anyview import __version__
from anyview.formats.files import atomic_write
from anyview.report import sections, words
from anyview.report.document import document
from anyview.report.html import EMPTY, Html, join, picture, tag
from anyview.superresolution.choice import Chosen
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.upscale import Done, Upscaled

_MOST = 24  # pictures on a page
_QUALITY = 92  # of WebP: what is compared shall not be the compression

_LEAD = (
    "The part of each image with most detail. Left of the edge bicubic, as most programs enlarge; right of it the "
    "network. Drag the edge, or use the arrow keys."
)


def write_upscale_page(made: Upscaled, chosen: Chosen, enlarger: Enlarger) -> Path:
    """Write the page.

    Args:
        made: what has been enlarged.
        chosen: the networks.
        enlarger: that they ran in.

    Returns:
        The page's path, `report.html` in the folder of the results.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    path = made.out / "report.html"
    shown = [one for one in made.done if one.before is not None and one.after is not None]
    films = [one for one in made.done if one.before is None]
    kind = "; ".join(str(network.options) for network in chosen.networks)
    body = join(
        tag(
            "header",
            tag("p", "anyview", class_="mark"),
            tag("h1", made.out.resolve().name),
            tag("p", f"Enlarged x{chosen.scale} with {chosen.name} ({kind}).", class_="lead"),
        ),
        tag(
            "main",
            sections.tiles(_headline(made, chosen, enlarger)),
            sections.section("Before and after", _LEAD, tag("div", *map(_compared, shown[:_MOST]), class_="compares"))
            if shown
            else EMPTY,
            tag("p", f"{len(shown) - _MOST} more are not shown.", class_="soft") if len(shown) > _MOST else EMPTY,
            sections.section("Films", "They lie beside this page.", _list(films)) if films else EMPTY,
            sections.section("Not done", "These files cannot be read.", _damaged(made)) if made.damaged else EMPTY,
        ),
        tag("footer", tag("p", f"Written by anyview {__version__}.")),
    )
    text = document(made.out.resolve().name, body, styles=("style.css", "compare.css"), script="compare.js")
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _headline(made: Upscaled, chosen: Chosen, enlarger: Enlarger) -> list[tuple[str, str]]:
    device, dtype, turns = enlarger.settings
    return [
        ("Files", words.count(len(made.done))),
        ("Scale", f"x{chosen.scale}"),
        ("Precision", dtype.removeprefix("torch.")),
        ("Device", device),
        *([("Turns", "8")] if turns else []),
    ]


def _compared(one: Done) -> Html:
    """Both pictures, one over the other."""
    assert one.before is not None
    assert one.after is not None
    facts = f"{one.what} to {one.size[0]} x {one.size[1]}"
    head = tag("div", tag("h3", one.name), tag("span", facts, class_="soft"), class_="head")
    figure = tag(
        "div",
        _picture(one.before, f"{one.name}, bicubic", "before"),
        _picture(one.after, f"{one.name}, by the network", "after"),
        tag("input", type_="range", min_="0", max_="100", value="50", aria_label=f"edge in {one.name}"),
        tag("div", class_="edge"),
        class_="compare",
    )
    return tag("div", head, tag("div", figure, class_="stage"), class_="card")


def _picture(path: Path, alt: str, class_: str) -> Html:
    with PillowImage.open(path) as image:
        return picture(image.convert("RGB"), alt, quality=_QUALITY, class_=class_)


def _list(films: list[Done]) -> Html:
    rows = [tag("tr", tag("th", f.name), tag("td", f"{f.what} to {f.size[0]} x {f.size[1]}")) for f in films]
    return tag("div", tag("table", tag("tbody", *rows)), class_="card scroll")


def _damaged(made: Upscaled) -> Html:
    return tag("ul", *(tag("li", str(error)) for error in made.damaged), class_="notes")
