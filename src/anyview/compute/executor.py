"""One function over many items: in the calling thread, or in a few threads that share memory.

Threads are enough: compiled kernels, decoding and hashing release the interpreter's lock. Results come in the order of
the items, whatever the order in which they were finished, so that the number of threads never changes a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from anyview.compute.memory import cpu_count

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

    Args:
        function: called in several threads at once.
        items: taken one by one, no earlier than needed.
        workers: threads; None means one per core, 1 or less runs in the calling thread.
        ahead: most items begun and not yet handed out, which bounds the memory of results; None means twice `workers`.
        advance: called after each finished item, in the calling thread.

    Raises:
        Exception: whatever `function` raised first.
    """
    workers = cpu_count() if workers is None else workers
    if workers <= 1:
        for item in items:
            result = function(item)
            if advance:
                advance()
            yield result
        return

    window = max(workers, 2 * workers if ahead is None else ahead)
    source = iter(items)
    due: deque[Future[Result]] = deque()
    running: set[Future[Result]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anyview")
    try:
        while True:
            for item in islice(source, window - len(due)):
                future = pool.submit(function, item)
                due.append(future)
                running.add(future)
            if not due:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in due:
                if future in finished:
                    future.result()
                    if advance:
                        advance()
            while due and due[0] not in running:
                yield due.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
