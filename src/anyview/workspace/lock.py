"""One process at a time in a workspace, and no litter from those that were killed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from anyview.errors import WorkspaceError
from anyview.workspace.workspace import Workspace

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp(\..+)?|probe-\d+-[0-9a-f]{8}")  # the names that atomic_write gives


@contextmanager
def hold(workspace: Workspace) -> Iterator[None]:
    """Keep other processes out while the context lasts; first remove the temporary files of killed runs.

    The lock is the kernel's own (flock): it goes when the process goes, however that ends. Systems without it
    (Windows) are not protected.

    Raises:
        WorkspaceError: another process works in this folder.
    """
    path = workspace.root / ".anyview" / "lock"
    with path.open("w") as stream:
        try:
            import fcntl
        except ImportError:
            yield
            return
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                "another run works in this folder", where=workspace.root, hint="wait for it, or choose another --out"
            ) from None
        _sweep(workspace)
        yield


def _sweep(workspace: Workspace) -> None:
    for folder, _, names in os.walk(workspace.root):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118 (os.walk speaks strings)
