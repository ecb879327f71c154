"""COLMAP's binary model files (cameras.bin, images.bin, points3D.bin), little endian, as its format page documents.

Rigs and frames (rigs.bin, frames.bin of COLMAP 4) repeat what images.bin says of every image's pose and are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from anyview.errors import FormatError
from anyview.formats.colmap_model import CAMERA_MODELS, ColmapCamera, ColmapImage, ColmapPoints

_NAMES = {number: (name, count) for name, (number, count) in CAMERA_MODELS.items()}
_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I7dI")
_COUNT = struct.Struct("<Q")
_KEYPOINT = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
_POINT = np.dtype([("id", "<i8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")])
_OBSERVATION = np.dtype([("image", "<u4"), ("index", "<u4")])


class _Reader:
    """A file's bytes with a position; running out of them is a `FormatError`."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, size: int) -> int:
        """The offset of the next `size` bytes; moves past them."""
        start = self.at
        if start + size > len(self.data):
            raise FormatError(
                "COLMAP model is cut short",
                where=self.path,
                expected=f"at least {start + size} bytes",
                actual=f"{len(self.data)} bytes",
                hint="copy or export the model again",
            )
        self.at = start + size
        return start

    def unpack(self, layout: struct.Struct) -> tuple[float, ...]:
        return layout.unpack_from(self.data, self.take(layout.size))

    def count(self, smallest: int) -> int:
        """A number of records of at least `smallest` bytes each, checked against what is left."""
        count = int(self.unpack(_COUNT)[0])
        if count * smallest > len(self.data) - self.at:
            self.take(count * smallest)
        return count

    def array(self, kind: np.dtype, count: int) -> np.ndarray:
        return np.frombuffer(self.data, kind, count, self.take(kind.itemsize * count))

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            self.take(len(self.data) - self.at + 1)
        text = self.data[self.at : end]
        self.at = end + 1
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise FormatError("image name is not UTF-8", where=self.path, actual=repr(text[:60])) from error

    def finish(self) -> None:
        if self.at != len(self.data):
            raise FormatError(
                "COLMAP model has bytes left over", where=self.path, expected=self.at, actual=len(self.data)
            )


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """cameras.bin."""
    reader, cameras = _Reader(path), {}
    for _ in range(reader.count(_CAMERA.size)):
        number, model, width, height = map(int, reader.unpack(_CAMERA))
        if model not in _NAMES:
            raise FormatError(
                "unknown camera model", where=path, expected=f"a number from 0 to {max(_NAMES)}", actual=model
            )
        name, count = _NAMES[model]
        params = reader.array(np.dtype("<f8"), count)
        cameras[number] = ColmapCamera(number, name, width, height, tuple(params.tolist()))
    reader.finish()
    return cameras


def read_images(path: Path) -> dict[int, ColmapImage]:
    """images.bin."""
    reader, images = _Reader(path), {}
    for _ in range(reader.count(_IMAGE.size + 9)):
        number, *pose, camera = reader.unpack(_IMAGE)
        name = reader.text()
        keypoints = reader.array(_KEYPOINT, reader.count(_KEYPOINT.itemsize))
        images[int(number)] = ColmapImage(
            int(number),
            int(camera),
            name,
            np.array(pose[:4]),
            np.array(pose[4:]),
            np.ascontiguousarray(keypoints["xy"]),
            keypoints["point"].astype(np.int64),
        )
    reader.finish()
    return images


def read_points(path: Path) -> ColmapPoints:
    """points3D.bin. Records vary in length, so a light pass finds their starts and numpy gathers the rest."""
    reader = _Reader(path)
    count = reader.count(_POINT.itemsize)
    starts, lengths = np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        starts[i] = reader.take(_POINT.itemsize)
        (length,) = _COUNT.unpack_from(reader.data, reader.at - _COUNT.size)
        reader.take(length * _OBSERVATION.itemsize)
        lengths[i] = length
    reader.finish()
    data = np.frombuffer(reader.data, np.uint8)
    fixed = data[_spans(starts, np.full(count, _POINT.itemsize))].view(_POINT)
    tracks = data[_spans(starts + _POINT.itemsize, lengths * _OBSERVATION.itemsize)].view(_OBSERVATION)
    return ColmapPoints(
        fixed["id"].astype(np.int64),
        np.ascontiguousarray(fixed["xyz"]),
        np.ascontiguousarray(fixed["rgb"]),
        fixed["error"].astype(np.float64),
        lengths,
        tracks["image"].astype(np.uint32),
        tracks["index"].astype(np.uint32),
    )


def encode_cameras(cameras: Iterable[ColmapCamera]) -> bytes:
    """The bytes of cameras.bin."""
    parts = [
        _CAMERA.pack(c.id, CAMERA_MODELS[c.model][0], c.width, c.height) + np.asarray(c.params, "<f8").tobytes()
        for c in cameras
    ]
    return _COUNT.pack(len(parts)) + b"".join(parts)


def encode_images(images: Iterable[ColmapImage]) -> bytes:
    """The bytes of images.bin."""
    parts = []
    for image in images:
        keypoints = np.empty(len(image.points2d), _KEYPOINT)
        keypoints["xy"], keypoints["point"] = image.points2d, image.point3d_ids
        head = _IMAGE.pack(image.id, *image.quaternion.tolist(), *image.translation.tolist(), image.camera_id)
        parts.append(head + image.name.encode() + b"\0" + _COUNT.pack(len(keypoints)) + keypoints.tobytes())
    return _COUNT.pack(len(parts)) + b"".join(parts)


def encode_points(points: ColmapPoints) -> bytes:
    """The bytes of points3D.bin."""
    fixed = np.empty(len(points), _POINT)
    fixed["id"], fixed["xyz"], fixed["rgb"] = points.ids, points.xyz, points.rgb
    fixed["error"], fixed["length"] = points.error, points.track_lengths
    tracks = np.empty(len(points.image_ids), _OBSERVATION)
    tracks["image"], tracks["index"] = points.image_ids, points.point2d_idxs
    sizes = np.asarray(points.track_lengths, np.int64) * _OBSERVATION.itemsize
    starts = np.cumsum(sizes + _POINT.itemsize) - sizes - _POINT.itemsize
    data = np.empty(fixed.nbytes + tracks.nbytes, np.uint8)
    data[_spans(starts, np.full(len(points), _POINT.itemsize))] = np.frombuffer(fixed.tobytes(), np.uint8)
    data[_spans(starts + _POINT.itemsize, sizes)] = np.frombuffer(tracks.tobytes(), np.uint8)
    return _COUNT.pack(len(points)) + data.tobytes()


def _spans(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The indices starts[0] .. starts[0] + sizes[0] - 1, starts[1] .. and so on, in one array."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    indices: np.ndarray = np.arange(total) + np.repeat(starts - ends + sizes, sizes)
    return indices
