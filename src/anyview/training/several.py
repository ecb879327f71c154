"""Training by several processes of this machine: a function is called here, and in processes that are started for it.

The others are fresh interpreters that get the call by a pipe, so it does not matter what started the first one: the
installed script, `python -m anyview`, a program of the user's without a main guard, a notebook. They are silent, write
nothing, do not hear Ctrl-C, and end when the first process ends, however it ends.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Concatenate, ParamSpec, TypeVar

import torch
import torch.distributed as dist

from anyview.compute import cpu_count
from anyview.errors import AnyviewError, TrainingError
from anyview.progress import SILENT, Progress
from anyview.training.companion import HERE
from anyview.training.devices import chosen_device
from anyview.training.group import Group, current, enter
from anyview.training.options import LoopOptions

P = ParamSpec("P")
T = TypeVar("T")

_LONG = 60.0  # seconds that the others have to end by themselves
_TELL = 5.0  # seconds that an end needs to be told
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
_SERVE = "from anyview.training.companion import serve; serve()"


def as_one(
    options: LoopOptions,
    function: Callable[Concatenate[Progress, P], T],
    progress: Progress = SILENT,
    *arguments: P.args,
    **named: P.kwargs,
) -> T:
    """The result of a function that is called in as many processes as there are devices, of which this is the first;
    it trains with these options, see `anyview.training.loop.train`.

    Args:
        options: with one device, or within such a call, the function is called and nothing else done.
        function: of a module's, with `progress` first; others are called with one that is silent.
        progress: told how it goes in this process.
        arguments, named: of the function; they can be pickled.

    Raises:
        OptionError: there are not so many devices.
        BaseException: what the function raises here, or in another process.
        TrainingError: another process has ended.
    """
    size = options.devices
    if size == 1 or current().size == size:
        return function(progress, *arguments, **named)
    chosen_device(options)
    with _companions(size, (function, (SILENT, *arguments), named)):
        return function(progress, *arguments, **named)


@contextmanager
def _companions(size: int, call: object) -> Iterator[None]:
    """The other processes, while the context lasts."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    threads = max(cpu_count() // size, 1)
    others = [_Companion(rank, size, store.port, threads, call) for rank in range(1, size)]
    group = Group(0, size, store.port, lambda: _wait_for(others))
    back = enter(group)
    try:
        with _threads(threads):
            yield
        for other in others:
            other.ended.wait(_LONG)
    except RuntimeError as error:  # what a lost connection raises, too
        cause = _cause(others)
        if cause is None:
            raise
        raise cause from error
    finally:
        for other in others:
            other.end()
        back()
        group.leave()


class _Companion:
    """Another process, and a thread that listens to what it reports."""

    def __init__(self, rank: int, size: int, port: int, threads: int, call: object) -> None:
        self._name = f"process {rank + 1} of {size}"
        self.is_here, self.ended = Event(), Event()
        self._error: BaseException | None = None
        paths = [path or str(Path.cwd()) for path in sys.path]
        env = {**{name: str(threads) for name in _THREADS}, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _SERVE], env=env, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        Thread(target=self._listen, daemon=True).start()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which the thread tells
            pickle.dump((rank, size, port), self._process.stdin)
            pickle.dump(call, self._process.stdin)
            self._process.stdin.flush()  # and stays open: when it closes, the first process is gone

    def failure(self) -> BaseException | None:
        """What it has failed of."""
        if self._error is not None or not self.ended.is_set() or self._process.returncode == 0:
            return self._error
        code = self._process.returncode
        return TrainingError(
            "another process of this training has ended", where=self._name,
            actual=f"signal {-code}" if code < 0 else f"exit code {code}",
            hint="if the memory has run out, train on fewer devices; the same command goes on from the last checkpoint",
        )  # fmt: skip

    def end(self) -> None:
        """At once, if it has not ended."""
        self._process.kill()
        self.ended.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as reports, suppress(EOFError, OSError, pickle.UnpicklingError):
            while (report := pickle.load(reports)) == HERE:
                self.is_here.set()
            if not isinstance(report.error, AnyviewError):  # a defect keeps its traceback
                report.error.add_note(f"in {self._name}:\n{report.trace}")
            self._error = report.error
        self._process.wait()
        self.ended.set()
        self.is_here.set()


def _wait_for(others: list[_Companion]) -> None:
    """Until all have come; what one fails of before that is raised."""
    for other in others:
        other.is_here.wait()
        if failure := other.failure():
            raise failure


def _cause(others: list[_Companion]) -> BaseException | None:
    """What another process has failed of, if one has."""
    until = monotonic() + _TELL
    while monotonic() < until:
        if failures := [failure for other in others if (failure := other.failure())]:
            return failures[0]
        sleep(0.05)
    return None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """This process's libraries use fewer threads, unless the environment says how many."""
    from anyview import jit

    torch_threads, numba_threads = torch.get_num_threads(), jit.get_num_threads()
    torch.set_num_threads(torch_threads if _THREADS[0] in os.environ else min(count, torch_threads))
    jit.set_num_threads(numba_threads if _THREADS[1] in os.environ else min(count, numba_threads))
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        jit.set_num_threads(numba_threads)
