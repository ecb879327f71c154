"""One family of errors: each says what failed, where, what was expected, what was found, and what to do.

The command line prints such an error as one clear message and ends with exit code 2. Anything that is not an
`AnyviewError` is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import errno
from pathlib import Path


class AnyviewError(Exception):
    """Base of every error that a user can cause and mend.

    Args:
        what: what is wrong, as a short clause without a full stop.
        where: the file, folder, view or option that it concerns.
        expected: what would have been right.
        actual: what was found instead.
        hint: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        expected: object | None = None,
        actual: object | None = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.expected, self.actual, self.hint = what, where, expected, actual, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what
        if self.where is not None:
            text += f" in {self.where}"
        facts = [f"{k} {v}" for k, v in (("expected", self.expected), ("found", self.actual)) if v is not None]
        if facts:
            text += ": " + ", ".join(facts)
        if self.hint:
            text += f"; {self.hint}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.expected, self.actual, self.hint)


def _rebuild(
    kind: type[AnyviewError], what: str, where: str | None, expected: object, actual: object, hint: str | None
) -> AnyviewError:
    return kind(what, where=where, expected=expected, actual=actual, hint=hint)


class FormatError(AnyviewError):
    """A file's bytes are not what its format says: truncated, not JSON, wrong magic, impossible sizes."""


class SceneError(AnyviewError):
    """The views do not make a usable scene: bad poses, contradicting sizes, duplicate names, nothing shared."""


class WorkspaceError(AnyviewError):
    """The workspace folder cannot be used: not writable, disk full, stale or damaged artefacts."""


class OptionError(AnyviewError):
    """An option has a value that cannot work."""


class TrainingError(AnyviewError):
    """Training cannot go on: its loss or weights are no longer finite."""


class OutOfMemoryError(AnyviewError):
    """The memory that this process may use does not suffice."""


_MEMORY_WORDS = (
    "bad_alloc",
    "cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "cuda out of memory",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says in its way that memory has run out."""
    if error is None:
        return False
    if isinstance(error, MemoryError | OutOfMemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, ImportError | OSError | RuntimeError) and says_out_of_memory(str(error)):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


def says_out_of_memory(text: str) -> bool:
    """Whether a library's words mean that memory has run out."""
    # oneDNN says no more than this; of a "primitive descriptor" it would mean something else
    return text.strip() == "could not create a primitive" or any(words in text.lower() for words in _MEMORY_WORDS)
