"""A whole HTML file around a body: styles and script inside, and a policy by which the browser loads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from anyview.report.html import EMPTY, Html, tag

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(
    name: str, body: Html, *, styles: Sequence[str] = ("style.css",), script: str | None = None, films: bool = False
) -> str:
    """The file's text.

    Args:
        name: in the title.
        body: header, main, footer.
        styles: files of this package.
        script: a file of this package.
        films: whether the page shows films that lie beside it.
    """
    here = files("anyview.report")

    def read(part: str) -> Html:
        return Html(here.joinpath(part).read_text(encoding="utf-8"))

    policy = (
        _POLICY + ("; script-src 'unsafe-inline'" if script else "") + ("; media-src 'self' file:" if films else "")
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{name} - anyview"),
        *(tag("style", read(part)) for part in styles),
    )
    end = tag("script", read(script)) if script else EMPTY
    page = tag("html", head, tag("body", body, end), lang="en")
    return f"<!doctype html>\n{page}\n"
