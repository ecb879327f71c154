"""Pictures written row by row are what other programs read."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from anyview.errors import OptionError
from anyview.formats.png import PngWriter


def random_rows(height: int, width: int, channels: int, bits: int) -> np.ndarray:
    most = (1 << bits) - 1
    ramp = np.linspace(0, most, height * width * channels).reshape(height, width, channels)
    noise = np.random.default_rng(0).uniform(-most / 8, most / 8, ramp.shape)
    return np.clip(ramp + noise, 0, most).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (150, 67)])
def test_read_by_others(tmp_path: Path, height: int, width: int, channels: int, bits: int) -> None:
    rows, path = random_rows(height, width, channels, bits), tmp_path / "a.png"
    with PngWriter(path, width, height, channels, bits) as writer:
        for top in range(0, height, 70):  # not a multiple of what is filtered at a time
            writer.write(rows[top : top + 70])
    if bits == 8:
        with Image.open(path) as image:
            assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
            found = np.asarray(image)
    else:
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert found is not None
        if channels >= 2:
            found = found[:, :, [2, 1, 0, 3][: found.shape[2]]]
        found = found[:, :, [0, 3]] if channels == 2 else found
    assert np.array_equal(found.reshape(rows.shape), rows)


def test_profile_and_exif_come_along(tmp_path: Path) -> None:
    profile, exif = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), Image.Exif()
    exif[0x010F] = "a camera"
    with PngWriter(tmp_path / "a.png", 2, 1, 3, profile=profile, exif=exif.tobytes()) as writer:
        writer.write(np.zeros((1, 2, 3), np.uint8))
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["icc_profile"] == profile
        assert image.getexif()[0x010F] == "a camera"


def test_a_photographs_file_is_small(tmp_path: Path) -> None:
    y, x = np.mgrid[:200, :200]
    rows = np.stack([128 + 100 * np.sin(x / 30 + k) * np.cos(y / 40) for k in range(3)], 2).astype(np.uint8)
    with PngWriter(tmp_path / "a.png", 200, 200, 3) as writer:
        writer.write(rows)
    stream = io.BytesIO()
    Image.fromarray(rows).save(stream, "PNG")
    assert (tmp_path / "a.png").stat().st_size < 1.1 * len(stream.getvalue())


def test_what_fits_no_picture(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="PNG holds no such picture"):
        PngWriter(tmp_path / "a.png", 0, 3, 3)
    rows = np.zeros((2, 4, 3), np.uint8)
    for wrong in (rows[:, :3], rows[:, :, :1], rows.astype(np.uint16), np.repeat(rows, 2, 0)):
        with (
            pytest.raises(OptionError, match="rows do not fit"),
            PngWriter(tmp_path / "a.png", 4, 3, 3) as writer,
        ):
            writer.write(wrong)
    with pytest.raises(OptionError, match="rows are missing"), PngWriter(tmp_path / "a.png", 4, 3, 3) as writer:
        writer.write(rows)


def test_a_full_disk_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = PngWriter(tmp_path / "a.png", 4, 3, 3).__enter__()
    monkeypatch.setattr(PngWriter, "_chunk", full)
    with pytest.raises(OSError, match="No space"):
        writer.write(np.zeros((3, 4, 3), np.uint8))
    writer.__exit__(OSError, OSError(), None)  # which must not try again to write
