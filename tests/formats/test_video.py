"""Films: what was written comes back, the same bytes for the same frames, nothing half-written, clear errors."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from anyview.errors import AnyviewError, FormatError, OptionError, WorkspaceError
from anyview.formats.video import VideoWriter, read_video


def frames(count: int = 8, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Soft grey waves that move."""
    y, x = np.mgrid[:height, :width]
    return [np.stack([np.uint8(128 + 90 * np.sin((x + 2 * y + 5 * k) / 11))] * 3, axis=-1) for k in range(count)]


def write(path: Path, pictures: list[np.ndarray], fps: float = 24.0) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width, height, fps) as film:
        for picture in pictures:
            film.write(picture)
    return path


def header(path: Path) -> str:
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    return subprocess.run(program, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("fps", [24.0, 29.97, 12.5])
def test_what_was_written_comes_back(tmp_path: Path, fps: float) -> None:
    pictures = frames()
    path = write(tmp_path / "new" / "film.mp4", pictures, fps)
    back = list(read_video(path))
    assert len(back) == 8
    for picture, again in zip(pictures, back, strict=True):
        error = np.abs(again.astype(int) - picture)
        assert error.mean() < 2.5  # measured 1.7; to the next frame it is 26
        assert error.max() < 24  # measured 16
    assert np.abs(back[0].astype(int) - pictures[1]).mean() > 10
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 8
    (rate,) = re.findall(r"([\d.]+) fps", header(path))
    assert float(rate) == fps


def test_colours_come_back(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]], np.uint8)
    for colour in colours:
        path = write(tmp_path / "film.mp4", [np.tile(colour, (32, 32, 1))] * 2)
        for again in read_video(path):
            np.testing.assert_allclose(again[8:24, 8:24].astype(int) - colour, 0, atol=2)  # measured 1


def test_players_can_show_it(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", frames())
    said = header(path)
    assert "Video: h264" in said
    assert "yuv420p(tv, bt709," in said  # matrix, primaries and curve
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # starts before it is loaded
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(("width", "height"), [(63, 48), (64, 47), (63, 47), (1, 1)])
def test_odd_sides_repeat_their_edge(tmp_path: Path, width: int, height: int) -> None:
    pictures = frames(3, width, height)
    for picture, again in zip(pictures, read_video(write(tmp_path / "film.mp4", pictures)), strict=True):
        assert again.shape == (height + height % 2, width + width % 2, 3)
        expected = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(int)
        assert np.abs(again - expected).mean() < 2.5  # measured 1.7
        assert np.abs(again[-1, -1] - expected[-1, -1]).max() < 24


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.mp4", frames(20)), write(tmp_path / "other" / "b.mp4", frames(20))
    assert one.read_bytes() == two.read_bytes()
    assert write(tmp_path / "c.mp4", frames(19)).read_bytes() != one.read_bytes()


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_early_exit_leaves_the_earlier_film(tmp_path: Path, interruption: type[BaseException]) -> None:
    path = write(tmp_path / "film.mp4", frames(3))
    before = path.read_bytes()
    film = VideoWriter(path, 64, 48)

    def begin() -> None:
        with film:
            film.write(frames()[0])
            raise interruption

    with pytest.raises(interruption):
        begin()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    assert film._process.poll() is not None


def test_frames_of_another_size(tmp_path: Path) -> None:
    def begin(wrong: np.ndarray) -> None:
        with VideoWriter(tmp_path / "film.mp4", 64, 48) as film:
            film.write(frames()[0])
            inspect.unwrap(VideoWriter.write)(film, wrong)  # past the tests' own check of types

    for wrong, found in ((frames(1, 48, 64)[0], "uint8 of shape (64, 48, 3)"), (np.zeros((48, 64, 3)), "float64 of")):
        with pytest.raises(OptionError) as caught:
            begin(wrong)
        expected = "film.mp4 (frame 1): expected uint8 of shape (48, 64, 3), found " + found
        assert expected in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "width", "height", "fps", "message"),
    [
        ("film.avi", 64, 48, 24, r"films are written as MP4 in .*film\.avi"),
        ("film.mp4", 0, 48, 24, "a film without pixels in .*found 0x48"),
        ("film.mp4", 64, 48, 0, "impossible frame rate in .*found 0"),
        ("film.mp4", 64, 48, float("nan"), "impossible frame rate"),
        ("film.mp4", 64, 48, 24, r"a film without frames in .*film\.mp4"),
    ],
)
def test_what_makes_no_film(tmp_path: Path, name: str, width: int, height: int, fps: float, message: str) -> None:
    with pytest.raises(OptionError, match=message), VideoWriter(tmp_path / name, width, height, fps):
        pass
    assert not list(tmp_path.iterdir())


def fake(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program in ffmpeg's place."""
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (
            "echo early >&2; echo late >&2; exit 1",
            WorkspaceError,
            r"could not write the film in .*film\.mp4: found late",
        ),
        ("exit 3", WorkspaceError, "found exit code 3"),
        ("cat >/dev/null; echo oh >&2; exit 1", WorkspaceError, "found oh"),
        (
            "echo 'Error: No space left on device' >&2; echo Conversion failed! >&2; exit 1",
            WorkspaceError,
            "disk is full",
        ),
        ("trap '' XFSZ; ulimit -f 1; exec REAL \"$@\"", WorkspaceError, "could not write the film"),
    ],
)
def test_ffmpegs_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[AnyviewError], message: str
) -> None:
    fake(tmp_path / "bin", script.replace("REAL", imageio_ffmpeg.get_ffmpeg_exe()), monkeypatch)
    noise = list(np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3)).astype(np.uint8))
    with pytest.raises(error, match=message):
        write(tmp_path / "films" / "film.mp4", noise)
    assert not list((tmp_path / "films").iterdir())


def test_no_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", "", monkeypatch)
    (tmp_path / "bin" / "ffmpeg").write_bytes(b"\x7fELF nothing")
    with pytest.raises(OptionError, match=r"ffmpeg cannot be started in .*bin/ffmpeg"):
        write(tmp_path / "film.mp4", frames(1))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(OptionError, match=r"films need imageio-ffmpeg; run pip install 'anyview\[learn\]'"):
        VideoWriter(tmp_path / "film.mp4", 64, 48)
    with pytest.raises(OptionError, match="films need imageio-ffmpeg"):
        next(read_video(tmp_path / "film.mp4"))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="a file stands where a folder should be"):
        write(tmp_path / "file" / "film.mp4", frames(1))


def test_no_film_to_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"film is missing in .*film\.mp4"):
        next(read_video(tmp_path / "film.mp4"))
    (tmp_path / "film.mp4").write_bytes(b"no film" * 99)
    with pytest.raises(FormatError, match=r"film cannot be read in .*film\.mp4"):
        next(read_video(tmp_path / "film.mp4"))
