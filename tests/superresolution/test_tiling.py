"""An image in tiles is the image as a whole, whatever its size and type."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from anyview.errors import OptionError, OutOfMemoryError
from anyview.superresolution.build import build
from anyview.superresolution.enlarger import Enlarger, in_all_turns
from anyview.superresolution.fast import best_dtype
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.options import Arch, NetworkOptions
from anyview.superresolution.reach import bytes_for_each_pixel, reach, reach_of_all
from anyview.superresolution.scores import to_bytes
from anyview.superresolution.tiling import Enlarge, enlarge_in_bands, enlarged
from anyview.training.memory import Chunk

ARCHES: list[Arch] = ["edsr", "wdsr-a", "wdsr-b", "srresnet"]


def network(arch: Arch, scale: int, blocks: int = 2, features: int = 8) -> Upscaler:
    torch.manual_seed(3)
    return build(NetworkOptions(arch, scale, blocks, features)).eval()


def picture(height: int, width: int, channels: int = 3, bits: int = 8) -> np.ndarray:
    noise = np.random.default_rng(height * width).integers(0, 1 << bits, (height, width, channels))
    return noise.astype(np.uint8 if bits == 8 else np.uint16)


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.steps: list[int] = []
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int) -> Any:
        self.totals.append(total)
        yield lambda steps=1: self.steps.append(steps)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("arch", ARCHES)
def test_nothing_beyond_the_reach_counts(arch: Arch, scale: int) -> None:
    """A changed pixel changes none of the output that is further away; and the reach is not much too wide."""
    net = network(arch, scale)
    far = reach(net.options)
    side = 2 * far + 7
    image = torch.rand(1, 3, side, side)
    other = image.clone()
    other[:, :, side // 2, side // 2] += 5
    with torch.no_grad():
        changed = (net(image) - net(other)).abs().amax(1)[0] > 0
    rows = changed.any(1).nonzero()[:, 0]
    top, bottom = int(rows.min()) // scale, int(rows.max()) // scale
    assert side // 2 - top <= far
    assert bottom - side // 2 <= far
    assert bottom - side // 2 >= far - 3


@pytest.mark.parametrize("dtype", ["float32", "auto"])
@pytest.mark.parametrize(("arch", "scale"), [("edsr", 4), ("wdsr-a", 3), ("wdsr-b", 4), ("srresnet", 2), ("edsr", 8)])
def test_tiles_are_the_whole(arch: Arch, scale: int, dtype: Any) -> None:
    image = picture(61, 83)
    enlarger = Enlarger([network(arch, scale)], precision=dtype, tile=1024, device="cpu")
    whole = enlarged(image, enlarger.enlarge, enlarger.tile)
    assert whole.shape == (61 * scale, 83 * scale, 3)
    for side in (8, 16, 31, 61, 64):
        tiled = enlarged(image, enlarger.enlarge, Chunk(side))
        assert np.abs(tiled.astype(int) - whole).max() <= 1, side
    if dtype == "float32" or best_dtype() == torch.float32:
        batch = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            plain = to_bytes(network(arch, scale)(batch)[0])
        assert np.abs(plain.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 9), (8, 17), (9, 8)])
@pytest.mark.parametrize("side", [8, 16])
def test_small_images(size: tuple[int, int], side: int) -> None:
    enlarger = Enlarger([network("edsr", 3)], precision="float32", device="cpu")
    image = picture(*size)
    whole = enlarged(image, enlarger.enlarge, Chunk(512))
    assert whole.shape == (size[0] * 3, size[1] * 3, 3)
    assert np.abs(enlarged(image, enlarger.enlarge, Chunk(side)).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_types(channels: int, bits: int) -> None:
    """Of nearest pixels nothing is lost, whatever the type, and every pixel comes to its place."""
    image = picture(45, 52, channels, bits)
    nearest = Enlarge(lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3), 2, 0)
    for side in (8, 20, 64):
        out = enlarged(image, nearest, Chunk(side))
        assert out.dtype == image.dtype
        assert np.array_equal(out, image.repeat(2, 0).repeat(2, 1))


def test_seams_are_blended() -> None:
    """Where neighbours disagree there is a ramp, no edge."""
    calls = iter(range(100))

    def level(x: Float[Tensor, "_ 3 _ _"]) -> Float[Tensor, "_ 3 _ _"]:
        return torch.full_like(x, 0.2 * (next(calls) % 2 + 1))

    out = enlarged(picture(16, 64), Enlarge(level, 1, 0), Chunk(16))
    steps = np.abs(np.diff(out[0, :, 0].astype(int)))
    assert out[0, 0, 0] == 51
    assert out[0, 24, 0] == 102
    assert steps.max() <= 51 / 8 + 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("out of memory"), MemoryError(), RuntimeError("could not create a primitive")],
    ids=["torch", "python", "oneDNN"],
)
def test_out_of_memory_takes_smaller_tiles(error: Exception) -> None:
    enlarger = Enlarger([network("wdsr-b", 2)], precision="float32", device="cpu")
    image, told = picture(90, 100), Told()
    whole = enlarged(image, enlarger.enlarge, Chunk(128))
    sizes = []

    def tight(x: Float[Tensor, "_ 3 _ _"]) -> Float[Tensor, "_ 3 _ _"]:
        sizes.append(tuple(x.shape[2:]))
        if len(sizes) == 3 or x.shape[2] * x.shape[3] > 2000:
            raise error
        return enlarger.enlarge.function(x)

    tile = Chunk(64)
    bands: list[int] = []
    pieces: list[np.ndarray] = []

    def write(band: np.ndarray) -> None:
        bands.append(len(band))
        pieces.append(band)

    enlarge_in_bands(image, Enlarge(tight, 2, enlarger.enlarge.reach), tile, write, told)
    assert np.abs(np.concatenate(pieces).astype(int) - whole).max() <= 1
    assert tile.size < 64
    assert told.totals == [4]
    assert sum(told.steps) == 4
    assert told.notes[0] == "out of memory: tiles of 32 x 32 pixels from here on"
    assert max(bands) <= 2 * 32 + 16


def test_memory_that_suffices_for_nothing() -> None:
    def full(x: Float[Tensor, "_ 3 _ _"]) -> Float[Tensor, "_ 3 _ _"]:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="not even 8 of 40"):
        enlarged(picture(40, 40), Enlarge(full, 2, 4), Chunk(32))


def test_numbers_that_are_not_finite_are_no_picture() -> None:
    with pytest.raises(OptionError, match="not finite"):
        enlarged(picture(9, 9), Enlarge(lambda x: x * torch.nan, 1, 0), Chunk(32))


@pytest.mark.parametrize("side", [0, -3, 7])
def test_impossible_tiles(side: int) -> None:
    with pytest.raises(OptionError, match="--tile"):
        Enlarger([network("edsr", 2)], tile=side)


def test_networks_one_after_the_other() -> None:
    pair = [network("edsr", 4), network("wdsr-b", 2)]
    enlarger = Enlarger(pair, precision="float32", device="cpu")
    assert enlarger.scale == 8
    assert enlarger.enlarge.reach == reach_of_all([net.options for net in pair]) == 9  # 8 and a quarter of 4
    image = picture(40, 30)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        wanted = to_bytes(pair[1](pair[0](batch).clamp(0, 1))[0])
    for side in (16, 64):
        out = enlarged(image, enlarger.enlarge, Chunk(side))
        assert np.abs(out.astype(int) - wanted).max() <= 1


def test_all_turns() -> None:
    """Of a turned image the result is the turned result; of a function that does not mind, nothing changes."""
    net = network("edsr", 2)
    image = torch.rand(1, 3, 9, 13)
    with torch.no_grad():
        whole = in_all_turns(net, image)
        for turned in (lambda x: x.flip(3), lambda x: x.transpose(2, 3), lambda x: torch.rot90(x, 1, (2, 3))):
            assert torch.allclose(in_all_turns(net, turned(image)), turned(whole), atol=1e-5)
        assert not torch.allclose(net(image), whole, atol=1e-4)
    nearest = in_all_turns(lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3), image)
    assert torch.allclose(nearest, image.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_tiles_of_large_networks_are_smaller() -> None:
    sides = []
    for options in (NetworkOptions("edsr"), NetworkOptions("edsr", 4, 32, 256), NetworkOptions("srresnet")):
        assert bytes_for_each_pixel([options], 4) > bytes_for_each_pixel([options], 2)
        sides.append(bytes_for_each_pixel([options], 4))
    assert sides[0] < sides[1] < sides[2]
    assert bytes_for_each_pixel([NetworkOptions(scale=4), NetworkOptions(scale=2)], 2) > 16 * 64 * 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(OptionError, match="no such device"):
        Enlarger([network("edsr", 2)], device="cuda")
