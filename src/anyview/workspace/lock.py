"""Work in a workspace: one process at a time, no litter from those that were killed, a full disk told as such."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

from anyview.errors import WorkspaceError
from anyview.formats.files import explain_os_error
from anyview.workspace.workspace import Workspace

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp(\..+)?|probe-\d+-[0-9a-f]{8}")  # the names that atomic_write gives

_LITTLE = 16 << 20  # bytes: with less than this free, a failure is the disk's


@contextmanager
def hold(workspace: Workspace) -> Iterator[None]:
    """Keep other processes out while the context lasts; first remove the temporary files of killed runs.

    The lock is the kernel's own (flock): it goes when the process goes, however that ends. Systems without it
    (Windows) are not protected.

    Raises:
        WorkspaceError: another process works in this folder, or the work failed and the disk is full.
    """
    path = workspace.root / ".anyview" / "lock"
    with path.open("w") as stream:
        try:
            import fcntl
        except ImportError:
            with _explained(workspace):
                yield
            return
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                "another run works in this folder", where=workspace.root, hint="wait for it, or choose another --out"
            ) from None
        _sweep(workspace)
        with _explained(workspace):
            yield


@contextmanager
def _explained(workspace: Workspace) -> Iterator[None]:
    """Libraries tell a full disk in many ways (SQLite: "no registered factory"), so look at the disk itself."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise explain_os_error(error, Path(error.filename or workspace.root)) from error
        if disk_usage(workspace.root).free < _LITTLE:
            raise WorkspaceError(
                "disk is full",
                where=workspace.root,
                actual=str(error).strip().splitlines()[0] if str(error).strip() else None,
                hint="free space and run the same command: it resumes",
            ) from error
        raise


def _sweep(workspace: Workspace) -> None:
    for folder, _, names in os.walk(workspace.root):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118 (os.walk speaks strings)
