"""Files are enlarged with all that they hold, by the command; a tiny network stands in for a trained one."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from anyview.cli.main import main
from anyview.errors import OptionError
from anyview.formats.png import PngWriter
from anyview.formats.video import VideoWriter, read_video, video_facts
from anyview.superresolution import upscale_file
from anyview.superresolution.alpha import enlarged_alpha, filled
from anyview.superresolution.bicubic import imresize
from anyview.superresolution.build import build, edsr
from anyview.superresolution.choice import choose
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.network.wdsr import WDSR
from anyview.superresolution.options import NetworkOptions
from anyview.superresolution.scores import to_bytes
from anyview.superresolution.upscale import upscale
from anyview.superresolution.weights import load_weights, save_weights
from refusals import refused

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXACT = ("--precision", "float32", "--device", "cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that enlarges x2."""
    return save(tmp_path_factory.mktemp("weights") / "small.safetensors", 2)


def save(path: Path, scale: int, seed: int = 0) -> Path:
    """Of a network that repeats pixels, but for a little noise."""
    torch.manual_seed(seed)
    network = build(NetworkOptions("wdsr-b", scale, 2, 8, 6), weight_norm=False)
    assert isinstance(network, WDSR)
    with torch.no_grad():
        network.tail.weight.mul_(0.2)
        network.skip.weight.mul_(0.2)
        for channel in range(3 * scale**2):
            network.skip.weight[channel, channel // scale**2, 2, 2] = 1
    save_weights(network, path)
    return path


def photo(height: int = 24, width: int = 30, channels: int = 3, seed: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(rows / (3 + c) + seed) * np.cos(columns / (4 + c)) for c in range(channels)]
    return np.stack(waves, 2).astype(np.uint8)


def command(source: object, out: Path, weights: object, *more: str) -> int:
    return main(["superres", "upscale", str(source), "--out", str(out), "--weights", str(weights), *EXACT, *more])


def by_network(weights: Path, image: np.ndarray) -> np.ndarray:
    network = load_weights(weights)
    with torch.no_grad():
        return to_bytes(network(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255)[0])


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in sorted(out.rglob("*")) if path.is_file() and ".anyview" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def test_a_folder(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in" / "more").mkdir(parents=True)
    Image.fromarray(photo()).save(tmp_path / "in" / "a.png")
    Image.fromarray(photo(seed=1)).save(tmp_path / "in" / "a.bmp")
    Image.fromarray(photo(1, 1)).save(tmp_path / "in" / "more" / "one.png")
    out = tmp_path / "out"
    assert command(tmp_path / "in", out, weights, "--tile", "16") == 0
    assert set(files(out)) == {"a.png.png", "a.bmp.png", "more/one.png", "report.html"}
    assert "3 enlarged x2" in capsys.readouterr().out
    for name, image in (("a.png.png", photo()), ("a.bmp.png", photo(seed=1)), ("more/one.png", photo(1, 1))):
        with Image.open(out / name) as result:
            wanted = by_network(weights, image)
            assert np.abs(np.asarray(result).astype(int) - wanted).max() <= 1


def test_what_a_file_holds_is_kept(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    alpha = np.zeros((24, 30, 1), np.uint8)
    alpha[6:18, 8:20] = 255
    Image.fromarray(photo()[:, :, 0]).save(folder / "grey.png")
    Image.fromarray(np.concatenate([photo(), alpha], 2)).save(folder / "alpha.png")
    Image.fromarray(photo()).save(folder / "turned.jpg", quality=100, exif=exif, icc_profile=SRGB)
    cv2.imwrite(str(folder / "wide.png"), photo()[:, :, ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "wide_grey.tif"), photo()[:, :, 0].astype(np.uint16) * 257)
    Image.fromarray(photo()).convert("CMYK").save(folder / "cmyk.tif")
    Image.fromarray(photo()).quantize(200).save(folder / "palette.png")
    Image.fromarray(photo()).save(folder / "film.gif", save_all=True, append_images=[Image.fromarray(255 - photo())])
    out = tmp_path / "out"
    assert command(folder, out, weights) == 0

    def result(name: str) -> Any:
        with Image.open(out / f"{name}.png") as image:
            image.load()
            return image

    sizes = {path.stem: result(path.stem).size for path in folder.iterdir()}
    assert sizes == {path.stem: (48, 60) if path.stem == "turned" else (60, 48) for path in folder.iterdir()}
    modes = {"grey": "L", "alpha": "RGBA", "wide_grey": "I;16", "cmyk": "RGB", "palette": "RGB", "film": "RGB"}
    assert {name: result(name).mode for name in modes} == modes
    turned = result("turned")
    assert turned.info["icc_profile"] == SRGB
    assert dict(turned.getexif()) == {0x010F: "a camera"}
    with Image.open(folder / "turned.jpg") as image:
        upright = np.ascontiguousarray(np.rot90(np.asarray(image), -1))
    assert np.abs(np.asarray(turned).astype(int) - by_network(weights, upright)).max() <= 1
    grey = by_network(weights, np.repeat(photo()[:, :, :1], 3, 2)).astype(float).mean(2)
    assert np.abs(np.asarray(result("grey")) - grey).max() <= 1
    wide = cv2.imread(str(out / "wide.png"), cv2.IMREAD_UNCHANGED)
    assert wide is not None
    assert wide.dtype == np.uint16
    assert np.abs(wide[:, :, ::-1] / 257 - by_network(weights, photo())).max() <= 0.51
    assert len(np.unique(wide % 257)) > 100  # not 8 bits, widened
    assert np.array_equal(np.asarray(result("alpha"))[:, :, 3], np.rint(_bicubic(alpha)).clip(0, 255)[:, :, 0])


def _bicubic(alpha: np.ndarray) -> np.ndarray:
    return imresize(alpha.astype(np.float32), 2)


def test_hidden_colours_do_not_bleed() -> None:
    """Programs leave black where nothing is seen."""
    alpha = np.zeros((20, 20, 1), np.uint8)
    alpha[5:15, 5:15] = 255
    seen = np.full((20, 20, 3), 200, np.uint8)
    assert np.array_equal(filled(seen * (alpha > 0), alpha), seen)
    assert np.array_equal(filled(seen, alpha * 0), seen * 1)
    whole = enlarged_alpha(alpha, 3, 0, 60)
    assert np.array_equal(
        np.concatenate([enlarged_alpha(alpha, 3, a, b) for a, b in ((0, 7), (7, 40), (40, 60))]), whole
    )
    assert set(whole[21:39, 21:39].ravel()) == {255}


def test_damaged_files_are_named_and_the_others_done(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(photo()).save(folder / "good.png")
    content = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "no_film.mp4").write_bytes(b"nothing" * 100)
    sentence = refused(
        capsys, ["superres", "upscale", str(folder), "--out", str(out), "--weights", str(weights), *EXACT]
    )
    assert "3 of 4 files cannot be read (cut.png, empty.jpg, no_film.mp4)" in sentence
    assert set(files(out)) == {"good.png", "report.html"}
    page = (out / "report.html").read_text()
    assert all(name in page for name in ("cut.png", "empty.jpg", "no_film.mp4"))


class Made:
    """How many images are enlarged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        plain = upscale_file.upscale_image

        def counted(source: Path, *given: Any) -> Any:
            self.names.append(source.name)
            return plain(source, *given)

        monkeypatch.setattr("anyview.superresolution.upscale.upscale_image", counted)


def test_run_again(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out, made = tmp_path / "in", tmp_path / "out", Made(monkeypatch)
    folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray(photo(seed=ord(name))).save(folder / f"{name}.png")

    def again(*more: str, with_: Path = weights) -> list[str]:
        made.names.clear()
        assert command(folder, out, with_, *more) == 0
        return list(made.names)

    assert again() == ["a.png", "b.png"]
    before = files(out)
    assert again() == []
    assert files(out) == before
    (out / "a.png").write_bytes(b"damaged")
    assert again("--tile", "16") == ["a.png"]
    Image.fromarray(photo(seed=9)).save(folder / "b.png")
    assert again() == ["b.png"]
    assert again("--tta") == ["a.png", "b.png"]
    other = save(tmp_path / "other.safetensors", 2, seed=5)
    assert again(with_=other) == ["a.png", "b.png"]


def test_a_full_disk(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(photo(seed=ord(name))).save(folder / f"{name}.png")
    plain, heads = PngWriter._chunk, []

    def full(writer: PngWriter, name: bytes, data: bytes) -> None:
        heads.append(name)
        if name == b"IDAT" and heads.count(b"IHDR") == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(writer, name, data)

    words = ["superres", "upscale", str(folder), "--out", str(out), "--weights", str(weights), *EXACT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PngWriter, "_chunk", full)
        assert "disk is full" in refused(capsys, words)
    assert set(files(out)) == {"a.png"}
    assert main(words) == 0
    assert set(files(out)) == {"a.png", "b.png", "c.png", "report.html"}


def test_results_replace_nothing(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(photo()).save(folder / "a.png")
    before = files(folder)
    words = ["superres", "upscale", "SOURCE", "--out", "OUT", "--weights", str(weights)]

    def said(source: Path, out: Path) -> str:
        words[2], words[4] = str(source), str(out)
        return refused(capsys, words)

    assert "mix with the images" in said(folder, folder)
    assert "would replace the image" in said(folder / "a.png", folder)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    assert "none of their own" in said(folder, tmp_path / "out")
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert files(folder) == before
    # below the images it is no source at the next time
    assert command(folder, folder / "large", weights) == 0
    assert command(folder, folder / "large", weights) == 0
    assert set(files(folder / "large")) == {"a.png", "report.html"}


def test_a_film(tmp_path: Path, weights: Path) -> None:
    source = tmp_path / "a.mp4"
    with VideoWriter(source, 32, 24, 10) as film:
        for index in range(5):
            film.write(photo(24, 32, seed=index))
    out = tmp_path / "out"
    assert command(source, out, weights) == 0
    frames = list(read_video(out / "a.mp4"))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5
    wanted = by_network(weights, next(read_video(source)))
    assert np.abs(frames[0].astype(int) - wanted).mean() < 8  # H.264 with halved chroma
    facts = video_facts(out / "a.mp4")
    assert (facts.fps, facts.frames, facts.sound) == (10, 5, False)
    assert "a.mp4" in (out / "report.html").read_text()


def test_a_films_sound_is_kept(tmp_path: Path, weights: Path) -> None:
    import imageio_ffmpeg

    source = tmp_path / "a.mov"
    given = ["-f", "lavfi", "-i", "testsrc=s=32x24:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1", "-shortest"]
    command_ = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *given, "-pix_fmt", "yuv420p", str(source)]
    subprocess.run(command_, check=True)
    assert video_facts(source).sound
    assert command(source, tmp_path / "out", weights) == 0
    facts = video_facts(tmp_path / "out" / "a.mp4")
    assert facts.sound
    assert facts.frames == pytest.approx(10, abs=1)


def test_the_page_stands_alone(tmp_path: Path, weights: Path) -> None:
    name = "<b>&'\"x.png"
    Image.fromarray(photo()).save(tmp_path / name)
    out = tmp_path / "out"
    assert command(tmp_path / name, out, weights) == 0
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/") == 2
    assert 'type="range"' in page
    shutil.rmtree(out)
    assert command(tmp_path / name, out, weights, "--no-page") == 0
    assert not (out / "report.html").exists()


def test_which_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr("anyview.superresolution.weights.SHIPPED", shipped)
    with pytest.raises(OptionError, match=r"no weights for x4 come with anyview.*--weights NAME"):
        choose(None)
    for name, scale in (("edsr-baseline-x4", 4), ("wdsr-b-x4", 4), ("wdsr-b-x2", 2)):
        save(shipped / f"{name}.safetensors", scale)
    assert (choose(None).name, choose(None).scale) == ("wdsr-b-x4", 4)
    assert choose(None, 2).name == "wdsr-b-x2"
    assert choose("edsr-baseline-x4").scale == 4
    with pytest.raises(OptionError, match="no weights for x3 come with anyview in --scale: expected edsr-baseline-x4"):
        choose(None, 3)
    with pytest.raises(OptionError, match="another scale in wdsr-b-x2: expected scale 4, found scale 2"):
        choose("wdsr-b-x2", 4)
    Image.fromarray(photo()).save(tmp_path / "a.png")
    words = ["superres", "upscale", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--scale", "8", *EXACT]
    assert main(words) == 0
    assert "wdsr-b-x2 enlarges what wdsr-b-x4 has made" in capsys.readouterr().err
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (240, 192)


def test_blends(tmp_path: Path, weights: Path) -> None:
    other = save(tmp_path / "other.safetensors", 2, seed=5)
    ends = [choose(str(weights)).networks[0].state_dict(), choose(str(other)).networks[0].state_dict()]
    third = choose(str(weights), second=str(other), share=0.25)
    for name, value in third.networks[0].state_dict().items():
        assert torch.allclose(value, ends[0][name].lerp(ends[1][name], 0.25))
    assert third.name == f"{weights}, 0.25 of {other}"
    digests = {choose(str(weights), second=str(other), share=s).digest() for s in (0.0, 0.25, 1.0)}
    assert len(digests) == 3
    assert choose(str(weights)).digest() in digests
    with pytest.raises(OptionError, match="--second"):
        choose(str(weights), share=0.3)
    with pytest.raises(OptionError, match="0 to 1"):
        choose(str(weights), second=str(other), share=1.5)
    save_weights(edsr(2, 1, 8), tmp_path / "edsr.safetensors")
    with pytest.raises(OptionError, match="one architecture"):
        choose(str(weights), second=str(tmp_path / "edsr.safetensors"))


def test_turns_differ_and_tiles_do_not(tmp_path: Path, weights: Path) -> None:
    Image.fromarray(photo(40, 50)).save(tmp_path / "a.png")
    chosen = choose(str(weights))
    results = {}
    for turns in (False, True):
        for tile in (12, 64):
            out = tmp_path / f"{turns}{tile}"
            enlarger = Enlarger(chosen.networks, precision="float32", device="cpu", turns=turns, tile=tile)
            upscale([tmp_path / "a.png"], out, chosen, enlarger)
            with Image.open(out / "a.png") as image:
                results[turns, tile] = np.asarray(image).astype(int)
    assert np.abs(results[True, 12] - results[True, 64]).max() <= 1
    assert np.abs(results[False, 12] - results[False, 64]).max() <= 1
    assert np.abs(results[True, 12] - results[False, 12]).max() > 2
