"""Files are read with all that they hold, as cameras and programs leave them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from anyview.errors import FormatError
from anyview.formats.photographs import read_photograph, upright
from anyview.formats.png import PngWriter

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours(height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def test_eight_bits(tmp_path: Path) -> None:
    rgba = colours(channels=4)
    Image.fromarray(rgba[:, :, :3]).save(tmp_path / "rgb.png", icc_profile=SRGB)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(rgba[:, :, 0]).save(tmp_path / "grey.png", icc_profile=SRGB)
    Image.fromarray(rgba[:, :, :2]).save(tmp_path / "grey_alpha.png")
    found = {path.stem: read_photograph(path) for path in tmp_path.iterdir()}
    assert {name: (f.pixels.shape[2], f.channels, f.bits) for name, f in found.items()} == {
        "rgb": (3, 3, 8), "rgba": (3, 4, 8), "grey": (1, 1, 8), "grey_alpha": (1, 2, 8),
    }  # fmt: skip
    assert np.array_equal(found["rgb"].pixels, rgba[:, :, :3])
    assert np.array_equal(found["grey"].pixels, rgba[:, :, :1])
    for name, alpha in (("rgba", rgba[:, :, 3:]), ("grey_alpha", rgba[:, :, 1:2])):
        kept = found[name].alpha
        assert kept is not None
        assert np.array_equal(kept, alpha)
    assert found["rgb"].profile == SRGB
    assert found["grey"].profile is None  # one of colours says nothing of grey
    assert str(found["rgba"]) == "30 x 20, colour, alpha"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits(tmp_path: Path, channels: int, suffix: str) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (20, 30, channels), np.uint16)
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), values[:, :, [2, 1, 0, 3][:channels]] if channels > 1 else values)
    found = read_photograph(path)
    assert found.bits == 16
    assert np.array_equal(found.pixels, values[:, :, :3])
    if channels == 4:
        assert found.alpha is not None
        assert np.array_equal(found.alpha, values[:, :, 3:])


def test_sixteen_bits_of_grey_with_alpha(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (20, 30, 2), np.uint16)
    with PngWriter(tmp_path / "a.png", 30, 20, 2, 16) as writer:
        writer.write(values)
    found = read_photograph(tmp_path / "a.png")
    assert np.array_equal(found.pixels, values[:, :, :1])
    assert found.alpha is not None
    assert np.array_equal(found.alpha, values[:, :, 1:])


def test_other_kinds_of_colours(tmp_path: Path) -> None:
    smooth = np.repeat(np.repeat(colours(4, 6), 5, 0), 5, 1)
    image = Image.fromarray(smooth)
    image.quantize(64).save(tmp_path / "palette.png")
    image.convert("CMYK").save(tmp_path / "cmyk.tif")
    image.convert("1").save(tmp_path / "bits.png")
    clear = image.quantize(63)
    clear.save(tmp_path / "clear.gif", transparency=0)
    assert np.abs(read_photograph(tmp_path / "palette.png").pixels.astype(int) - smooth).max() < 20
    assert np.abs(read_photograph(tmp_path / "cmyk.tif").pixels.astype(int) - smooth).max() <= 2
    assert read_photograph(tmp_path / "bits.png").pixels.shape == (20, 30, 1)
    assert read_photograph(tmp_path / "clear.gif").channels == 4


def test_pages_and_pictures_that_move(tmp_path: Path) -> None:
    first, second = Image.fromarray(colours()), Image.fromarray(255 - colours())
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    found = read_photograph(tmp_path / "a.gif")
    assert found.frames == 2
    with Image.open(tmp_path / "a.gif") as image:
        assert np.array_equal(found.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    Image.fromarray(colours()).save(tmp_path / "a.png", exif=exif)
    found = read_photograph(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        wanted = ImageOps.exif_transpose(image)
        assert np.array_equal(found.pixels, np.asarray(wanted))
    kept = Image.Exif()
    assert found.exif is not None
    kept.load(found.exif)
    assert dict(kept) == {0x010F: "a camera"}
    wide = np.arange(6, dtype=np.uint16).reshape(2, 3, 1)
    assert upright(wide, orientation).shape == ((3, 2, 1) if orientation >= 5 else (2, 3, 1))


def test_sixteen_bits_are_turned_once(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (20, 30, 3), np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    with PngWriter(tmp_path / "b.png", 30, 20, 3, 16, exif=exif.tobytes()) as writer:
        writer.write(values)
    assert np.array_equal(read_photograph(tmp_path / "b.png").pixels, upright(values, 6))


def test_what_is_refused(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "floats.tif")
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "numbers.tif")
    for name, words in (
        ("cut.png", "image cannot be read"), ("empty.png", "0 bytes"), ("text.png", "image cannot be read"),
        ("floats.tif", "floating-point"), ("numbers.tif", "no shades of grey"), ("none.png", "missing"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=words) as caught:
            read_photograph(tmp_path / name)
        assert name in str(caught.value)


def test_a_cut_file_of_sixteen_bits(tmp_path: Path) -> None:
    """OpenCV gives what is there, and black below."""
    values = np.random.default_rng(2).integers(0, 65536, (50, 60, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="image cannot be read"):
        read_photograph(tmp_path / "a.png")
