"""The command line in processes of its own that begin at once: a fresh interpreter takes seconds to load the libraries.

A server loads them once, and no more (no run, no thread of a pool), and each process is forked from it. What kills one,
fills its disk or takes its memory touches neither the tests nor the next one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import mkstemp

_LIBRARIES = ["anyview.cli.parse", "anyview.cli.output", "anyview.cli.progress", "anyview.pipelines.reconstruct"]
_LIBRARIES += [f"anyview.reconstruction.{stage}" for stage in ("sparse", "dense", "fusion", "meshing")]


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Its exit code; negative where a signal has killed it."""
    said: str
    """All that it wrote to its outputs."""


class OwnProcess:
    """`anyview WORD ...`, begun in a process of its own.

    Args:
        prepare: called there first; a function of a module, or a `partial` of one.
    """

    def __init__(self, words: Sequence[str], prepare: Callable[[], object] | None = None) -> None:
        descriptor, name = mkstemp(prefix="anyview-said-")
        os.close(descriptor)
        self._said = Path(name)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_LIBRARIES)
        self.process: ForkServerProcess = context.Process(target=_work, args=(list(words), prepare, name))
        self.process.start()

    def interrupt(self) -> None:
        """What Ctrl-C sends."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGINT)

    def end(self, seconds: float | None = None) -> Ended:
        """Wait for its end, and kill it where that has not come after so many seconds."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        said = self._said.read_text()
        self._said.unlink()
        assert self.process.exitcode is not None
        return Ended(self.process.exitcode, said)


def run_alone(words: Sequence[str], prepare: Callable[[], object] | None = None) -> Ended:
    """Run the command line in a process of its own to its end."""
    return OwnProcess(words, prepare).end()


def _work(words: list[str], prepare: Callable[[], object] | None, said: str) -> None:
    with Path(said).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from anyview.cli.main import main
    from anyview.report import page

    page._SIDE_SIZE = (96, 72)  # as `small_pictures` has it
    if prepare is not None:
        prepare()
    sys.exit(main(words))
