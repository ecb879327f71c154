"""Long work in chunks that fit the memory: where one does not, it is halved, and the work goes on from where it was."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from anyview.errors import OutOfMemoryError, is_out_of_memory

T = TypeVar("T")


@dataclass
class Chunk:
    """How many items are worked on at a time; keep it between calls, and what was learnt stays known."""

    size: int
    least: int = 1
    """It is not halved below this."""
    note: Callable[[str], None] | None = None
    """Told in one sentence where it is halved."""


def in_chunks(function: Callable[[slice], T], total: int, chunk: Chunk) -> list[T]:
    """`function` of consecutive slices that cover range(total), in order.

    Args:
        function: may be called again with the start of a slice that did not fit.
        total: items.
        chunk: most items in a slice; made smaller where memory runs out.

    Raises:
        OutOfMemoryError: even the least chunk does not fit.
    """
    results: list[T] = []
    start = 0
    while start < total:
        size = min(max(chunk.size, 1), total - start)
        try:
            results.append(function(slice(start, start + size)))
        except Exception as error:
            if not ran_out(error):
                raise
            if size <= chunk.least:
                raise OutOfMemoryError(
                    "out of memory", actual=f"not even {size} of {total} items fit at a time",
                    hint="close other programs that use this device, or choose smaller images or a smaller model",
                ) from error  # fmt: skip
        else:
            start += size
            continue
        # here the failed call's arrays are gone with its exception
        chunk.size = max(size // 2, chunk.least)
        if chunk.note is not None:
            chunk.note(f"out of memory: only {chunk.size} are worked on at a time from here on")
        free_memory()
    return results


def ran_out(error: BaseException) -> bool:
    """Whether an exception means that a device's memory has run out."""
    return isinstance(error, torch.OutOfMemoryError) or is_out_of_memory(error)


def free_memory() -> None:
    """Give back what nothing refers to any more; the exception of a failed call must be gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
