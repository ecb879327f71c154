"""What all commands are."""

from __future__ import annotations

from typing import Self


class Command:
    """One verb with its words."""

    def with_defaults(self) -> Self | None:
        """The command with the defaults that its own words call for, or None if they are constant."""
        return None

    def run(self) -> int:
        """Do it; gives the exit code."""
        raise NotImplementedError
