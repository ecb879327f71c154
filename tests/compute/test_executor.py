"""Order, bounds, failures and early stops of `parallel_map`."""

from __future__ import annotations

import threading
import time

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
