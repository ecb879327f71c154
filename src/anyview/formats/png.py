"""PNG written row by row: a picture larger than the memory, 16 bits of colour, a colour profile and EXIF.

Pillow writes no colours of 16 bits and wants the whole picture, of which it makes a copy. Rows are filtered by Paeth's
predictor (PNG, third edition, section 9.4), which suits photographs.

Letters: H rows, W columns, C channels.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import UInt8, UInt16

from anyview.errors import OptionError

_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to colour type: grey, grey with alpha, RGB, RGBA
_PAETH = 4
_ROWS = 64  # filtered at a time
_LEVEL = 4  # of zlib: 6 takes twice the time for a hundredth of the bytes
_MOST = (1 << 31) - 1


class PngWriter:
    """A file that is written from top to bottom, as a context.

    Args:
        path: where to; the caller wraps it in `atomic_write`.
        width, height: pixels.
        channels: 1 grey, 2 grey with alpha, 3 RGB, 4 RGBA; alpha is straight.
        bits: 8 or 16 for each channel.
        profile: ICC, for the kind of colours that the channels are.
        exif: as Pillow gives it (TIFF, perhaps after "Exif" and two zeros).

    Raises:
        OptionError: no such picture, or (at the end) another number of rows than was said.
        OSError: the disk is full.
    """

    def __init__(
        self, path: Path, width: int, height: int, channels: int, bits: int = 8, *, profile: bytes | None = None,
        exif: bytes | None = None,
    ) -> None:  # fmt: skip
        if not (0 < width <= _MOST and 0 < height <= _MOST and channels in _KINDS and bits in (8, 16)):
            raise OptionError(
                "PNG holds no such picture", where=path, actual=f"{width} x {height}, {channels} channels, {bits} bits"
            )
        self._path, self._shape, self._dtype = path, (height, width, channels), {8: np.uint8, 16: np.uint16}[bits]
        self._profile, self._exif, self._bits = profile, exif, bits
        self._rows = 0
        self._above = np.zeros(width * channels * bits // 8, np.uint8)

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def write(self, rows: UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]) -> None:
        """Append rows.

        Raises:
            OptionError: they are of another width, number of channels or type, or too many.
        """
        height, *row = self._shape
        self._rows += len(rows)
        if list(rows.shape[1:]) != row or rows.dtype != self._dtype or self._rows > height:
            raise OptionError(
                "rows do not fit the picture", where=self._path, expected=f"{self._shape} in all",
                actual=f"{rows.dtype} {rows.shape}",
            )  # fmt: skip
        for top in range(0, len(rows), _ROWS):
            some = np.ascontiguousarray(rows[top : top + _ROWS])
            some = some.astype(">u2") if self._bits == 16 else some  # the file is big-endian
            flat = some.reshape(len(some), -1).view(np.uint8)
            above = np.concatenate([self._above[None], flat[:-1]])
            self._above = flat[-1]
            self._compressed(_filtered(flat, above, row[1] * self._bits // 8).tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if error is not None:
                return
            if self._rows != self._shape[0]:
                raise OptionError("rows are missing", where=self._path, expected=self._shape[0], actual=self._rows)
            self._chunk(b"IDAT", self._deflate.flush())
            self._chunk(b"IEND", b"")

    def _begin(self) -> None:
        """All before the pixels."""
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
        self._file.write(b"\x89PNG\r\n\x1a\n")
        height, width, channels = self._shape
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, self._bits, _KINDS[channels], 0, 0, 0))
        if self._profile:
            self._chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(self._profile))
        if self._exif:
            self._chunk(b"eXIf", self._exif.removeprefix(b"Exif\0\0"))

    def _compressed(self, data: bytes) -> None:
        if packed := self._deflate.compress(data):
            self._chunk(b"IDAT", packed)

    def _chunk(self, name: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + name)
        self._file.write(data)
        self._file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def _filtered(rows: UInt8[np.ndarray, "H N"], above: UInt8[np.ndarray, "H N"], pixel: int) -> UInt8[np.ndarray, "H M"]:
    """Bytes less what Paeth's predictor guesses, after the filter's number.

    Args:
        rows: bytes of pixels.
        above: the rows above them.
        pixel: bytes of a pixel.
    """
    here, b = rows.astype(np.int16), above.astype(np.int16)
    a, c = np.zeros_like(here), np.zeros_like(b)  # left, and left above: nothing before the first pixel
    a[:, pixel:], c[:, pixel:] = here[:, :-pixel], b[:, :-pixel]
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    guess = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = _PAETH
    out[:, 1:] = (here - guess).astype(np.uint8)  # modulo 256
    return out
