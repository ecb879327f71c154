"""What all commands are."""

from __future__ import annotations

from typing import ClassVar, Self


class Command:
    """One verb with its words."""

    less_memory: ClassVar[str] = (
        "close other programs or lower --dense.max-image-size, --fusion.max-memory-gib or --mesh.depth, and run the "
        "same command: it resumes"
    )
    """What to do where memory has run out."""

    def with_defaults(self) -> Self | None:
        """The command with the defaults that its own words call for, or None if they are constant."""
        return None

    def run(self) -> int:
        """Do it; gives the exit code."""
        raise NotImplementedError
