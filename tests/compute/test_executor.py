"""Order, bounds, failures and early stops of `parallel_map`."""

from __future__ import annotations

import errno
import gc
import threading
import time
import weakref

import pytest

from anyview.compute import parallel_map


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_results_come_in_the_order_of_items(workers: int) -> None:
    def slow_when_early(i: int) -> int:
        time.sleep(0.002 * (10 - i))
        return i * i

    assert list(parallel_map(slow_when_early, range(10), workers=workers)) == [i * i for i in range(10)]


@pytest.mark.parametrize("workers", [1, 4])
def test_no_items(workers: int) -> None:
    assert list(parallel_map(str, [], workers=workers)) == []


def test_work_really_overlaps() -> None:
    meeting = threading.Barrier(3, timeout=10)  # broken unless three items run at once
    list(parallel_map(lambda _: meeting.wait(), range(3), workers=3))


def test_one_worker_stays_in_the_calling_thread() -> None:
    assert set(parallel_map(lambda _: threading.get_ident(), range(3), workers=1)) == {threading.get_ident()}


@pytest.mark.parametrize("workers", [1, 3])
def test_progress_is_told_once_per_item_in_the_calling_thread(workers: int) -> None:
    told: list[int] = []
    list(parallel_map(str, range(7), workers=workers, advance=lambda: told.append(threading.get_ident())))
    assert told == [threading.get_ident()] * 7


def test_items_in_flight_are_bounded() -> None:
    taken, handed = 0, 0

    def source() -> object:
        nonlocal taken
        for i in range(50):
            taken += 1
            assert taken - handed <= 5
            yield i

    for _ in parallel_map(lambda i: i, source(), workers=2, ahead=4):
        handed += 1
    assert handed == 50


def test_first_failure_is_raised_before_earlier_items_end() -> None:
    release = threading.Event()
    started: list[int] = []

    def work(i: int) -> int:
        started.append(i)
        if i == 0:
            # Released by the watcher below, after the failure of item 1 should have been seen.
            release.wait(10)
        if i == 1:
            threading.Timer(0.2, release.set).start()
            raise KeyError("item 1")
        return i

    with pytest.raises(KeyError, match="item 1"):
        list(parallel_map(work, range(1000), workers=2, ahead=100))
    assert len(started) < 150  # the rest never began
    before = len(started)
    time.sleep(0.05)
    assert len(started) == before  # and nothing runs on


def test_stopping_early_drops_the_rest() -> None:
    started: list[int] = []

    def work(i: int) -> int:
        started.append(i)
        return i

    results = parallel_map(work, range(1000), workers=2, ahead=4)
    assert next(results) == 0
    results.close()
    assert len(started) <= 6


class Room:
    """Memory for so many items at a time: one more fails, in one of the ways in which libraries tell it."""

    def __init__(self, most: int, error: BaseException) -> None:
        self.most, self.error, self.inside, self.failures = most, error, 0, 0
        self.lock, self.full = threading.Lock(), threading.Event()

    def work(self, item: int) -> int:
        with self.lock:
            self.inside += 1
            if self.inside > self.most:
                self.inside -= 1
                self.failures += 1
                self.full.set()
                raise self.error
        if threading.current_thread() is not threading.main_thread():
            self.full.wait(10)  # stays until another item has found no room
        with self.lock:
            self.inside -= 1
        return item * item


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "no memory")])
def test_items_that_find_no_memory_beside_others_are_done_alone(error: BaseException) -> None:
    room, told = Room(1, error), []
    results = parallel_map(room.work, range(20), workers=4, advance=lambda: told.append(threading.get_ident()))
    assert list(results) == [i * i for i in range(20)]
    assert 1 <= room.failures <= 7  # those begun at once; everything else is done one by one
    assert told == [threading.get_ident()] * 20


def test_an_item_that_finds_no_memory_alone_is_a_failure() -> None:
    with pytest.raises(MemoryError):
        list(parallel_map(Room(0, MemoryError()).work, range(20), workers=4))


def test_other_failures_come_before_a_second_try() -> None:
    meeting, calls = threading.Barrier(2, timeout=10), []

    def work(i: int) -> int:
        calls.append(i)
        meeting.wait()
        raise MemoryError if i == 0 else KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        list(parallel_map(work, range(2), workers=2))
    assert sorted(calls) == [0, 1]


def test_no_memory_for_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def starting(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starting)
    held = threading.Event()  # keeps the only thread busy, so that the pool wants a second one
    threads = set()

    def work(i: int) -> int:
        threads.add(threading.current_thread())
        if i == 0 and threading.current_thread() is not threading.main_thread():
            held.wait(0.2)
        return i

    assert list(parallel_map(work, range(9), workers=3)) == list(range(9))
    assert threading.main_thread() in threads


def test_what_failed_work_had_allocated_is_let_go_before_the_next_try() -> None:
    class Big:
        pass

    alive: list[weakref.ref[Big]] = []
    meeting = threading.Barrier(2, timeout=10)

    def work(i: int) -> int:
        if threading.current_thread() is threading.main_thread():
            gc.collect()
            assert [ref() for ref in alive] == [None] * len(alive)
            return i
        big = Big()
        alive.append(weakref.ref(big))
        meeting.wait()
        raise MemoryError

    assert list(parallel_map(work, range(2), workers=2)) == [0, 1]
    assert len(alive) == 2
