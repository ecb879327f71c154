"""Image files to float arrays and back, through Pillow.

Letters: H rows, W columns. Colours are sRGB in [0, 1]; alpha is straight and separate. Pixels come as they are stored:
an EXIF rotation is not applied, because calibrations (COLMAP's too) are made for the stored pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer, UInt8
from PIL import Image as PillowImage
from PIL import ImageOps

from anyview.errors import FormatError

_ORIENTATION = 0x0112  # EXIF's tag
_BROKEN = (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, PillowImage.DecompressionBombError)


def read_image(path: str | Path) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
    """Colours and straight alpha (None where the file has none), both in [0, 1].

    Raises:
        FormatError: missing, not an image, or cut short.
    """
    path = Path(path)
    try:
        with PillowImage.open(path) as image:
            image.load()
            return _split(image)
    except _BROKEN as error:
        raise _explain(path, error) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        FormatError: missing, or not an image.
    """
    path = Path(path)
    try:
        with PillowImage.open(path) as image:
            width, height = image.size
            return width, height
    except _BROKEN as error:
        raise _explain(path, error) from error


@dataclass(frozen=True)
class Header:
    """What an image file says of itself.

    Attributes:
        width, height: of the stored pixels.
        orientation: EXIF's, 1 to 8: how the stored pixels are to be turned and mirrored to be looked at; 1 is as they
            are, and from 5 on width and height change places.
        frames: more than one where the picture moves or has pages.
        grey: whether it has one channel of shades, and no colours.
    """

    width: int
    height: int
    orientation: int = 1
    frames: int = 1
    grey: bool = False


def image_header(path: str | Path) -> Header:
    """Size, orientation, number of frames and kind, without reading the pixels.

    Raises:
        FormatError: missing, or not an image.
    """
    path = Path(path)
    try:
        with PillowImage.open(path) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            orientation = orientation if orientation in range(1, 9) else 1
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # its others are previews
            return Header(*image.size, orientation, frames, image.mode.startswith(("1", "L", "I", "F")))
    except _BROKEN as error:
        raise _explain(path, error) from error


def read_rgb(path: str | Path, upright: bool = False) -> UInt8[np.ndarray, "H W 3"]:
    """Colours in 8 bits, whatever the file has: 16 bits are rounded, transparency is dropped, a film gives its first
    frame.

    Args:
        path: of the file.
        upright: turn and mirror the pixels as EXIF's orientation asks.

    Raises:
        FormatError: missing, not an image, or cut short.
    """
    path = Path(path)
    try:
        with PillowImage.open(path) as image:
            image.load()
            turned = ImageOps.exif_transpose(image) if upright else image
            if turned.mode.startswith(("I", "F")):
                return _to_bytes(_split(turned)[0])
            return np.array(turned.convert("RGB"))
    except _BROKEN as error:
        raise _explain(path, error) from error


def read_numbers(path: str | Path) -> Integer[np.ndarray, "H W"]:
    """A picture whose values are numbers of things: 8 or 16 bits, the indices of a palette, or 0 and 1.

    Raises:
        FormatError: missing, cut short, or colours.
    """
    path = Path(path)
    try:
        with PillowImage.open(path) as image:
            image.load()
            if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
                expected = "one channel of 8 or 16 bits, or a palette"
                raise FormatError("the picture has colours, not numbers", where=path, expected=expected)
            return np.array(image).astype(np.int32)
    except _BROKEN as error:
        raise _explain(path, error) from error


def write_image(
    path: str | Path,
    array: Float[np.ndarray, "H W *C"] | UInt8[np.ndarray, "H W *C"] | Bool[np.ndarray, "H W"],
) -> None:
    """Write 8 bits per channel; the suffix chooses the format.

    Args:
        path: where to; the caller wraps it in `atomic_write` if a half-written file would matter.
        array: (H, W) grey or mask, (H, W, 3) colours or (H, W, 4) with straight alpha; float in [0, 1], uint8 or bool.

    Raises:
        FormatError: the shape is no image's, or the format cannot hold it (alpha in a JPEG).
    """
    path = Path(path)
    pixels = _to_bytes(np.asarray(array))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise FormatError(
            "not an image's shape", where=path, expected="(H, W), (H, W, 3) or (H, W, 4)", actual=pixels.shape
        )
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg") and pixels.ndim == 3 and pixels.shape[2] == 4:
        raise FormatError("JPEG cannot hold an alpha channel", where=path, hint="write a PNG")
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if suffix in (".jpg", ".jpeg") else {}
    try:
        PillowImage.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
    except ValueError as error:
        raise FormatError("no image format has this suffix", where=path, hint="use .png or .jpg") from error


def _split(image: PillowImage.Image) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image, np.float32)
        if image.mode != "F":
            grey = grey / np.float32(65535)  # Pillow gives 16-bit grey as "I" or "I;16"
        return np.repeat(np.clip(grey, 0, 1)[:, :, None], 3, axis=2), None
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if not has_alpha:
        return np.asarray(image.convert("RGB"), np.float32) / np.float32(255), None
    rgba = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
    return np.ascontiguousarray(rgba[:, :, :3]), np.ascontiguousarray(rgba[:, :, 3])


def _to_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    return np.asarray(np.clip(array, 0, 1) * 255 + 0.5, np.uint8)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Pillow's errors about a file, told as a FormatError."""
    try:
        yield
    except _BROKEN as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: BaseException) -> FormatError:
    if isinstance(error, FileNotFoundError):
        return FormatError("image is missing", where=path)
    if isinstance(error, PermissionError | IsADirectoryError):
        return FormatError(f"image cannot be opened ({error.strerror})", where=path)
    if isinstance(error, PillowImage.DecompressionBombError):
        return FormatError("image is too large", where=path, actual=str(error))
    if path.is_file() and path.stat().st_size == 0:
        return FormatError("image cannot be read", where=path, actual="0 bytes", hint="copy it again, or remove it")
    return FormatError("image cannot be read", where=path, actual=str(error), hint="it is damaged, or no image at all")
