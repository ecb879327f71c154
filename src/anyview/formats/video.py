"""Films: frames to H.264 in MP4 and back, through the ffmpeg that imageio-ffmpeg brings along.

Colours go as BT.709 with halved chroma (yuv420p), which every player shows; the same frames give the same bytes.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from jaxtyping import UInt8

from anyview.errors import AnyviewError, FormatError, OptionError, WorkspaceError
from anyview.formats.files import atomic_write

_QUALITY = 18  # of x264: 0 is lossless, 23 its default
_COLOURS = (
    "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+bitexact,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
_SOUND = ("-map", "0:v", "-map", "1:a", "-c:a", "aac", "-b:a", "192k")
_ENCODE = (
    *("-vf", _COLOURS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(_QUALITY)),
    *("-threads", "1", "-flags:v", "+bitexact", "-fflags", "+bitexact", "-map_metadata", "-1"),
    *("-movflags", "+faststart", "-f", "mp4"),
)


class VideoWriter:
    """A film that is written frame by frame, as a context; the file appears whole at the end, or not at all.

    Args:
        path: where to, `*.mp4`.
        width, height: of the frames, pixels. The film's sides are even: an odd one repeats the last row or column.
        fps: frames per second.
        sound: a film whose sound this one gets, too.

    Raises:
        OptionError: imageio-ffmpeg is not installed, another suffix, no pixels, an impossible rate, or no frames.
        WorkspaceError: the folder cannot be written to, the disk is full, or ffmpeg fails.
    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float = 30.0, sound: Path | None = None) -> None:
        self._sound = sound
        self.path, self.width, self.height = Path(path), width, height
        if self.path.suffix.lower() != ".mp4":
            raise OptionError("films are written as MP4", where=self.path, expected="a name that ends in .mp4")
        if min(width, height) < 1:
            raise OptionError("a film without pixels", where=self.path, actual=f"{width}x{height}")
        if not 0.1 <= fps <= 1000:
            raise OptionError("impossible frame rate", where=self.path, expected="0.1 to 1000 per second", actual=fps)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._ffmpeg = _ffmpeg()
        self._frames = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_write(self.path))
            self._log: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            size = f"{self.width + self.width % 2}x{self.height + self.height % 2}"
            source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(self._rate), "-i", "-")
            sound = ("-an",) if self._sound is None else ("-i", str(self._sound), *_SOUND)
            start = [self._ffmpeg, "-v", "error", "-y", "-filter_threads", "1"]
            command = [*start, *source, *sound, *_ENCODE, str(temporary)]
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log, start_new_session=True
                )
            except OSError as error:
                raise OptionError("ffmpeg cannot be started", where=self._ffmpeg, actual=error.strerror) from error
            stack.callback(self._kill)
            self._stack = stack.pop_all()
        return self

    def write(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append a frame, sRGB.

        Raises:
            OptionError: another size or type.
            WorkspaceError: see the class.
        """
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise OptionError(
                "a frame does not fit the film",
                where=f"{self.path} (frame {self._frames})",
                expected=f"uint8 of shape {(self.height, self.width, 3)}",
                actual=f"{frame.dtype} of shape {frame.shape}",
            )
        padded = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        try:
            self._stdin.write(padded.tobytes())
        except OSError as error:  # ffmpeg has gone
            raise self._failure() from error
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not self._frames:
                raise OptionError("a film without frames", where=self.path)
            with suppress(BrokenPipeError):
                self._stdin.close()
            if self._process.wait() != 0:
                raise self._failure()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _kill(self) -> None:
        """End ffmpeg if it still runs."""
        self._process.kill()
        with suppress(OSError):
            self._stdin.close()
        self._process.wait()

    def _failure(self) -> AnyviewError:
        """What ffmpeg said at last."""
        code = self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")
        if "No space left" in said or "Disk quota" in said:
            return WorkspaceError("disk is full", where=self.path, hint="free space and run the same command again")
        last = (said.strip().splitlines() or [f"exit code {code}"])[-1]
        return WorkspaceError("ffmpeg could not write the film", where=self.path, actual=last)


@dataclass(frozen=True)
class VideoFacts:
    """What a film says of itself: frames per second, about how many frames, and whether it has sound."""

    fps: float
    frames: int
    sound: bool


def video_facts(path: str | Path) -> VideoFacts:
    """What a film says of itself.

    Raises:
        OptionError, FormatError: see `read_video`.
    """
    path = Path(path)
    _ffmpeg()
    import imageio_ffmpeg

    if not path.is_file():
        raise FormatError("film is missing", where=path)
    frames = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
    try:
        facts: dict[str, Any] = next(frames)
        return VideoFacts(facts["fps"], max(1, round(facts["fps"] * facts["duration"])), "audio_codec" in facts)
    except (OSError, RuntimeError, KeyError, StopIteration) as error:
        raise FormatError("film cannot be read", where=path, hint="it is damaged, or no film at all") from error
    finally:
        frames.close()


def read_video(path: str | Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames of a film, sRGB, one by one.

    Raises:
        OptionError: imageio-ffmpeg is not installed.
        FormatError: missing, or not a film.
    """
    path = Path(path)
    _ffmpeg()
    import imageio_ffmpeg

    if not path.is_file():
        raise FormatError("film is missing", where=path)
    exact = ["-sws_flags", "accurate_rnd+full_chroma_int"]  # one without the other is 2 of 255 too dark
    frames = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24", output_params=exact)
    try:
        facts: dict[str, Any] = next(frames)
        width, height = facts["size"]
        for frame in frames:
            yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError, KeyError) as error:
        raise FormatError("film cannot be read", where=path, hint="it is damaged, or no film at all") from error
    finally:
        frames.close()


def _ffmpeg() -> str:
    """The program."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise OptionError("films need imageio-ffmpeg", hint="run pip install 'anyview[learn]'") from error
