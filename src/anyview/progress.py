"""How long work tells that it advances. Engines call it; the command line draws it; by default nobody listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Advance(Protocol):
    """Tell that `steps` more units are done."""

    def __call__(self, steps: int = 1) -> None:
        """Add `steps`."""


@runtime_checkable
class Progress(Protocol):
    """A listener for stages of work."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Open a stage of `total` units (views, pairs, ...); the context gives an `Advance`. Threads may call it."""
        ...

    def note(self, message: str) -> None:
        """One line that a user should see (for instance `compiling kernels, once`)."""
        ...


class Silent:
    """The progress that says nothing."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """See `Progress.stage`."""

        def advance(steps: int = 1) -> None:
            pass

        yield advance

    def note(self, message: str) -> None:
        """See `Progress.note`."""


SILENT: Progress = Silent()
