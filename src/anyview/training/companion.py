"""The other side of `anyview.training.several`: a process that serves one call, and ends with the one that started it.

The call comes on the standard input; on the standard output, which nothing else can write to, goes what is reported.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from typing import BinaryIO, NamedTuple


class Failure(NamedTuple):
    """Why the call has failed."""

    error: BaseException
    trace: str


HERE = "here"
"""Reported once, where the process is ready to meet the others."""


def serve() -> None:
    """Take a call, do it, report, end."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process hears them, and tells
        signal.signal(number, signal.SIG_IGN)
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        _call(reports)
    except KeyboardInterrupt:  # the first process was asked to stop, all have
        pass
    except BaseException as error:
        _report(reports, error)
        os._exit(1)
    os._exit(0)


def _call(reports: BinaryIO) -> None:
    rank, size, port = pickle.load(sys.stdin.buffer)
    function, arguments, named = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    from anyview.training.group import Group, enter

    def meet() -> None:
        pickle.dump(HERE, reports)
        reports.flush()

    enter(Group(rank, size, port, meet))
    function(*arguments, **named)


def _report(reports: BinaryIO, error: BaseException) -> None:
    trace = traceback.format_exc()
    try:
        words = pickle.dumps(Failure(error, trace))
        pickle.loads(words)
    except Exception:  # not all exceptions can travel
        words = pickle.dumps(Failure(RuntimeError(f"{type(error).__name__}: {error}"), trace))
    reports.write(words)
    reports.flush()


def _end_with_the_first() -> None:
    """The pipe closes when the process at its other end is gone."""
    while os.read(0, 1):
        pass
    os._exit(1)
