"""Curves: round ticks, honest places, smoothing by plain loops, values under the mouse, and nothing from no points."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from anyview.report.curves import Series, chart, log_ticks, smoothed, ticks
from anyview.report.field_curves import curves, rate, time_axis


def line(x: list[float], y: list[float], form: str = "line", name: str = "one") -> Series:
    return Series(name, np.array(x, float), np.array(y, float), form)  # type: ignore[arg-type]


def path(drawing: str, kind: str) -> list[tuple[float, float]]:
    """Points of the first path of a class."""
    found = re.search(rf'<path d="M([^"]+)" class="line {kind} c\d">', drawing)
    assert found
    return [tuple(map(float, pair.split())) for pair in found[1].split("L")]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 10, ["0", "2", "4", "6", "8", "10"]),
        (18.5, 31.2, ["20", "25", "30"]),
        (0.0, 0.5, ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (-0.3, 0.3, ["-0.2", "0.0", "0.2"]),
        (0, 600_000, ["0", "200 k", "400 k", "600 k"]),
        (0.0011, 0.0013, ["1.10e-3", "1.15e-3", "1.20e-3", "1.25e-3", "1.30e-3"]),
    ],
)
def test_ticks_are_round(low: float, high: float, words: list[str]) -> None:
    found = ticks(low, high)
    assert [text for _, text in found] == words
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in found)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0009, 2.0, ["0.001", "0.01", "0.1", "1"]),
        (0.0012, 0.014, ["0.002", "0.005", "0.01"]),
        (0.11, 0.35, ["0.2", "0.3"]),
    ],
)
def test_logarithmic_ticks(low: float, high: float, words: list[str]) -> None:
    assert [text for _, text in log_ticks(low, high)] == words


def test_a_narrow_logarithmic_axis_has_plain_ticks() -> None:
    found = log_ticks(0.31, 0.33)
    assert len(found) >= 2
    assert all(0.31 <= value <= 0.33 for value, _ in found)


def test_smoothing_is_a_mean_of_neighbours() -> None:
    y = np.random.default_rng(0).normal(size=23)
    for window in (0, 1, 4, 100):
        expected = []
        for i in range(23):
            reach = min(window, i, 22 - i)
            expected.append(np.mean(y[i - reach : i + reach + 1]))
        np.testing.assert_allclose(smoothed(y, window), expected, rtol=0, atol=1e-12)
    slope = np.linspace(3, 5, 23)
    np.testing.assert_allclose(smoothed(slope, 4), slope, atol=1e-12)  # nothing bends at the ends


def test_points_lie_where_their_values_are() -> None:
    drawing = chart("A", "minutes", "dB", [line([0, 5, 10], [20, 30, 25])])
    (x0, y0), (x1, y1), (x2, y2) = path(drawing, "line")
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 < y2 < y0  # up is more
    assert (y0 - y2) / (y0 - y1) == pytest.approx(0.5, abs=0.01)
    marks = dict(re.findall(r'<text x="\d+" y="([\d.]+)" class="end">(\d+)</text>', drawing))
    at = {int(text): float(y) - 5 for y, text in marks.items()}
    assert at[30] == pytest.approx(y1, abs=0.2)  # the axis says the same as the line
    assert at[20] == pytest.approx(y0, abs=0.2)


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios() -> None:
    points = path(chart("A", "steps", "", [line([1, 2, 3, 4], [1, 0.1, 0, 0.01])], log=True), "line")
    assert len(points) == 3  # 0 has no logarithm
    assert points[1][1] - points[0][1] == pytest.approx(points[2][1] - points[1][1], abs=0.2)


def test_the_mouse_reads_values() -> None:
    series = [line([0, 1, 2], [1, 2.5, 3], "faint"), line([0, 1, 2], [1, 2, 3]), line([1.9], [7.25], "dots", "<two>")]
    drawing = chart("A", "minutes", "dB", series)
    told = re.findall(r'class="told">([^<]+)</text>', drawing)
    assert told == [
        "0 minutes, one 1, &lt;two&gt; 7.25",
        "1 minutes, one 2, &lt;two&gt; 7.25",
        "1.9 minutes, one 3, &lt;two&gt; 7.25",
        "2 minutes, one 3, &lt;two&gt; 7.25",
    ]
    edges = [tuple(map(float, e)) for e in re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', drawing)]
    for (x, width), (after, _) in pairwise(edges):
        assert x + width == pytest.approx(after, abs=0.2)  # the columns leave no gap
    assert drawing.count('<span class="key') == 2  # what is faint is in no legend
    assert "<two>" not in drawing


def test_large_values_have_no_exponent() -> None:
    assert ">3 minutes, 32,217</text>" in chart("A", "minutes", "", [line([1, 3], [1, 32216.6])])


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-9, 1e12])
def test_one_point_is_drawn(value: float) -> None:
    drawing = chart("A", "minutes", "", [line([0.0], [value])])
    assert re.search(r'<circle cx="[\d.]+" cy="[\d.]+" r="3.5"', drawing)
    assert "nan" not in drawing


def test_nothing_is_drawn_of_nothing() -> None:
    nan = float("nan")
    assert chart("A", "minutes", "", []) == ""
    assert chart("A", "minutes", "", [line([0, 1], [nan, nan]), line([], [])]) == ""
    assert chart("A", "minutes", "", [line([0, 1], [0, -1])], log=True) == ""
    assert (
        len(path(chart("A", "minutes", "", [line([0, 1, 2], [1, nan, float("inf")]), line([0, 1], [1, 2])]), "line"))
        == 1
    )


def test_long_runs_stay_small() -> None:
    x = np.arange(100_000.0)
    series = [Series("raw", x, np.sin(x), "faint"), Series("one", x, np.cos(x))]
    drawing = chart("A", "minutes", "", series)
    assert len(drawing) < 60_000
    assert drawing.count('class="column"') == 60


NAN = float("nan")
LOG = {
    "step": np.array([10.0, 15, 20, 40]),
    "seconds": np.array([60.0, NAN, 180, 600]),
    "psnr": np.array([10.0, NAN, 12, 14]),
    "loss": np.array([0.1, NAN, 0.05, 0.03]),
    "items": np.array([100.0, NAN, 200, 300]),
    "validation/psnr": np.array([NAN, 20.0, NAN, 22]),
    "validation/ssim": np.array([NAN, 0.5, NAN, 0.6]),
}


def test_rows_without_a_time_lie_between_the_others() -> None:
    times, unit = time_axis(LOG)
    assert unit == "minutes"
    np.testing.assert_allclose(times, [1, 2, 3, 10])
    short = {"step": LOG["step"], "seconds": LOG["seconds"] / 10}
    assert time_axis(short)[1] == "seconds"
    assert time_axis({"step": LOG["step"]})[1] == "steps"
    assert time_axis({"step": LOG["step"], "seconds": LOG["seconds"] * 30})[1] == "hours"


def test_rates_are_of_the_time_between_rows() -> None:
    found = rate(LOG, "items")
    assert found is not None
    np.testing.assert_allclose(found, [100 * 10 / 60, NAN, 200 * 10 / 120, 300 * 20 / 420])
    assert rate(LOG, "samples") is None


def test_drawings_of_a_log() -> None:
    drawn = curves(LOG)
    assert re.findall(r"<h3>([^<]+)</h3>", drawn) == ["PSNR", "SSIM", "Loss of the training", "Rays per second"]
    assert ">10 minutes, training 14, validation 22</text>" in drawn
    assert curves({}) == ""
    assert curves({"step": np.array([])}) == ""
