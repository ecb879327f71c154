"""One function over many items: in the calling thread, or in a few threads that share memory.

Threads are enough: compiled kernels, decoding and hashing release the interpreter's lock. Results come in the order of
the items, whatever the order in which they were finished, so that the number of threads never changes a result.
Where several items together need more memory than there is, they are worked on one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from anyview.compute.memory import cpu_count
from anyview.errors import is_out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    ahead: int | None = None,
    advance: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Results of `function`, one per item, in the items' order, as soon as each is due.

    The first failure, of whichever item, is raised at once: items that have not begun are dropped, those that run are
    waited for, so that nothing works on behind the caller's back. The same holds when the caller stops early.

    An item that finds no memory beside others is no failure yet: the others are waited for, and it and all that come
    after are worked on alone in the calling thread. Only what does not suffice there is raised.

    Args:
        function: called in several threads at once; where memory runs out, called again for the same item.
        items: taken one by one, no earlier than needed.
        workers: threads; None means one per core, 1 or less runs in the calling thread.
        ahead: most items begun and not yet handed out, which bounds the memory of results; None means twice `workers`.
        advance: called after each finished item, in the calling thread.

    Raises:
        Exception: whatever `function` raised first.
    """
    workers = cpu_count() if workers is None else workers
    source = iter(items)
    left: deque[tuple[Item, Future[Result] | None]] = deque()
    if workers > 1:
        yield from _in_threads(function, source, workers, max(workers, ahead or 2 * workers), advance, left)
    for item, future in _popped(left, source):
        if future is not None:
            yield future.result()
            continue
        result = function(item)
        if advance:
            advance()
        yield result


def _popped(
    left: deque[tuple[Item, Future[Result] | None]], source: Iterator[Item]
) -> Iterator[tuple[Item, Future[Result] | None]]:
    """What is left, each let go when it is handed out, and then the source."""
    while left:
        yield left.popleft()
    for item in source:
        yield item, None


def _in_threads(
    function: Callable[[Item], Result],
    source: Iterator[Item],
    workers: int,
    window: int,
    advance: Callable[[], object] | None,
    left: deque[tuple[Item, Future[Result] | None]],
) -> Iterator[Result]:
    """Results from threads, until the source is empty or memory runs out.

    In the second case `left` is filled with what was begun, in the items' order: with its future where it is done,
    with None where it must be done again.
    """
    due: deque[tuple[Item, Future[Result] | None]] = deque()
    told: set[Future[Result]] = set()

    def tell(future: Future[Result]) -> None:
        if future not in told:
            told.add(future)
            if advance:
                advance()

    short = False
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anyview")
    try:
        while not short:
            for item in islice(source, window - len(due)):
                future = _submit(pool, function, item)
                due.append((item, future))
                if short := future is None:
                    break
            if not due:
                return
            running = [future for _, future in due if future and future not in told]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                error = future.exception()
                if error is None:
                    tell(future)
                elif is_out_of_memory(error):
                    short = True
                else:
                    raise error
            while not short and due and (first := due[0][1]) in told:
                due.popleft()
                told.remove(first)
                yield first.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for item, future in due:
        error = None if future is None or future.cancelled() else future.exception()
        again = future is None or future.cancelled() or error is not None
        if error is not None and not is_out_of_memory(error):
            raise error
        if future is not None and not again:
            tell(future)
        # a failed future would keep all that its work had allocated, by way of the exception's frames
        left.append((item, None if again else future))


def _submit(pool: ThreadPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result] | None:
    """None where there is no memory for one more thread."""
    try:
        return pool.submit(function, item)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return None
        raise
