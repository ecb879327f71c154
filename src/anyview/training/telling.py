"""One line now and then about how a training goes: loss, speed, the figure that counts, the time left."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from torch import Tensor

from anyview.progress import Progress

EVERY = 10.0  # seconds


class Teller:
    """Tells a listener, every ten seconds at most.

    Args:
        progress: the listener.
        steps: of the whole training, where it is known.
        items: what a step works on, in the plural.
        figure: the one that counts: of the last validation, or of a step where there has been none.
        step, share: where this part of it began.
    """

    def __init__(self, progress: Progress, steps: int | None, items: str, figure: str, step: int, share: float) -> None:
        self._progress, self._steps, self._items, self._figure = progress, steps, items, figure
        self._share = share
        self._began = self._told = monotonic()
        self._step = step

    def tell(
        self, step: int, share: float, scalars: Mapping[str, Tensor | float], figures: Mapping[str, float]
    ) -> None:
        """Say how it goes if it is time to."""
        now = monotonic()
        if now - self._told < EVERY:
            return
        of = "" if self._steps is None else f"/{self._steps}"
        words = [f"step {step}{of}", f"loss {float(scalars['loss']):.4g}"]
        rate = (step - self._step) / (now - self._told)
        if "items" in scalars:
            words.append(f"{_short(float(scalars['items']) * rate)} {self._items}/s")
        else:
            words.append(f"{_short(rate)} steps/s")
        value = figures.get(self._figure, scalars.get(self._figure))
        words += [] if value is None else [f"{self._figure.replace('_', ' ')} {float(value):.4g}"]
        if share > self._share:
            left = (now - self._began) * (1 - share) / (share - self._share)
            words.append(f"about {_time(left)} left")
        self._progress.note(", ".join(words))
        self._told, self._step = now, step


def _short(number: float) -> str:
    """Three digits and a letter."""
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
