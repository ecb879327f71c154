"""Images: every mode that Pillow knows, round trips, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.errors import FormatError
from anyview.formats.images import (
    Header,
    image_header,
    image_size,
    read_image,
    read_numbers,
    read_rgb,
    write_image,
)

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 9, 4)).astype(np.uint8)


@pytest.mark.parametrize("channels", [3, 4])
def test_png_keeps_every_byte(tmp_path: Path, channels: int) -> None:
    write_image(tmp_path / "a.png", BYTES[..., :channels])
    rgb, alpha = read_image(tmp_path / "a.png")
    assert rgb.dtype == np.float32
    np.testing.assert_array_equal(np.rint(rgb * 255), BYTES[..., :3])
    if channels == 3:
        assert alpha is None
    else:
        assert alpha is not None
        np.testing.assert_array_equal(np.rint(alpha * 255), BYTES[..., 3])
    assert image_size(tmp_path / "a.png") == (9, 6)


def test_floats_are_rounded_to_the_nearest_byte_and_clipped(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.4 / 255, 1.0, 7.0]], np.float32)
    write_image(tmp_path / "a.png", values)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 0, 0, 1, 254, 255, 255]]


def test_what_was_read_is_written_back_the_same(tmp_path: Path) -> None:
    Image.fromarray(BYTES).save(tmp_path / "a.png")
    rgb, alpha = read_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", np.dstack([rgb, alpha]))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), BYTES)


def test_masks_and_single_channels(tmp_path: Path) -> None:
    mask = BYTES[..., 0] > 127
    write_image(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0][..., 1], mask)
    write_image(tmp_path / "b.png", BYTES[..., :1])
    np.testing.assert_array_equal(np.rint(read_image(tmp_path / "b.png")[0][..., 2] * 255), BYTES[..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(BYTES[..., 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(BYTES if "A" in mode else BYTES[..., :3]).convert(mode).save(path)
    rgb, alpha = read_image(path)
    assert rgb.shape == (6, 9, 3)
    assert (alpha is not None) == ("A" in mode)
    if mode == "I;16":
        np.testing.assert_allclose(rgb[..., 0] * 255, BYTES[..., 0], atol=1e-4)  # measured 3e-5
    elif mode != "P":
        expected = np.asarray(Image.open(path).convert("RGB"), np.float64) / 255
        np.testing.assert_allclose(rgb, expected, atol=1e-7)


def test_transparent_colour_of_a_palette_is_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=1)
    rgb, alpha = read_image(tmp_path / "a.png")
    assert rgb[0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert alpha is not None
    assert alpha[0].tolist() == [1, 0]


def test_a_rotation_in_the_header_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(BYTES[..., :3]).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (9, 6)
    assert read_image(tmp_path / "a.jpg")[0].shape == (6, 9, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FormatError, match=f"image cannot be read in .*a.{suffix}"):
        read_image(path)


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="image is missing"):
        read_image(tmp_path / "a.png")
    with pytest.raises(FormatError, match="image is missing"):
        image_size(tmp_path / "a.png")
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(FormatError, match="cannot be read"):
        image_size(tmp_path / "a.png")
    with pytest.raises(FormatError, match="cannot be opened"):
        read_image(tmp_path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="JPEG cannot hold an alpha channel"):
        write_image(tmp_path / "a.jpg", BYTES)
    with pytest.raises(FormatError, match="not an image's shape"):
        write_image(tmp_path / "a.png", BYTES[..., :2])
    with pytest.raises(FormatError, match="no image format has this suffix"):
        write_image(tmp_path / "a.xyz", BYTES)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_bytes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(BYTES[..., 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(BYTES if "A" in mode else BYTES[..., :3]).convert(mode).save(path)
    rgb = read_rgb(path)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.rint(read_image(path)[0] * 255))
    if mode == "I;16":
        np.testing.assert_array_equal(rgb[..., 1], BYTES[..., 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotation_in_the_header_is_applied_when_asked(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(BYTES[..., :3]).save(tmp_path / "a.png", exif=exif)
    assert image_header(tmp_path / "a.png") == Header(9, 6, orientation, 1)
    a = BYTES[..., :3]
    turned = {1: a, 2: a[:, ::-1], 3: a[::-1, ::-1], 4: a[::-1], 5: a.transpose(1, 0, 2)}  # EXIF 2.3, table 6
    turned |= {6: np.rot90(a, -1), 7: turned[5][::-1, ::-1], 8: np.rot90(a)}
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png", upright=True), turned[orientation])
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), a)


def test_a_film_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert image_header(tmp_path / "a.gif").frames == 3
    assert (read_rgb(tmp_path / "a.gif") == (255, 0, 0)).all()


def test_numbers_of_things(tmp_path: Path) -> None:
    numbers = np.array([[0, 1, 300], [65535, 2, 3]], np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_numbers(tmp_path / "a.png"), numbers)
    palette = Image.fromarray(np.array([[0, 3], [2, 1]], np.uint8)).convert("P")
    palette.putpalette([9, 9, 9] * 4)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_numbers(tmp_path / "p.png"), [[0, 3], [2, 1]])
    write_image(tmp_path / "c.png", BYTES[..., :3])
    with pytest.raises(FormatError, match=r"has colours, not numbers in .*c\.png"):
        read_numbers(tmp_path / "c.png")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for read in (read_rgb, read_numbers, image_header, read_image):
        with pytest.raises(FormatError, match=r"image cannot be read in .*a\.png: found 0 bytes; copy it again"):
            read(tmp_path / "a.png")
