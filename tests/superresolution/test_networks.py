from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from anyview.errors import OptionError
from anyview.superresolution import edsr, srresnet, wdsr_a, wdsr_b
from anyview.superresolution.build import build, without_weight_norm
from anyview.superresolution.network.layers import Upscaler, check_images
from anyview.superresolution.network.wdsr import WDSR, add_weight_norm, has_weight_norm
from anyview.superresolution.options import SCALES, Arch, NetworkOptions

ARCHS: tuple[Arch, ...] = ("edsr", "wdsr-a", "wdsr-b", "srresnet")


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def edsr_count(blocks: int, f: int, steps: list[int]) -> int:
    def conv(i: int, o: int) -> int:
        return 9 * i * o + o

    return conv(3, f) + (2 * blocks + 1) * conv(f, f) + sum(conv(f, f * s * s) for s in steps) + conv(f, 3)


@pytest.mark.parametrize(
    ("scale", "steps", "published"), [(2, [2], 1_369_859), (3, [3], 1_554_499), (4, [2, 2], 1_517_571)]
)
def test_edsr_baseline_has_the_published_parameters(scale: int, steps: list[int], published: int) -> None:
    assert count(edsr(scale)) == edsr_count(16, 64, steps) == published


def test_large_edsr_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = edsr(4, 32, 256, residual_scaling=0.1)
    assert count(network) == edsr_count(32, 256, [2, 2]) == 43_089_923


def wdsr_count(layers: list[tuple[int, int, int]], normed: bool) -> int:
    return sum(size * size * i * o + o + (o if normed else 0) for i, o, size in layers)


def wdsr_layers(block: list[tuple[int, int, int]], blocks: int, f: int, scale: int) -> list[tuple[int, int, int]]:
    pixels = 3 * scale**2
    return [(3, f, 3), *(block * blocks), (f, pixels, 3), (3, pixels, 5)]


def test_wdsr_parameters() -> None:
    b = wdsr_layers([(32, 192, 1), (192, 25, 1), (25, 32, 3)], 32, 32, 4)
    assert count(wdsr_b()) == wdsr_count(b, True) == 615_088  # published as 0.62 M
    assert count(without_weight_norm(wdsr_b())) == wdsr_count(b, False) == 606_992
    a = wdsr_layers([(32, 128, 3), (128, 32, 3)], 16, 32, 3)
    assert count(wdsr_a(3)) == wdsr_count(a, True)


def test_srresnet_parameters() -> None:
    f = 64
    conv, norm, prelu = 9 * f * f + f, 2 * f, f
    ends = (81 * 3 * f + f + prelu) + (81 * f * 3 + 3)
    body = 16 * (2 * conv + 2 * norm + prelu) + conv + norm
    up = 2 * (9 * f * 4 * f + 4 * f + prelu)
    assert count(srresnet()) == ends + body + up == 1_550_659  # published as 1.55 M; Keras adds 4224 statistics
    assert sum(b.numel() for n, b in srresnet().named_buffers() if "running" in n) == 4224


def small(arch: Arch, scale: int = 4) -> Upscaler:
    torch.manual_seed(0)
    return build(NetworkOptions(arch, scale, num_blocks=2, num_features=8, expansion=3))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_sizes(arch: Arch, scale: int, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    out = small(arch, scale).eval()(images)
    assert out.shape == (2, 3, size[0] * scale, size[1] * scale)
    assert out.isfinite().all()


@pytest.mark.parametrize("arch", ARCHS)
def test_every_weight_learns(arch: Arch) -> None:
    network = small(arch, 3)
    network(torch.rand(2, 3, 6, 5)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    # a convolution before a batch norm learns no bias, and a slope of 0 or a dead channel may happen
    assert sum(bool(p.grad.any()) for p in network.parameters() if p.grad is not None) > 10


@pytest.mark.parametrize("arch", ["edsr", "wdsr-a", "wdsr-b"])
def test_a_network_of_zeros_gives_the_mean_colour(arch: Arch) -> None:
    network = without_weight_norm(small(arch))
    for p in network.parameters():
        nn.init.zeros_(p)
    out = network(torch.rand(1, 3, 4, 4))
    torch.testing.assert_close(out.amax((0, 2, 3)), torch.tensor([0.4488, 0.4371, 0.4040]))


def test_residual_scaling_multiplies_what_blocks_add() -> None:
    options = NetworkOptions("edsr", 2, 1, 8, residual_scaling=0.25)
    network = build(options)
    x = torch.rand(1, 8, 5, 5)
    block = network.get_submodule("blocks.0")
    y = block.get_submodule("conv2")(block.get_submodule("conv1")(x).relu())
    torch.testing.assert_close(block(x), x + 0.25 * y)


def test_srresnet_stays_in_range() -> None:
    out = small("srresnet")(torch.rand(2, 3, 8, 8) * 5)
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("arch", ["wdsr-a", "wdsr-b"])
def test_folding_weight_norm_changes_no_output(arch: Arch) -> None:
    network = small(arch)
    assert has_weight_norm(network)
    for p in network.parameters():  # norms that differ from their directions'
        p.data.add_(0.1 * torch.randn_like(p))
    images = torch.rand(1, 3, 9, 7)
    before = network(images)
    plain = without_weight_norm(network)
    assert not has_weight_norm(plain)
    assert (plain(images) - before).abs().max() < 1e-6
    assert all(p.requires_grad for p in plain.parameters())
    assert has_weight_norm(network)
    assert torch.equal(network(images), before)  # torch's own removal from a copy would have broken it
    add_weight_norm(plain)
    assert has_weight_norm(plain)
    assert (plain(images) - before).abs().max() < 1e-5


def test_weight_norm_begins_at_the_same_function() -> None:
    torch.manual_seed(1)
    plain = WDSR(NetworkOptions("wdsr-b", 2, 2, 8), weight_norm=False)
    images = torch.rand(1, 3, 6, 6)
    before = plain(images)
    add_weight_norm(plain)
    add_weight_norm(plain)
    torch.testing.assert_close(plain(images), before)


def plain_wdsr(state: dict[str, Tensor], images: Tensor, arch: Arch, blocks: int, scale: int) -> Tensor:
    """WDSR as the paper's figures say, with weight norm and the shuffle by hand."""

    def conv(name: str, x: Tensor) -> Tensor:
        g = state[f"{name}.parametrizations.weight.original0"]
        v = state[f"{name}.parametrizations.weight.original1"]
        w = g * v / v.flatten(1).norm(dim=1)[:, None, None, None]
        return nn.functional.conv2d(x, w, state[f"{name}.bias"], padding=w.shape[-1] // 2)

    def shuffle(x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        r = scale
        return x.reshape(b, c // r**2, r, r, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, c // r**2, h * r, w * r)

    mean = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None] * 255
    colours = (images * 255 - mean) / 127.5
    x = conv("head", colours)
    for index in range(blocks):
        y = conv(f"blocks.{index}.wide", x).clamp_min(0)
        narrow = ["narrow"] if arch == "wdsr-a" else ["narrow.0", "narrow.1"]
        for name in narrow:
            y = conv(f"blocks.{index}.{name}", y)
        x = x + y
    return (127.5 * (shuffle(conv("tail", x)) + shuffle(conv("skip", colours))) + mean) / 255


@pytest.mark.parametrize("arch", ["wdsr-a", "wdsr-b"])
@pytest.mark.parametrize("scale", [2, 3])
def test_wdsr_equals_a_plain_twin(arch: Arch, scale: int) -> None:
    network = small(arch, scale)
    for p in network.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    images = torch.rand(2, 3, 6, 9)
    expected = plain_wdsr(network.state_dict(), images, arch, 2, scale)
    torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "images",
    [torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.rand(1, 3, 0, 4)],
)
def test_other_input_is_refused(images: Tensor) -> None:
    with pytest.raises(OptionError, match=r"\(B, 3, H, W\)"):
        check_images(images)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"scale": 5}, "2, 3, 4, 8"),
        ({"num_blocks": 0}, "num_blocks"),
        ({"num_features": 1_000_000}, "num_features"),
        ({"residual_scaling": float("nan")}, "residual_scaling"),
        ({"arch": "wdsr-b", "num_features": 1}, "num_features"),
    ],
)
def test_options_that_cannot_work(values: dict[str, object], word: str) -> None:
    with pytest.raises(OptionError, match=word):
        NetworkOptions(**values)  # type: ignore[arg-type]


def test_options_name_themselves() -> None:
    assert str(wdsr_b().options) == "wdsr-b x4, 32 blocks, 32 features, expansion 6"
    assert str(NetworkOptions("edsr", 2, 32, 256, 4, 0.1)) == ("edsr x2, 32 blocks, 256 features, residual scaling 0.1")


@pytest.mark.parametrize("network", [edsr, wdsr_a, wdsr_b])
def test_maps_do_not_grow_with_the_blocks(network: Callable[..., Upscaler]) -> None:
    """As they would, many-fold, with first weights that do not count the blocks."""
    torch.manual_seed(0)
    built, sizes = network(2, num_blocks=24), list[float]()
    for block in built.blocks:  # type: ignore[union-attr]
        block.register_forward_hook(lambda _, __, output: sizes.append(float(output.std())))
    with torch.no_grad():
        built(torch.rand(1, 3, 24, 24))
    assert sizes[-1] < 1.6 * sizes[0]
