"""Pictures of any sizes in one memory-mapped file of bytes: decoded once, then cut from without reading the rest.

The file begins with a line of JSON: a digest of what the pictures were made from, and their names and sizes. It is
written whole or not at all, and is made anew when that digest or its length is another.

Letters: H rows, W columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import time

import numpy as np
from jaxtyping import UInt8

from anyview.errors import FormatError
from anyview.formats.files import atomic_write, digest_file
from anyview.formats.images import image_header, read_rgb
from anyview.progress import SILENT, Progress

_VERSION = 1
_THREADS = 4  # that decode: Pillow works without the interpreter's lock
_AHEAD = 16  # pictures that are decoded before they are written
_ABANDONED = 3600.0  # seconds since a file that is being written was last written to


class ImageStack:
    """Pictures by number, as views of the file.

    Args:
        path: of the file.

    Raises:
        FormatError: missing, of another version, or cut short.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                head = json.loads(stream.readline())
                start = stream.tell()
            if head["version"] != _VERSION:
                raise ValueError("another version")
            self.names: list[str] = head["names"]
            self.sizes: list[tuple[int, int]] = [(height, width) for height, width in head["sizes"]]
            self.fingerprint: str = head["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError("no stack of pictures", where=path, actual=str(error), hint="remove it") from error
        self.path = path
        self._starts = np.cumsum([0, *(3 * height * width for height, width in self.sizes)]).tolist()
        if path.stat().st_size != start + self._starts[-1]:
            raise FormatError("a stack of pictures is cut short", where=path, hint="remove it")
        self._bytes = np.memmap(path, np.uint8, "r", start, (self._starts[-1],))

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.sizes)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """A picture, to be read only; what is not touched is not read."""
        return self._bytes[self._starts[index] : self._starts[index + 1]].reshape(*self.sizes[index], 3)


def stack_files(path: Path, files: Sequence[Path], progress: Progress = SILENT) -> ImageStack:
    """The stack of some image files; taken as it is where it was made from the same bytes.

    Colours are read whatever the file has: CMYK and palettes are converted, transparency dropped, 16 bits rounded, a
    film gives its first frame, which is told.

    Args:
        path: where it lies, or is to lie.
        files: in their order.
        progress: told of pictures that are decoded.

    Raises:
        FormatError: an image is missing, damaged, or cut short.
        WorkspaceError: the disk is full, or the folder not writable.
    """
    headers = [image_header(file) for file in files]
    moving = [file for file, header in zip(files, headers, strict=True) if header.frames > 1]
    if moving:
        progress.note(f"images with several frames, of which the first is taken: {len(moving)}, as {moving[0]}")
    sizes = [(header.height, header.width) for header in headers]
    names = [file.name for file in files]
    return make_stack(path, fingerprint_of(files), names, sizes, lambda index: read_rgb(files[index]), progress)


def make_stack(
    path: Path,
    fingerprint: str,
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    read: Callable[[int], UInt8[np.ndarray, "H W 3"]],
    progress: Progress = SILENT,
) -> ImageStack:
    """A stack, taken as it is where its fingerprint is the same.

    Args:
        path: where it lies, or is to lie.
        fingerprint: of all that the pictures are made from.
        names, sizes: of the pictures; rows and columns.
        read: makes one; several threads ask at once.
        progress: told of pictures that are made.

    Raises:
        FormatError: from `read`, or a picture of another size than was said.
        WorkspaceError: the disk is full, or the folder not writable.
    """
    with suppress(FormatError):
        found = ImageStack(path)
        if found.fingerprint == fingerprint and found.names == list(names) and found.sizes == list(sizes):
            return found
    _sweep(path)
    head = {"version": _VERSION, "fingerprint": fingerprint, "names": list(names), "sizes": list(sizes)}
    with (
        atomic_write(path) as temporary,
        temporary.open("wb") as stream,
        ThreadPoolExecutor(_THREADS, "pictures") as pool,
        progress.stage(f"decoding into {path.name}", len(names)) as advance,
    ):
        stream.write(json.dumps(head).encode() + b"\n")
        for begin in range(0, len(names), _AHEAD):
            chosen = range(begin, min(begin + _AHEAD, len(names)))
            for index, pixels in zip(chosen, pool.map(read, chosen), strict=True):
                if pixels.shape != (*sizes[index], 3):
                    raise FormatError(
                        "a picture has another size than its header says", where=names[index],
                        expected=sizes[index], actual=pixels.shape[:2],
                    )  # fmt: skip
                stream.write(np.ascontiguousarray(pixels).data)
                advance()
    return ImageStack(path)


def _sweep(path: Path) -> None:
    """Remove what killed runs have left, which may be large; not what another run may be writing now."""
    for left in path.parent.glob(f".{path.stem}.*.tmp{path.suffix}"):
        with suppress(OSError):
            if time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def fingerprint_of(files: Sequence[Path], *more: object) -> str:
    """Digest of the files' bytes in their order, and of anything else that decides."""
    with ThreadPoolExecutor(_THREADS, "digests") as pool:
        digests = list(pool.map(digest_file, files))
    return hashlib.blake2b(json.dumps([digests, [str(part) for part in more]]).encode(), digest_size=16).hexdigest()
