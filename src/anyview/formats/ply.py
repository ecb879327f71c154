"""PLY: point clouds and triangle meshes, bytes <-> plain arrays.

Letters: N vertices, F faces. Reads ascii and binary of both byte orders with any properties; writes binary little
endian.

A row without lists is a fixed record, read in one step. A row with lists is cut into segments, each a run of scalars
and the list behind it; only where the segments begin is found row by row, the values are gathered in one step again.
An ascii body is parsed to float64 and then read like a binary one whose every number is a double.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Integer, UInt8

from anyview.errors import FormatError

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"},
    **{"double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8"},
}
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"} | {
    "f8": "double"
}
_BYTE_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLORS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_FACE_LISTS = ("vertex_indices", "vertex_index")
_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 16

_Lists: TypeAlias = dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]  # name -> counts, values end to end
_Columns: TypeAlias = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, eq=False)
class Ply:
    """What a PLY file holds.

    Attributes:
        vertices: property name -> (N,) array of the type in the file. Lists at vertices are passed over.
        faces: triangles as rows of vertex indices, or None where the file has no faces. Polygons come as fans.
    """

    vertices: dict[str, np.ndarray[Any, Any]] = field(repr=False)
    faces: Int32[np.ndarray, "F 3"] | None = field(default=None, repr=False)

    @property
    def xyz(self) -> Float64[np.ndarray, "N 3"]:
        """Positions, scene units."""
        return np.stack([self.vertices[name] for name in "xyz"], axis=1).astype(np.float64)

    @property
    def normals(self) -> Float32[np.ndarray, "N 3"] | None:
        """Normals as stored, or None."""
        names = ("nx", "ny", "nz")
        if not all(name in self.vertices for name in names):
            return None
        normals: Float32[np.ndarray, "N 3"] = np.stack([self.vertices[name] for name in names], axis=1)
        return normals.astype(np.float32, copy=False)

    @property
    def rgb(self) -> UInt8[np.ndarray, "N 3"] | None:
        """Colours, 0 to 255 (those stored as floats are 0 to 1 in the file), or None."""
        for names in _COLORS:
            if all(name in self.vertices for name in names):
                stored = np.stack([self.vertices[name] for name in names], axis=1)
                if stored.dtype.kind == "f":
                    stored = np.rint(np.nan_to_num(stored) * 255)
                rgb: UInt8[np.ndarray, "N 3"] = np.clip(stored, 0, 255).astype(np.uint8, copy=False)
                return rgb
        return None


def read_ply(path: str | Path) -> Ply:
    """Read a cloud or a mesh.

    Raises:
        FormatError: not a PLY file, a damaged header, no x y z, fewer bytes or numbers than the header promises,
            or faces that name vertices which do not exist.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError("cannot read the file", where=path, actual=error.strerror) from error
    order, elements, start = _parse_header(data, path)
    types = elements
    if order == "ascii":
        data, start = _ascii_to_doubles(data[start:], path), 0
        types = [
            _Element(e.name, e.rows, [_Property(p.name, "f8", p.count and "f8") for p in e.properties]) for e in types
        ]
    vertices: _Columns | None = None
    faces: Int32[np.ndarray, "F 3"] | None = None
    for declared, element in zip(elements, types, strict=True):
        try:
            columns, lists, start = _read_element(data, start, element, _BYTE_ORDERS[order])
        except (struct.error, ValueError, OverflowError) as error:
            raise FormatError(
                "PLY file is cut short or damaged",
                where=path,
                expected=f"{element.rows} rows of {element.name}",
                actual=f"{len(data)} bytes" if order != "ascii" else f"{len(data) // 8} numbers",
                hint="write or copy the file again",
            ) from error
        if element.name == "vertex":
            wanted = {p.name: p.type for p in declared.properties}
            vertices = {name: _native(column, wanted[name]) for name, column in columns.items()}
        elif element.name == "face":
            faces = next((_fans(*lists[name]) for name in _FACE_LISTS if name in lists), None)
    missing = [name for name in "xyz" if vertices is None or name not in vertices]
    if vertices is None or missing:
        raise FormatError("PLY file without positions", where=path, expected="a vertex element with x, y and z")
    rows = len(vertices["x"])
    if faces is not None and len(faces) and (faces.min() < 0 or faces.max() >= rows):
        raise FormatError(
            "faces name vertices that do not exist",
            where=path,
            expected=f"0 to {rows - 1}",
            actual=f"{faces.min()} to {faces.max()}",
        )
    return Ply(vertices, None if faces is None else faces.astype(np.int32))


def write_ply(
    path: str | Path,
    xyz: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"] | None = None,
    rgb: UInt8[np.ndarray, "N 3"] | None = None,
    faces: Integer[np.ndarray, "F 3"] | None = None,
    extra: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> None:
    """Write a cloud or a mesh, binary little endian: x y z, nx ny nz (float), red green blue (uchar).

    The file is written in place; wrap the call in `workspace.atomic_write` where a half-written file would harm.

    Args:
        path: the file.
        xyz: positions, scene units; stored as float32.
        normals: stored as float32.
        rgb: 0 to 255.
        faces: triangles.
        extra: more properties of the vertices, name -> (N,) array of a type that PLY knows.

    Raises:
        FormatError: shapes that contradict each other or a type that PLY does not know.
    """
    count = len(xyz)
    columns: list[tuple[str, str, np.ndarray[Any, Any]]] = []
    groups = ((("x", "y", "z"), "f4", xyz), (("nx", "ny", "nz"), "f4", normals), (_COLORS[0], "u1", rgb))
    for names, kind, array in groups:
        if array is None:
            continue
        if array.shape != (count, 3) or (kind == "u1" and array.dtype != np.uint8):
            actual = f"{array.dtype} {array.shape}"
            raise FormatError(f"cannot write {' '.join(names)}", where=path, expected=f"({count}, 3)", actual=actual)
        columns += [(name, kind, array[:, i]) for i, name in enumerate(names)]
    for name, array in (extra or {}).items():
        kind = "u1" if array.dtype == bool else array.dtype.str[1:]
        if array.shape != (count,) or kind not in _NAMES:
            raise FormatError(
                f"cannot write the property {name}",
                where=path,
                expected=f"({count},) of {', '.join(sorted(_NAMES))}",
                actual=f"{array.dtype} {array.shape}",
            )
        columns.append((name, kind, array))
    header = ["ply", "format binary_little_endian 1.0", "comment written by anyview", f"element vertex {count}"]
    header += [f"property {_NAMES[kind]} {name}" for name, kind, _ in columns]
    if faces is not None:
        if faces.ndim != 2 or faces.shape[1] != 3:
            raise FormatError("cannot write the faces", where=path, expected="(F, 3)", actual=faces.shape)
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    record = np.dtype([(name, "<" + kind) for name, kind, _ in columns])
    with Path(path).open("wb") as stream:
        stream.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        for first in range(0, count, _CHUNK):  # in pieces: the records need no second copy of a big cloud
            rows = np.empty(min(_CHUNK, count - first), record)
            for name, _, array in columns:
                rows[name] = array[first : first + len(rows)]
            stream.write(rows.data)
        if faces is not None:
            triangles = np.empty(len(faces), np.dtype([("count", "u1"), ("indices", "<i4", 3)]))
            triangles["count"], triangles["indices"] = 3, faces
            stream.write(triangles.data)


@dataclass(frozen=True)
class _Property:
    """A scalar, or (with `count`, the type of its length) a list."""

    name: str
    type: str
    count: str | None = None


@dataclass(frozen=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property]


def _parse_header(data: bytes, path: Path) -> tuple[str, list[_Element], int]:
    """Format, elements, and where the body begins."""
    match = re.match(rb"ply(\r\n|\n|\r)", data)
    if not match:
        raise FormatError("not a PLY file", where=path, expected="a first line `ply`", actual=repr(data[:8]))
    last = match[1] + b"end_header" + match[1]
    end = data.find(last, 0, _LONGEST_HEADER)
    if end < 0:
        raise FormatError("PLY header without end", where=path, expected="a line `end_header`")
    order, elements = "", list[_Element]()
    for line in data[:end].decode("latin-1").splitlines()[1:]:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in _BYTE_ORDERS:
                order = name
            case ["element", name, rows] if rows.isdecimal():
                elements.append(_Element(name, int(rows), []))
            case ["property", "list", count, kind, name] if elements and count in _TYPES and kind in _TYPES:
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[count]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(_Property(name, _TYPES[kind]))
            case _:
                raise FormatError("PLY header has a line that means nothing", where=path, actual=repr(line[:80]))
    if not order:
        raise FormatError("PLY header without format", where=path, expected="one of " + ", ".join(_BYTE_ORDERS))
    return order, elements, end + len(last)


def _ascii_to_doubles(body: bytes, path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # parsing stops at junk; too few numbers are noticed later
        try:
            return np.fromstring(body.decode("latin-1"), dtype="<f8", sep=" ").tobytes()
        except ValueError as error:
            raise FormatError("PLY file has text where numbers should be", where=path) from error


def _read_element(data: bytes, start: int, element: _Element, order: str) -> tuple[_Columns, _Lists, int]:
    """Scalars, lists, and where the next element begins. ValueError or struct.error where the data end too early."""
    properties = element.properties
    if not properties or not element.rows:
        empty = {p.name: np.empty(0, p.type) for p in properties if not p.count}
        nothing = np.empty(0, np.int64)
        return empty, {p.name: (nothing, nothing) for p in properties if p.count}, start
    fixed = _fixed_record(data, start, element, order)
    if fixed is not None:
        columns = {p.name: fixed[str(i)] for i, p in enumerate(properties) if not p.count}
        lists = {
            p.name: (np.full(element.rows, fixed[str(i)].shape[1]), fixed[str(i)].reshape(-1))
            for i, p in enumerate(properties)
            if p.count
        }
        return columns, lists, start + fixed.nbytes
    return _gather_rows(data, start, element, order)


def _fixed_record(data: bytes, start: int, element: _Element, order: str) -> np.ndarray[Any, Any] | None:
    """All rows as one structured array if each list has in every row the length that it has in the first."""
    fields: list[Any] = []
    lengths: dict[str, int] = {}
    at = start
    for i, p in enumerate(element.properties):
        if p.count:
            lengths[f"n{i}"] = length = _unpack_count(data, at, p.count, order)
            fields += [(f"n{i}", order + p.count), (str(i), order + p.type, (length,))]
            at += np.dtype(p.count).itemsize + length * np.dtype(p.type).itemsize
        else:
            fields.append((str(i), order + p.type))
            at += np.dtype(p.type).itemsize
    record = np.dtype(fields)
    if not lengths:
        return np.frombuffer(data, record, element.rows, start)
    if start + element.rows * record.itemsize > len(data):
        return None
    rows = np.frombuffer(data, record, element.rows, start)
    return rows if all((rows[name] == length).all() for name, length in lengths.items()) else None


def _gather_rows(data: bytes, start: int, element: _Element, order: str) -> tuple[_Columns, _Lists, int]:
    """Rows whose lists differ in length."""
    segments: list[list[_Property]] = [[]]
    for p in element.properties:
        segments[-1].append(p)
        if p.count:
            segments.append([])
    sizes = [sum(np.dtype(p.type).itemsize for p in s if not p.count) for s in segments]
    heads = [(size, s[-1]) for size, s in zip(sizes, segments, strict=True) if s and s[-1].count]
    steps = [(size, struct.Struct(order + _struct_code(p.count or "")), np.dtype(p.type).itemsize) for size, p in heads]
    begins: list[list[int]] = [[] for _ in segments]
    lengths: list[list[int]] = [[] for _ in steps]
    at = start
    for _ in range(element.rows):
        for k, (run, counter, item) in enumerate(steps):
            begins[k].append(at)
            length = int(counter.unpack_from(data, at + run)[0])
            if length < 0:
                raise ValueError("a list of negative length")
            lengths[k].append(length)
            at += run + counter.size + length * item
        begins[-1].append(at)
        at += sizes[-1]
    if at > len(data):
        raise ValueError("the data end too early")
    raw = np.frombuffer(data, np.uint8)
    columns: _Columns = {}
    lists: _Lists = {}
    for k, segment in enumerate(segments):
        where = np.array(begins[k], np.int64)
        for p in segment:
            kind = np.dtype(order + p.type)
            if p.count:
                counts = np.array(lengths[k], np.int64)
                first = np.cumsum(counts) - counts
                within = np.arange(counts.sum()) - np.repeat(first, counts)
                items = np.repeat(where + np.dtype(p.count).itemsize, counts) + within * kind.itemsize
                lists[p.name] = counts, _take(raw, items, kind)
            else:
                columns[p.name] = _take(raw, where, kind)
                where = where + kind.itemsize
    return columns, lists, at


def _take(raw: UInt8[np.ndarray, "B"], where: np.ndarray[Any, Any], kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Numbers of one type from their byte offsets."""
    return raw[where[:, None] + np.arange(kind.itemsize)].view(kind).reshape(-1)


def _struct_code(kind: str) -> str:
    return {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}[kind]


def _unpack_count(data: bytes, at: int, kind: str, order: str) -> int:
    length = int(struct.unpack_from(order + _struct_code(kind), data, at)[0])
    if not 0 <= length <= len(data):
        raise ValueError("a list of impossible length")
    return length


def _native(column: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(column).astype(np.dtype(kind), copy=False)


def _fans(counts: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Polygons (a, b, c, d, ...) as triangles (a, b, c), (a, c, d), ...; those of fewer than three corners vanish."""
    values = values.astype(np.int64)
    if len(counts) and (counts == 3).all():
        return values.reshape(-1, 3)
    triangles = np.maximum(counts - 2, 0)
    first = np.repeat(np.cumsum(counts) - counts, triangles)
    step = np.arange(triangles.sum()) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([values[first], values[first + step + 1], values[first + step + 2]], axis=1)
