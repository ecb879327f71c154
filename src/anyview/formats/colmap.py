"""COLMAP's sparse models, text or binary, and its dense depth and normal maps.

Shapes: maps are (H, W) or (H, W, C). The model's own data classes are in `colmap_model`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Float

from anyview.errors import FormatError
from anyview.formats import colmap_binary, colmap_text
from anyview.formats.colmap_model import (
    CAMERA_MODELS,
    ColmapCamera,
    ColmapImage,
    ColmapModel,
    ColmapPoints,
)
from anyview.formats.files import atomic_write

__all__ = [
    "CAMERA_MODELS",
    "ColmapCamera",
    "ColmapImage",
    "ColmapModel",
    "ColmapPoints",
    "is_model",
    "read_array",
    "read_model",
    "write_array",
    "write_model",
]

_CODECS: dict[str, ModuleType] = {".bin": colmap_binary, ".txt": colmap_text}


def is_model(folder: str | Path) -> bool:
    """Whether cameras and images of a model, binary or text, lie in the folder itself."""
    return _suffix(Path(folder)) is not None


def read_model(folder: str | Path) -> ColmapModel:
    """A model in text or binary; where both lie side by side, the binary one, as in COLMAP. Points may be missing.

    Raises:
        FormatError: no model there, a file cut short or broken, an unknown camera model, an image without its camera.
    """
    folder = Path(folder)
    suffix = _suffix(folder)
    if suffix is None:
        raise FormatError(
            "no COLMAP model", where=folder, expected="cameras.bin and images.bin, or cameras.txt and images.txt"
        )
    codec = _CODECS[suffix]
    cameras = codec.read_cameras(folder / f"cameras{suffix}")
    images = codec.read_images(folder / f"images{suffix}")
    points_file = folder / f"points3D{suffix}"
    points = codec.read_points(points_file) if points_file.exists() else ColmapPoints.empty()
    for image in images.values():
        if image.camera_id not in cameras:
            raise FormatError(
                f"image {image.name} has no camera",
                where=folder / f"images{suffix}",
                expected=f"a camera {image.camera_id} in cameras{suffix}",
            )
    return ColmapModel(cameras, images, points)


def write_model(model: ColmapModel, folder: str | Path, binary: bool = True) -> None:
    """Write cameras, images and points3D, each file whole or not at all.

    Files of another model in that folder (the other encoding, COLMAP 4's rigs and frames) are removed: they would
    contradict this one.

    Raises:
        FormatError: an unknown camera model, or a name that the format cannot hold.
        WorkspaceError: the folder cannot be written to, or the disk is full.
    """
    folder = Path(folder)
    _check_writable(model, folder)
    suffix = ".bin" if binary else ".txt"
    codec = _CODECS[suffix]
    encoded = {
        "cameras": codec.encode_cameras(model.cameras.values()),
        "images": codec.encode_images(model.images.values()),
        "points3D": codec.encode_points(model.points),
    }
    for stem, data in encoded.items():
        with atomic_write(folder / f"{stem}{suffix}") as temporary:
            temporary.write_bytes(data)
    for stem in ("cameras", "images", "points3D", "rigs", "frames"):
        for other in (".bin", ".txt"):
            if stem not in encoded or other != suffix:
                (folder / f"{stem}{other}").unlink(missing_ok=True)


def read_array(path: str | Path) -> Float[np.ndarray, "H W *C"]:
    """A depth map (H, W) or normal map (H, W, 3) of COLMAP's dense stage, float32.

    Raises:
        FormatError: missing, no such header, or fewer or more values than it announces.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"map cannot be read ({error.strerror})", where=path) from error
    header = data[:64].split(b"&", 3)
    try:
        if len(header) != 4:
            raise ValueError
        width, height, channels = (int(number) for number in header[:3])
        if min(width, height, channels) < 1:
            raise ValueError
    except ValueError as error:
        raise FormatError(
            "not one of COLMAP's dense maps", where=path, expected="a header width&height&channels&"
        ) from error
    start = sum(len(number) + 1 for number in header[:3])
    size = start + 4 * width * height * channels
    if len(data) != size:
        raise FormatError("map is cut short or damaged", where=path, expected=f"{size} bytes", actual=len(data))
    # COLMAP stores channel after channel, each row by row
    array = np.frombuffer(data, "<f4", offset=start).reshape(channels, height, width).transpose(1, 2, 0)
    return np.ascontiguousarray(array[:, :, 0] if channels == 1 else array, np.float32)


def write_array(path: str | Path, array: Float[np.ndarray, "H W *C"]) -> None:
    """Write a map (H, W) or (H, W, C) as float32 in COLMAP's dense format, whole or not at all."""
    array = np.asarray(array, "<f4")
    if array.ndim not in (2, 3):
        raise FormatError("not a map's shape", where=path, expected="(H, W) or (H, W, C)", actual=array.shape)
    if array.ndim == 2:
        array = array[:, :, None]
    height, width, channels = array.shape
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(f"{width}&{height}&{channels}&".encode() + array.transpose(2, 0, 1).tobytes())


def _suffix(folder: Path) -> str | None:
    for suffix in _CODECS:
        if all((folder / f"{stem}{suffix}").is_file() for stem in ("cameras", "images")):
            return suffix
    return None


def _check_writable(model: ColmapModel, folder: Path) -> None:
    for camera in model.cameras.values():
        if camera.model not in CAMERA_MODELS or CAMERA_MODELS[camera.model][1] != len(camera.params):
            raise FormatError(
                "camera does not fit COLMAP's models",
                where=folder,
                actual=f"{camera.model} with {len(camera.params)} parameters",
            )
    for image in model.images.values():
        if not image.name or image.name != image.name.strip() or any(c in image.name for c in "\0\n\r"):
            raise FormatError("COLMAP's files cannot hold this image name", where=folder, actual=repr(image.name))
