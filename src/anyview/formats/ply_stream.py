"""Clouds written piece by piece, for clouds larger than memory: a PLY file and COLMAP's list of who saw each point.

The number of points is known only at the end. The PLY header is written first with room in its comment, and once more
at the end with the true number in exactly as many bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8, UInt32

from anyview.errors import FormatError

_FIELDS = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")] + [
    (name, "u1") for name in ("red", "green", "blue")
]
_KINDS = {"f4": "float", "u1": "uchar", "u2": "ushort"}
_ROOM = 20


class PlyCloudWriter:
    """A binary little-endian cloud of x y z, nx ny nz (float) and red green blue (uchar); use it in a `with`.

    Args:
        path: the file.
        extra: more properties behind these, name -> "f4" (float), "u1" (uchar) or "u2" (ushort). Readers that do not
            know a name pass over it.
    """

    def __init__(self, path: str | Path, extra: Mapping[str, str] | None = None) -> None:
        self.count = 0
        self._extra = dict(extra or {})
        self._record = np.dtype([*_FIELDS, *((name, "<" + kind) for name, kind in self._extra.items())])
        self._stream = Path(path).open("wb")  # noqa: SIM115 - closed by __exit__
        self._stream.write(_header(0, self._record))

    def __enter__(self) -> PlyCloudWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stream:
            if kind is None:
                self._stream.seek(0)
                self._stream.write(_header(self.count, self._record))

    def append(
        self,
        xyz: Float32[np.ndarray, "N 3"],
        normals: Float32[np.ndarray, "N 3"],
        rgb: UInt8[np.ndarray, "N 3"],
        extra: Mapping[str, np.ndarray[Any, Any]] | None = None,
    ) -> None:
        """Add points: scene units, unit normals, 0 to 255, and (N,) values of each further property."""
        rows = np.empty(len(xyz), self._record)
        for name in self._extra:
            rows[name] = (extra or {})[name]
        for columns, values in (("x y z", xyz), ("nx ny nz", normals), ("red green blue", rgb)):
            for i, name in enumerate(columns.split()):
                rows[name] = values[:, i]
        self._stream.write(rows.data)
        self.count += len(xyz)


class VisibilityWriter:
    """COLMAP's `fused.ply.vis`: uint64 number of points, then for each a uint32 count and as many image indices."""

    def __init__(self, path: str | Path) -> None:
        self._count = 0
        self._stream = Path(path).open("wb")  # noqa: SIM115 - closed by __exit__
        self._stream.write(np.uint64(0).tobytes())

    def __enter__(self) -> VisibilityWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stream:
            if kind is None:
                self._stream.seek(0)
                self._stream.write(np.array(self._count, "<u8").tobytes())

    def append(self, counts: Int[np.ndarray, " N"], indices: UInt32[np.ndarray, " M"]) -> None:
        """Add points: how many images saw each, and those images' indices, end to end."""
        counts = np.asarray(counts, np.int64)
        rows = np.empty(len(counts) + len(indices), "<u4")
        at = np.cumsum(counts + 1) - counts - 1
        rows[at] = counts
        rest: np.ndarray[Any, Any] = np.ones(len(rows), bool)
        rest[at] = False
        rows[rest] = indices
        self._stream.write(rows.data)
        self._count += len(counts)


def read_visibility(path: str | Path) -> list[UInt32[np.ndarray, " K"]]:
    """Image indices of each point of a `fused.ply.vis`.

    Raises:
        FormatError: missing, or cut short.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"visibility cannot be read ({error.strerror})", where=path) from error
    points = int(np.frombuffer(data[:8], "<u8")[0]) if len(data) >= 8 else -1
    rows = np.frombuffer(data[8 : len(data) - len(data) % 4], "<u4")
    out: list[np.ndarray[Any, Any]] = []
    at = 0
    while at < len(rows) and len(out) < points:
        count = int(rows[at])
        out.append(rows[at + 1 : at + 1 + count])
        at += 1 + count
    if len(out) != points or at != len(rows):
        raise FormatError(
            "visibility is cut short or damaged", where=path, expected=f"{points} points", actual=len(out)
        )
    return out


def _header(count: int, record: np.dtype[Any]) -> bytes:
    digits = str(count)
    lines = ["ply", "format binary_little_endian 1.0", "comment written by anyview" + " " * (_ROOM - len(digits))]
    lines.append(f"element vertex {digits}")
    lines += [f"property {_KINDS[record[name].str[1:]]} {name}" for name in record.names or ()]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii")
