"""A file from the web: resumed where it broke off, checked against its digest, there whole or not at all.

What has come so far lies beside the file as `.NAME.part`, with the server's word for the version (ETag or date) in
`.NAME.part.json`, so that halves of two versions are never joined.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from anyview.errors import FormatError, OptionError
from anyview.formats.files import explain_os_error
from anyview.progress import SILENT, Progress

_CHUNK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5


@dataclass(frozen=True)
class Digest:
    """Of a file's bytes: `md5` or `sha256`, and its hexadecimal digits."""

    kind: str
    digits: str

    def fits(self, path: Path) -> bool:
        """Whether a file has it."""
        return file_digest(path, self.kind) == self.digits.lower()


def file_digest(path: Path, kind: str = "sha256") -> str:
    """Hexadecimal digits of a file's digest."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def download(
    url: str, path: Path, digest: Digest | None = None, progress: Progress = SILENT, pause: float = 2.0
) -> Path:
    """Fetch a file; what an earlier call has fetched is not fetched again.

    Args:
        url: http or https.
        path: where to; a file that is there already is checked and kept.
        digest: of the whole file; None is not known.
        progress: told of mebibytes.
        pause: seconds before another try.

    Raises:
        OptionError: the server cannot be reached, has no such file, or breaks off again and again.
        FormatError: the file has another digest than expected.
        WorkspaceError: the disk is full or the folder not writable.
    """
    if path.is_file() and (digest is None or digest.fits(path)):
        return path
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        _fetch_all(url, part, progress, pause)
        if digest is not None and not digest.fits(part) and resumed:
            _forget(part)  # perhaps only what an earlier run left was wrong
            _fetch_all(url, part, progress, pause)
        if digest is not None and not digest.fits(part):
            actual = file_digest(part, digest.kind)
            _forget(part)
            raise FormatError(
                f"what came from {url} is not what was published ({digest.kind})", where=path,
                expected=digest.digits, actual=actual, hint="try again, or fetch it by other means",
            )  # fmt: skip
        part.replace(path)
        _forget(part)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


def _fetch_all(url: str, part: Path, progress: Progress, pause: float) -> None:
    """Try until all is there; only tries without a new byte count."""
    left = _TRIES
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch(url, part, progress):
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.exists():
                if str(error.headers.get("Content-Range")) == f"bytes */{before}":
                    return  # it was whole already
                _forget(part)
                continue
            if error.code < 500:
                raise OptionError("cannot be downloaded", where=url, actual=f"{error.code} {error.reason}") from error
            reason = f"{error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            reason = str(error) or type(error).__name__
        left = _TRIES if part.exists() and part.stat().st_size > before else left - 1
        if not left:
            hint = "run the same command again: it goes on from there"
            raise OptionError("cannot be downloaded", where=url, actual=reason, hint=hint)
        sleep(pause)


def _fetch(url: str, part: Path, progress: Progress) -> bool:
    """Append what is missing; whether all is there now."""
    note = part.with_name(part.name + ".json")
    have, version = part.stat().st_size if part.exists() else 0, None
    with suppress(OSError, ValueError, KeyError):
        version = json.loads(note.read_text())["version"]
    headers = {"User-Agent": "anyview", "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as reply:
        partial = reply.status == http.HTTPStatus.PARTIAL_CONTENT
        if partial and not str(reply.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            raise http.client.HTTPException("the server sent another part than was asked for")
        length = reply.headers.get("Content-Length")
        total = None if length is None else int(length) + (have if partial else 0)
        found = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
        strong = found if found and not found.startswith("W/") else reply.headers.get("Last-Modified")
        note.write_text(json.dumps({"url": url, "version": strong}))
        with (
            part.open("ab" if partial else "wb") as stream,
            progress.stage(
                f"downloading {url.rsplit('/', 1)[-1]} (MiB)", ((total or 0) - (have if partial else 0)) // _CHUNK
            ) as advance,
        ):
            while chunk := reply.read(_CHUNK):
                stream.write(chunk)
                advance()
            stream.flush()
            os.fsync(stream.fileno())
    return total is None or part.stat().st_size == total


def _forget(part: Path) -> None:
    for path in (part, part.with_name(part.name + ".json")):
        path.unlink(missing_ok=True)
