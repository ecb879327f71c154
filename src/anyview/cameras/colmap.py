"""COLMAP's library, `pycolmap`, without its handler of SIGTERM.

Importing it makes glog print a stack trace where a process is asked to end, whoever heard that signal before. Only a
program's first thread can take that back: the command line imports this before there are others.
"""

from __future__ import annotations

import signal
import threading

_heard = signal.getsignal(signal.SIGTERM)  # before the next line

import pycolmap  # noqa: E402

if _heard is not None and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _heard)

__all__ = ["pycolmap"]
