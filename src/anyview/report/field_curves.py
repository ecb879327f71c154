"""The curves of a radiance field's training, from its log: figures, loss and speed against time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from anyview.report import words
from anyview.report.curves import Series, chart, smoothed
from anyview.report.html import EMPTY, Html, tag

_Log = Mapping[str, NDArray[np.float64]]
_UNITS = {
    "psnr": ("PSNR", "decibels, training smoothed"),
    "ssim": ("SSIM", "1 is equal"),
    "picture_ssim": ("SSIM of the small picture", "1 is equal"),
    "lpips": ("LPIPS", "0 is equal"),
}
_SMOOTH = 40  # a curve is smoothed over one part in so many, to each side


def curves(log: _Log) -> Html:
    """Drawings side by side; empty where the log has no row.

    Args:
        log: columns by name, see `anyview.training.log.read_log`: "step", "seconds", what each step tells ("loss",
            "psnr", "items" and "samples" of that step) and "validation/..." of figures.
    """
    if not len(log.get("step", ())):
        return EMPTY
    x, x_name = time_axis(log)
    figures = sorted({name.removeprefix("validation/") for name in log if name.startswith("validation/")} | {"psnr"})
    drawings = []
    for name in figures:
        title, unit = _UNITS.get(name, (words.title(name), ""))
        series = [
            *_smooth("training", x, log.get(name)),
            *_dots("validation", x, log.get(f"validation/{name}")),
        ]
        drawings.append(chart(title, x_name, unit, series))
    drawings.append(chart("Loss of the training", x_name, "smoothed", _smooth("loss", x, log.get("loss")), log=True))
    for column, title in (("items", "Rays"), ("samples", "Samples")):
        per_second = rate(log, column)
        drawings.append(
            chart(f"{title} per second", x_name, "smoothed", _smooth(title.lower(), x, per_second), from_zero=True)
        )
    if "samples" not in log:
        drawings.append(chart("Learning rate", x_name, "", _smooth("rate", x, log.get("lr"))[1:], log=True))
    return tag("div", *drawings, class_="charts")


def time_axis(log: _Log) -> tuple[Float64[np.ndarray, "N"], str]:
    """When each row was written, and the unit: rows without a time lie between those that have one."""
    step = log["step"]
    seconds = log.get("seconds", np.full(len(step), np.nan))
    there = np.isfinite(seconds)
    if not there.any():
        return step, "steps"
    times = np.interp(step, np.append(0, step[there]), np.append(0, seconds[there]))
    unit, size = ("seconds", 1) if times[-1] < 120 else ("minutes", 60) if times[-1] < 3 * 3600 else ("hours", 3600)
    return times / size, unit


def rate(log: _Log, column: str) -> Float64[np.ndarray, "N"] | None:
    """What a step takes, times steps per second since the row before; validations in between count as time."""
    if column not in log or "seconds" not in log:
        return None
    there = np.isfinite(log["seconds"])
    steps, seconds = np.append(0, log["step"][there]), np.append(0, log["seconds"][there])
    speed = np.full(len(there), np.nan)
    speed[there] = np.diff(steps) / np.maximum(np.diff(seconds), 1e-9)
    per_second: Float64[np.ndarray, "N"] = speed * log[column]
    return per_second


def _smooth(name: str, x: NDArray[np.float64], y: NDArray[np.float64] | None) -> list[Series]:
    """The curve as it is, faint, and smoothed over it."""
    if y is None or not np.isfinite(y).any():
        return []
    there = np.isfinite(y)
    x, y = x[there], y[there]
    return [Series(name, x, y, "faint"), Series(name, x, smoothed(y, len(y) // _SMOOTH))]


def _dots(name: str, x: NDArray[np.float64], y: NDArray[np.float64] | None) -> list[Series]:
    return [] if y is None else [Series(name, x, y, "dots")]
