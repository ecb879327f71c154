"""What is odd in data but no reason to stop: counted by kind, and told in one line per kind."""

from __future__ import annotations

from anyview.progress import Progress


class Oddities:
    """Kinds of oddities, each with how many there are and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str) -> None:
        """One more.

        Args:
            kind: what it is and what becomes of it, in the plural: "masks without a pixel, left out".
            example: where it is.
        """
        count, first = self._found.get(kind, (0, example))
        self._found[kind] = (count + 1, first)

    def lines(self) -> list[str]:
        """One line per kind."""
        return [f"{kind}: {count}, the first in {first}" for kind, (count, first) in self._found.items()]

    def tell(self, progress: Progress, where: object) -> None:
        """Note every kind."""
        for line in self.lines():
            progress.note(f"{where}: {line}")
