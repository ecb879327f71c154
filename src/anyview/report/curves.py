"""Curves as SVG inside the page: axes with round numbers, a line or dots per series, and values where the mouse is.

No script: a page is cut into narrow columns, and a column shows its values while the mouse is over it. All sizes are in
the drawing's own units, about pixels; colours come from the page's style sheet, so that they follow light and dark.
Letters: N points of a series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from anyview.report.html import EMPTY, Html, join, tag

_WIDTH, _HEIGHT = 560, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 548, 14, 244
_MOST_POINTS = 400  # of a line; more are not seen
_COLUMNS = 60


@dataclass(frozen=True, eq=False)
class Series:
    """One curve.

    Attributes:
        name: as the legend has it.
        x, y: (N,), x rising. Points that are not finite are left out.
        form: "line"; "faint" for what a line smooths (no legend, no values); "dots", joined by a line.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    form: Literal["line", "faint", "dots"] = "line"


def chart(
    title: str, x_name: str, y_name: str, series: Sequence[Series], *, log: bool = False, from_zero: bool = False
) -> Html:
    """A drawing with its title and legend; empty where no series has a point. The x axis begins at 0.

    Args:
        title: above the drawing.
        x_name, y_name: of the axes, with units.
        series: drawn in this order; those with a legend get colours of their own.
        log: a logarithmic y axis; points that are not above 0 are left out.
        from_zero: whether the y axis begins at 0, too.
    """
    kept = [one for one in (_clean(s, log) for s in series) if len(one.x)]
    if not kept:
        return EMPTY
    x_low, x_high = _span(np.concatenate([np.zeros(1), *(s.x for s in kept)]), pad=0.0)
    values = np.concatenate([np.zeros(int(from_zero)), *(s.y for s in kept)])
    y_low, y_high = _span(np.log10(values) if log else values, pad=0.06)
    y_low = max(y_low, 0.0) if from_zero else y_low

    def across(x: float) -> float:
        return _LEFT + (x - x_low) / (x_high - x_low) * (_RIGHT - _LEFT)

    def down(y: float) -> float:
        return _BOTTOM - ((math.log10(y) if log else y) - y_low) / (y_high - y_low) * (_BOTTOM - _TOP)

    colors = _colors(kept)
    y_ticks = log_ticks(10**y_low, 10**y_high) if log else ticks(y_low, y_high)
    parts = [
        *(_tick_y(down(y), text) for y, text in y_ticks),
        *(_tick_x(across(x), text) for x, text in ticks(x_low, x_high)),
        tag("path", d=f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}", class_="axis"),
        tag("text", x_name, x=_RIGHT, y=_HEIGHT - 8, class_="name end"),
        *(_draw(s, color, across, down) for s, color in zip(kept, colors, strict=True)),
        *_columns(kept, colors, across, down, x_name),
    ]
    words = [s.name for s in kept if s.form != "faint"]
    label = f"{title}, {y_name}: {', '.join(words)}"
    drawing = tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)
    legend = join(*(tag("span", tag("i"), w, class_=f"key c{k}") for k, w in enumerate(words))) if words[1:] else EMPTY
    head = tag("figcaption", tag("h3", title), tag("span", y_name, class_="unit"), legend)
    return tag("figure", head, drawing, class_="card chart")


def smoothed(y: Float64[np.ndarray, "N"], window: int) -> Float64[np.ndarray, "N"]:
    """Means over `window` neighbours to each side, over as many as there are on both sides near the ends."""
    sums = np.concatenate([[0.0], np.cumsum(y)])
    place = np.arange(len(y))
    reach = np.minimum(np.minimum(place, len(y) - 1 - place), window)
    means: Float64[np.ndarray, "N"] = (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1)
    return means


def ticks(low: float, high: float, wanted: int = 5) -> list[tuple[float, str]]:
    """About so many round numbers between two, each with its words."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(i * step, _words(i * step, decimals)) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two for a logarithmic axis: powers of ten, or 1, 2, 5 of each where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5), tuple(range(1, 10))):
        found = [(f, power) for power in powers for f in factors if low <= f * 10.0**power <= high]
        if len(found) >= 3:
            break
    if len(found) < 2:
        return ticks(low, high, 3)
    return [(f * 10.0**power, _words(f * 10.0**power, max(0, -power))) for f, power in found]


def _words(value: float, decimals: int) -> str:
    """A tick's number."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g} {letter}"
    if decimals > 4 and value:
        digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) + decimals)
        mantissa, _, power = f"{value:.{digits}e}".partition("e")
        return f"{mantissa}e{int(power)}"
    return f"{value + 0.0:.{decimals}f}"


def _value(value: float) -> str:
    """Four digits that tell, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _clean(series: Series, log: bool) -> Series:
    """The points that can be drawn."""
    there = np.isfinite(series.x) & np.isfinite(series.y) & ((series.y > 0) | (not log))
    return Series(series.name, series.x[there], series.y[there], series.form)


def _span(values: NDArray[np.float64], pad: float) -> tuple[float, float]:
    """Least and most, a little apart even where there is one value."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    return low - pad * (high - low), high + pad * (high - low)


def _colors(series: Sequence[Series]) -> list[str]:
    """A class for each; what is faint has the colour of the line after it."""
    number, found = 0, []
    for one in series:
        found.append(f"c{number}")
        number += one.form != "faint"
    return found


def _tick_y(y: float, text: str) -> Html:
    line = tag("path", d=f"M{_LEFT} {y:.1f}H{_RIGHT}", class_="grid")
    return join(line, tag("text", text, x=_LEFT - 9, y=f"{y + 5:.1f}", class_="end"))


def _tick_x(x: float, text: str) -> Html:
    line = tag("path", d=f"M{x:.1f} {_BOTTOM}v5", class_="axis")
    return join(line, tag("text", text, x=f"{x:.1f}", y=_BOTTOM + 21, class_="middle"))


_Place = Callable[[float], float]


def _draw(series: Series, color: str, across: _Place, down: _Place) -> Html:
    """A line, and its dots where they are few or all that there is."""
    chosen = np.unique(np.linspace(0, len(series.x) - 1, min(len(series.x), _MOST_POINTS)).round().astype(int))
    places = [(across(float(series.x[i])), down(float(series.y[i]))) for i in chosen]
    line = tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), class_=f"line {series.form} {color}")
    if len(places) > 1 and (series.form != "dots" or len(places) > 60):
        return line
    return join(line, *(tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.5", class_=color) for x, y in places))


def _columns(series: Sequence[Series], colors: Sequence[str], across: _Place, down: _Place, x_name: str) -> list[Html]:
    """What shows while the mouse is over a place: a line, and the nearest point of each series with its value."""
    told = [(one, color) for one, color in zip(series, colors, strict=True) if one.form != "faint"]
    places = np.unique(np.concatenate([one.x for one, _ in told]))
    places = places[np.unique(np.linspace(0, len(places) - 1, min(len(places), _COLUMNS)).round().astype(int))]
    middles = [across(float(x)) for x in places]
    edges = [_LEFT, *((a + b) / 2 for a, b in pairwise(middles)), _RIGHT]
    found = []
    for x, middle, left, right in zip(places.tolist(), middles, edges[:-1], edges[1:], strict=True):
        marks, words = [], [f"{x:.4g} {x_name}"]
        for one, color in told:
            i = int(np.abs(one.x - x).argmin())
            marks.append(
                tag("circle", cx=f"{across(float(one.x[i])):.1f}", cy=f"{down(float(one.y[i])):.1f}", r=4, class_=color)
            )
            words.append(f"{one.name} {_value(one.y[i])}" if len(told) > 1 else _value(one.y[i]))
        box = tag("rect", x=f"{left:.1f}", y=_TOP, width=f"{right - left:.1f}", height=_BOTTOM - _TOP)
        line = tag("path", d=f"M{middle:.1f} {_TOP}V{_BOTTOM}", class_="here")
        text = tag("text", ", ".join(words), x=_LEFT, y=_HEIGHT - 8, class_="told")
        found.append(tag("g", box, line, *marks, text, class_="column"))
    return found
