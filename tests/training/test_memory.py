"""Chunks cover everything once, in order, and shrink where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
import torch

from anyview.errors import OutOfMemoryError
from anyview.training.memory import Chunk, in_chunks


def limited(most: int, error: Callable[[], BaseException]) -> Callable[[slice], list[int]]:
    def work(part: slice) -> list[int]:
        if part.stop - part.start > most:
            raise error()
        return list(range(part.start, part.stop))

    return work


ERRORS = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "python": MemoryError,
    "library": lambda: RuntimeError("std::bad_alloc"),
}


@pytest.mark.parametrize("total", [0, 1, 7, 8, 9, 100])
def test_everything_once_and_in_order(total: int) -> None:
    chunk = Chunk(8)
    parts = in_chunks(lambda s: list(range(s.start, s.stop)), total, chunk)
    assert [*chain(*parts)] == list(range(total))
    assert all(len(part) == 8 for part in parts[:-1])
    assert chunk.size == 8


@pytest.mark.parametrize("error", ERRORS)
def test_it_halves_goes_on_and_remembers(error: str) -> None:
    chunk, seen = Chunk(64), []
    work = limited(10, ERRORS[error])

    def noted(part: slice) -> list[int]:
        seen.append((part.start, part.stop))
        return work(part)

    assert [*chain(*in_chunks(noted, 50, chunk))] == list(range(50))
    assert chunk.size == 6  # 50 -> 25 -> 12 -> 6
    assert seen[:5] == [(0, 50), (0, 25), (0, 12), (0, 6), (6, 12)]
    seen.clear()
    in_chunks(noted, 12, chunk)
    assert seen == [(0, 6), (6, 12)]


def test_memory_that_runs_out_later_repeats_nothing() -> None:
    done: list[int] = []

    def work(part: slice) -> int:
        if part.start >= 8 and part.stop - part.start > 2:
            raise MemoryError
        done.extend(range(part.start, part.stop))
        return part.start

    assert in_chunks(work, 14, Chunk(8)) == [0, *range(8, 14)]  # 8, 6, 3, then 1 at a time
    assert done == list(range(14))


def test_torch_really_runs_out() -> None:
    def work(part: slice) -> torch.Tensor:
        return (
            torch.empty((part.stop - part.start) << 44, dtype=torch.uint8)
            if part.stop - part.start > 1
            else torch.ones(1)
        )

    chunk = Chunk(1024)
    assert len(in_chunks(work, 1024, chunk)) == 1024
    assert chunk.size == 1


def test_the_failed_calls_arrays_are_gone_before_the_next() -> None:
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def work(part: slice) -> int:
        if held:
            assert held[0]() is None
            return 1
        big = torch.ones(10)
        held.append(weakref.ref(big))
        raise MemoryError

    assert in_chunks(work, 8, Chunk(8)) == [1, 1]


def test_not_even_the_least_fits() -> None:
    chunk = Chunk(16, least=4)
    with pytest.raises(OutOfMemoryError) as caught:
        in_chunks(limited(3, MemoryError), 100, chunk)
    assert str(caught.value) == (
        "out of memory: found not even 4 of 100 items fit at a time; close other programs that use this device, or "
        "choose smaller images or a smaller model"
    )
    assert chunk.size == 4


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        in_chunks(limited(0, ZeroDivisionError), 3, Chunk(2))
