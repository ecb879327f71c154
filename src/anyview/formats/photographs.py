"""An image file read with all that it holds: 8 or 16 bits, straight alpha, colour profile, EXIF; pixels upright.

`anyview.formats.images` gives pixels to compute with, and forgets the rest. Here is what a program needs that gives a
photograph back to its owner.

Letters: H rows, W columns, C channels: 1 grey, 3 RGB.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image as PillowImage
from PIL import ImageCms

from anyview.errors import FormatError
from anyview.formats.images import explained, image_header

Samples: TypeAlias = "UInt8[np.ndarray, '_ _ C'] | UInt16[np.ndarray, '_ _ C']"

_ORIENTATION, _SIZES, _BITS = 0x0112, (0x0100, 0x0101), 0x0102  # tags of EXIF and TIFF
_SPACES = {1: b"GRAY", 3: b"RGB "}  # of profiles
_WORDS = {(1, 8): "grey", (3, 8): "colour", (1, 16): "16-bit grey", (3, 16): "16-bit colour"}


@dataclass(frozen=True, eq=False)
class Photograph:
    """What a file holds.

    Attributes:
        pixels: (H, W, 1) or (H, W, 3), upright, 8 or 16 bits.
        alpha: (H, W, 1) of the same type, straight; None where the file has none.
        profile: ICC, of the pixels' kind of colours; None is sRGB.
        exif: without orientation and sizes; None where there is none.
        frames: in the file; the pixels are the first one's.
    """

    pixels: UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]
    alpha: UInt8[np.ndarray, "H W 1"] | UInt16[np.ndarray, "H W 1"] | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    frames: int = 1

    @property
    def bits(self) -> int:
        """Of a channel: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def channels(self) -> int:
        """With alpha."""
        return self.pixels.shape[2] + (self.alpha is not None)

    def __str__(self) -> str:
        """As a page names it: `640 x 480, 16-bit grey, alpha`."""
        height, width, channels = self.pixels.shape
        return f"{width} x {height}, {_WORDS[channels, self.bits]}" + (", alpha" if self.alpha is not None else "")


def read_photograph(path: str | Path) -> Photograph:
    """Read a file. Palettes become colours, black and white become grey; CMYK becomes sRGB, by its profile if any.

    Raises:
        FormatError: missing, not an image, cut short, or of numbers that are no colours.
    """
    path = Path(path)
    header = image_header(path)
    with explained(path), PillowImage.open(path) as file:
        file.load()  # cut files fail here
        exif, wide = file.getexif(), _has_wide_colours(path, file)
        image, profile = _in_rgb(file) if file.mode == "CMYK" else (file, file.info.get("icc_profile"))
        pixels, alpha = _split(_read_wide(path) if wide else _samples(path, image))
        for tag in (_ORIENTATION, *_SIZES):
            exif.pop(tag, None)
        kept = exif.tobytes() if len(exif) and file.format != "TIFF" else None  # TIFF's are about its pixels
    profile = profile if profile and profile[16:20] == _SPACES[pixels.shape[2]] else None
    turn = header.orientation
    return Photograph(
        upright(pixels, turn), None if alpha is None else upright(alpha, turn), profile, kept, header.frames
    )


def upright(pixels: Samples, orientation: int) -> Samples:
    """Stored pixels turned and mirrored as EXIF's orientation, 1 to 8, asks."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(turned[:: -1 if rows else 1, :: -1 if columns else 1])


def _samples(path: Path, image: PillowImage.Image) -> Samples:
    """Channels as they are: grey, grey and alpha, RGB or RGBA."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise FormatError("the image's values are no shades of grey", where=path, expected="0 to 65535")
        return values.astype(np.uint16)[:, :, None]
    if image.mode == "F":
        raise FormatError("the image has floating-point numbers", where=path, expected="8 or 16 bits")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    grey = image.mode in ("1", "L", "LA", "La")
    values = np.asarray(image.convert(("LA" if grey else "RGBA") if has_alpha else ("L" if grey else "RGB")))
    return values[:, :, None] if values.ndim == 2 else values


def _has_wide_colours(path: Path, image: PillowImage.Image) -> bool:
    """Whether colours have 16 bits, which Pillow reads as 8; its 16 bits of grey are whole."""
    if image.mode.startswith("I"):
        return False
    if image.format == "PNG":
        with path.open("rb") as stream:
            start = stream.read(25)
        return start[24] == 16
    bits = getattr(image, "tag_v2", {}).get(_BITS, ()) if image.format == "TIFF" else ()
    return bool(bits) and set(bits) == {16}


def _read_wide(path: Path) -> Samples:
    """Channels of 16 bits; Pillow has found the file whole."""
    import cv2

    flags = cv2.IMREAD_UNCHANGED
    values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    if values is None or values.dtype != np.uint16:
        raise FormatError("the image's 16 bits cannot be read", where=path, hint="save it as PNG")
    if values.ndim == 2:
        return np.ascontiguousarray(values[:, :, None])
    order = [2, 1, 0, 3][: values.shape[2]] if values.shape[2] >= 3 else list(range(values.shape[2]))
    found = np.ascontiguousarray(values[:, :, order])
    if found.shape[2] == 4 and _is_grey_png(path):
        found = np.ascontiguousarray(found[:, :, [0, 3]])
    return found


def _is_grey_png(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(26)
    return start[1:4] == b"PNG" and start[25] == 4


def _split(values: Samples) -> tuple[Samples, Samples | None]:
    """Colours and alpha."""
    if values.shape[2] in (1, 3):
        return values, None
    return np.ascontiguousarray(values[:, :, :-1]), np.ascontiguousarray(values[:, :, -1:])


def _in_rgb(image: PillowImage.Image) -> tuple[PillowImage.Image, None]:
    """CMYK as sRGB, and no profile any more."""
    profile = image.info.get("icc_profile")
    if profile is not None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if made is not None:
                return made, None
        except (ImageCms.PyCMSError, OSError):  # a damaged profile is as good as none
            pass
    return image.convert("RGB"), None
