"""COLMAP's text model files (cameras.txt, images.txt, points3D.txt), as its format page documents.

Numbers are written with all their digits, so that a model read back is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anyview.errors import FormatError
from anyview.formats.colmap_model import CAMERA_MODELS, ColmapCamera, ColmapImage, ColmapPoints


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """cameras.txt."""
    cameras = {}
    for number, line in _content(_lines(path)):
        with _parsing(path, number, "CAMERA_ID MODEL WIDTH HEIGHT PARAMS..."):
            words = line.split()
            camera = ColmapCamera(int(words[0]), words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:])))
        if camera.model not in CAMERA_MODELS:
            raise FormatError(
                "unknown camera model",
                where=f"{path}, line {number}",
                expected="one of " + ", ".join(sorted(CAMERA_MODELS)),
                actual=camera.model,
            )
        if len(camera.params) != CAMERA_MODELS[camera.model][1]:
            raise FormatError(
                f"wrong number of parameters for camera model {camera.model}",
                where=f"{path}, line {number}",
                expected=CAMERA_MODELS[camera.model][1],
                actual=len(camera.params),
            )
        cameras[camera.id] = camera
    return cameras


def read_images(path: Path) -> dict[int, ColmapImage]:
    """images.txt: two lines per image, the second of which may be empty."""
    images = {}
    lines = _lines(path)
    for number, line in _content(lines):
        with _parsing(path, number, "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"):
            *words, name = line.split(maxsplit=9)
            image_id, pose, camera_id = int(words[0]), np.array(list(map(float, words[1:8]))), int(words[8])
        number, line = next(lines, (number + 1, ""))
        with _parsing(path, number, "X Y POINT3D_ID ..."):
            keypoints = line.split()
            points2d = np.array([keypoints[0::3], keypoints[1::3]], np.float64).T.reshape(-1, 2)
            point3d_ids = np.array(keypoints[2::3], np.int64)
            if len(keypoints) % 3:
                raise ValueError
        images[image_id] = ColmapImage(image_id, camera_id, name, pose[:4], pose[4:], points2d, point3d_ids)
    return images


def read_points(path: Path) -> ColmapPoints:
    """points3D.txt."""
    ids, numbers, colours, tracks = [], [], [], []
    for number, line in _content(_lines(path)):
        with _parsing(path, number, "POINT3D_ID X Y Z R G B ERROR (IMAGE_ID POINT2D_IDX)..."):
            words = line.split()
            ids.append(int(words[0]))
            numbers.append([float(words[i]) for i in (1, 2, 3, 7)])
            colours.append([int(word) for word in words[4:7]])
            tracks.append(np.array(words[8:], np.int64).reshape(-1, 2))
            if not all(0 <= c <= 255 for c in colours[-1]):
                raise ValueError
    if not ids:
        return ColmapPoints.empty()
    values, observations = np.array(numbers), np.concatenate(tracks).astype(np.uint32)
    return ColmapPoints(
        np.array(ids, np.int64),
        np.ascontiguousarray(values[:, :3]),
        np.array(colours, np.uint8),
        np.ascontiguousarray(values[:, 3]),
        np.array([len(track) for track in tracks], np.int64),
        np.ascontiguousarray(observations[:, 0]),
        np.ascontiguousarray(observations[:, 1]),
    )


def encode_cameras(cameras: Iterable[ColmapCamera]) -> bytes:
    """The bytes of cameras.txt."""
    lines = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    lines += [f"{c.id} {c.model} {c.width} {c.height} {_join(c.params)}" for c in cameras]
    return _bytes(lines)


def encode_images(images: Iterable[ColmapImage]) -> bytes:
    """The bytes of images.txt."""
    lines = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "# POINTS2D[] as (X, Y, POINT3D_ID)"]
    for i in images:
        lines.append(f"{i.id} {_join(i.quaternion.tolist())} {_join(i.translation.tolist())} {i.camera_id} {i.name}")
        keypoints = zip(i.points2d.tolist(), i.point3d_ids.tolist(), strict=True)
        lines.append(" ".join(f"{x!r} {y!r} {point}" for (x, y), point in keypoints))
    return _bytes(lines)


def encode_points(points: ColmapPoints) -> bytes:
    """The bytes of points3D.txt."""
    lines = ["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)"]
    observations = np.stack([points.image_ids, points.point2d_idxs], axis=1)
    ends = np.cumsum(points.track_lengths)
    xyz, rgb, error = points.xyz.tolist(), points.rgb.tolist(), points.error.tolist()
    for i, (number, end) in enumerate(zip(points.ids.tolist(), ends.tolist(), strict=True)):
        track = observations[end - int(points.track_lengths[i]) : end].ravel().tolist()
        lines.append(" ".join([str(number), _join(xyz[i]), _join(rgb[i]), repr(error[i]), *map(str, track)]))
    return _bytes(lines)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("not a text file", where=path) from error
    return iter(list(enumerate(text.split("\n"), start=1)))


def _content(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor a comment; the same iterator may be advanced between two of them."""
    for number, line in lines:
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


@contextmanager
def _parsing(path: Path, number: int, layout: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError) as error:
        raise FormatError(
            "COLMAP model has a broken line",
            where=f"{path}, line {number}",
            expected=layout,
            hint="the file may be cut short; export the model again",
        ) from error


def _join(values: Iterable[float]) -> str:
    return " ".join(map(repr, values))


def _bytes(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
