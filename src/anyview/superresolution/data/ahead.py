"""Batches made ahead by threads; they are a function of the step, so the result is the same without."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from anyview.superresolution.data.batches import CropBatch, Crops


class Ahead:
    """Batches by number of the step, best asked for in order; a context that owns the threads.

    Args:
        crops: makes them.
        threads: 0 makes each batch when it is asked for.
    """

    def __init__(self, crops: Crops, threads: int) -> None:
        self._crops, self._threads = crops, threads
        self._pool = ThreadPoolExecutor(threads, "crops") if threads else None
        self._coming: dict[int, Future[CropBatch]] = {}

    def batch(self, step: int) -> CropBatch:
        """See `Crops.batch`; those of the next steps are begun."""
        if self._pool is None:
            return self._crops.batch(step)
        wanted = range(step, step + 2 * self._threads + 1)
        for old in self._coming.keys() - set(wanted):
            self._coming.pop(old).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = self._pool.submit(self._crops.batch, number)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
