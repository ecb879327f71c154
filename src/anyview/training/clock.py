"""How much of a training is behind: by steps, and by time where that is limited."""

from __future__ import annotations

from time import monotonic


class Clock:
    """Time of a run over all its resumed parts.

    Args:
        steps: wanted in all; None for as many as the time allows.
        max_minutes: allowed in all; None for any time.
        began: `monotonic()` when this part began.
        before: seconds of the parts before.
        reserve: seconds that the last validation and checkpoint will take.
    """

    def __init__(
        self, steps: int | None, max_minutes: float | None, began: float, before: float, reserve: float = 0.0
    ) -> None:
        self._steps = steps
        self._limit = None if max_minutes is None else 60 * max_minutes
        self._zero = began - before
        self._share = 0.0
        self.reserve = reserve

    @property
    def seconds(self) -> float:
        """Of training so far, everything included."""
        return monotonic() - self._zero

    def share(self, step: int) -> float:
        """How much is behind after so many steps, 0 to 1; it never goes back."""
        share = 0.0 if self._steps is None else step / self._steps
        if self._limit is not None:
            left = self._limit - self.reserve
            share = max(share, self.seconds / left if left > 0 else 1.0)
        self._share = min(max(share, self._share), 1.0)
        return self._share
