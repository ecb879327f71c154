"""Files that are written whole or not at all, and the digest of a file's bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import disk_usage

from anyview.errors import WorkspaceError

_CHUNK = 1 << 20


def digest_file(path: Path) -> str:
    """Digest of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there replaces `path` in one step, or not at all.

    The temporary file keeps the final suffix, for writers that choose their format by it.

    Raises:
        WorkspaceError: the disk is full or the folder is not writable.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def explain_os_error(error: OSError, path: Path) -> WorkspaceError:
    """What a failed write means for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and _is_full(path)):
        return WorkspaceError("disk is full", where=path, hint="free space and run the same command: it resumes")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorkspaceError("cannot write", where=path, hint="choose another output folder, or fix its permissions")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return WorkspaceError("a file stands where a folder should be", where=path, hint="choose another output folder")
    return WorkspaceError(f"cannot write ({error.strerror or error})", where=path)


def _is_full(path: Path) -> bool:
    """Whether the disk has no room: numpy tells a short write without an error number."""
    with suppress(OSError):
        return disk_usage(path.parent).free < _CHUNK
    return False
