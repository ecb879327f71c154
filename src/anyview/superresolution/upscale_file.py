"""One image file, or one film, enlarged into a file that keeps what the source has beside its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from anyview.errors import FormatError
from anyview.formats.files import atomic_write
from anyview.formats.photographs import read_photograph
from anyview.formats.png import PngWriter
from anyview.formats.video import VideoWriter, read_video, video_facts
from anyview.progress import SILENT, Progress
from anyview.superresolution.alpha import enlarged_alpha, filled
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.preview import Preview
from anyview.superresolution.tiling import Pixels, enlarge_in_bands, enlarged


@dataclass(frozen=True, eq=False)
class Made:
    """A file that is written.

    Attributes:
        what: the source's size and kind, in words.
        size: width and height of the result.
        preview: a part of it before and after; none of a film.
    """

    what: str
    size: tuple[int, int]
    preview: Preview | None = None


def upscale_image(source: Path, target: Path, enlarger: Enlarger, progress: Progress = SILENT) -> Made:
    """Enlarge an image file.

    Args:
        source: any format that Pillow reads.
        target: the PNG file; it appears whole, or not at all.
        enlarger: does it.
        progress: told of tiles, where there are several.

    Raises:
        FormatError, WorkspaceError, OutOfMemoryError: see `anyview.superresolution.upscale.upscale`.
    """
    photo = read_photograph(source)
    if photo.frames > 1:
        progress.note(f"{source} has {photo.frames} frames or pages: the first one is enlarged")
    alpha, scale = photo.alpha, enlarger.scale
    pixels = photo.pixels if alpha is None else filled(photo.pixels, alpha)
    height, width = pixels.shape[:2]
    preview = Preview(pixels, scale, alpha)
    several = max(height, width) > enlarger.tile.size
    with atomic_write(target) as temporary, PngWriter(
        temporary, width * scale, height * scale, photo.channels, photo.bits, profile=photo.profile, exif=photo.exif
    ) as writer:  # fmt: skip
        row = 0

        def write(band: Pixels) -> None:
            nonlocal row
            if alpha is not None:
                band = np.concatenate([band, enlarged_alpha(alpha, scale, row, row + len(band))], 2)
            preview.see(band)
            writer.write(band)
            row += len(band)

        enlarge_in_bands(pixels, enlarger.enlarge, enlarger.tile, write, progress if several else SILENT, source.name)
    return Made(str(photo), (width * scale, height * scale), preview)


def upscale_film(source: Path, target: Path, enlarger: Enlarger, progress: Progress = SILENT) -> Made:
    """Enlarge a film frame by frame.

    Args:
        source: any film that ffmpeg reads.
        target: the MP4 file; it appears whole, or not at all.
        enlarger: does it.
        progress: told of frames.

    Raises:
        OptionError: imageio-ffmpeg is not installed.
        FormatError, WorkspaceError, OutOfMemoryError: see `anyview.superresolution.upscale.upscale`.
    """
    facts = video_facts(source)
    frames = read_video(source)
    first = next(frames, None)
    if first is None:
        raise FormatError("film has no frames", where=source)
    height, width = first.shape[0] * enlarger.scale, first.shape[1] * enlarger.scale
    sound = source if facts.sound else None
    with (
        progress.stage(source.name, facts.frames) as advance,
        VideoWriter(target, width, height, facts.fps, sound) as film,
    ):
        for frame in chain([first], frames):
            film.write(enlarged(frame, enlarger.enlarge, enlarger.tile))
            advance()
    return Made(f"{first.shape[1]} x {first.shape[0]}, film, {facts.frames} frames", (width, height))
