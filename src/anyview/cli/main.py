"""`anyview VERB ...`: finds the command, runs it, and turns what went wrong into one sentence and an exit code.

0 fine, 1 a defect of ours (with its traceback), 2 something the user can mend, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from anyview.errors import AnyviewError, OutOfMemoryError, is_out_of_memory

_LEAST_ADDRESS_SPACE = 640 << 20  # bytes; with less, OpenCV's and COLMAP's libraries crash or spin while they load


def entry() -> None:
    """What the installed script calls."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # nobody chose to ignore it
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half-written is cleared away, as on Ctrl-C
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code."""
    from anyview.cli.command import Command
    from anyview.cli.parse import parse

    command = Command()
    try:
        command = parse(arguments)
        _check_address_space()
        _load_colmap()
        return command.run()
    except SystemExit as end:  # --help, or words that tyro has refused with an explanation
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 2
    except AnyviewError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("\nanyview: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # said only here, where the failed work and all that it held are gone
    return _refuse(str(OutOfMemoryError("out of memory", hint=command.less_memory)))


def _load_colmap() -> None:
    """Here, where no other thread is yet, so that SIGTERM stays ours: see `anyview.cameras.colmap`."""
    with suppress(ImportError):  # who needs it says what is missing
        import_module("anyview.cameras.colmap")


def _check_address_space() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= limit < _LEAST_ADDRESS_SPACE:
        raise OutOfMemoryError(
            "this process may not have enough memory to load its libraries",
            where="limit of the address space (ulimit -v)",
            expected=f"{_LEAST_ADDRESS_SPACE >> 20} MiB or more",
            actual=f"{limit >> 20} MiB",
            hint="raise the limit, and run the same command",
        )


def _refuse(sentence: str) -> int:
    print(f"anyview: {sentence}", file=sys.stderr)
    return 2
