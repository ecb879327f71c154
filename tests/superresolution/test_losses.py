from __future__ import annotations

from itertools import pairwise
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from anyview.errors import OptionError
from anyview.superresolution import Discriminator, wdsr_b
from anyview.superresolution.losses import (
    ContentLoss,
    check_same,
    discriminator_loss,
    generator_loss,
    perceptual_loss,
    pixel_loss,
    vgg19,
)


def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(2, 3, 8, 8)


def test_pixel_losses() -> None:
    a, b = pair()
    torch.testing.assert_close(pixel_loss(a, b), (a - b).abs().mean())
    torch.testing.assert_close(pixel_loss(a, b, "mse"), (a - b).square().mean())
    with pytest.raises(OptionError, match="two sizes"):
        check_same(a, b[:1])  # torch would broadcast it


def test_content_loss_is_of_normalised_features_over_twelve_and_three_quarters() -> None:
    a, b = pair()
    extractor = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Dropout(0.9))
    loss = ContentLoss(extractor=extractor).train()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def features(x: Tensor) -> Tensor:
        y = (x.movedim(1, 3) - mean) / std
        return extractor[0](y.movedim(3, 1)).clamp_min(0) / 12.75

    value = loss(a, b)
    torch.testing.assert_close(value, (features(a) - features(b)).square().mean())
    value.backward()
    assert a.grad is not None
    assert a.grad.any()
    assert list(loss.state_dict()) == [f"extractor.0.{name}" for name in ("weight", "bias")]
    assert not any(p.requires_grad for p in loss.parameters())


@pytest.mark.parametrize(("features", "channels", "shrink"), [("vgg22", 128, 2), ("vgg54", 512, 16)])
def test_features_end_after_the_relu_named(
    features: str, channels: int, shrink: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    real = torchvision.models.vgg19
    monkeypatch.setattr(torchvision.models, "vgg19", lambda weights: real(weights=None))
    layers = list(vgg19(features).children())  # type: ignore[arg-type]
    assert isinstance(layers[-1], nn.ReLU)
    assert isinstance(layers[-2], nn.Conv2d)
    assert layers[-2].out_channels == channels
    pools = [isinstance(layer, nn.MaxPool2d) for layer in layers]
    assert 2 ** sum(pools) == shrink
    after = layers[len(pools) - pools[::-1].index(True) :]
    assert sum(isinstance(layer, nn.Conv2d) for layer in after) == int(features[-1])  # 2 or 4, after pooling 1 or 4


def test_no_connection_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def offline(weights: object) -> nn.Module:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models, "vgg19", offline)
    with pytest.raises(OptionError, match=r"cannot be had in https://.*vgg19.*no route to host; connect this machine"):
        ContentLoss("vgg54")


def test_adversarial_losses() -> None:
    real, fake = torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.5], [-3.0]])
    torch.testing.assert_close(generator_loss(fake), -fake.sigmoid().log().mean())
    expected = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(perceptual_loss(torch.tensor(3.0), fake), 3 + 0.001 * generator_loss(fake))
    assert generator_loss(torch.tensor([[-1e4]])) == 1e4  # where a sigmoid's logarithm is infinite


def test_discriminator_has_the_published_parameters() -> None:
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    convs = sum(9 * i * o + o for i, o in pairwise(widths))
    with torch.device("meta"):
        network = Discriminator()
    count = sum(p.numel() for p in network.parameters())
    assert count == convs + 2 * sum(widths[2:]) + (36 * 512 * 1024 + 1024) + 1025 == 23_565_505


def test_discriminator_sizes() -> None:
    torch.manual_seed(0)
    fixed, free = Discriminator(4).eval(), Discriminator(4, any_size=True).eval()
    free.load_state_dict(fixed.state_dict())
    patch = torch.rand(2, 3, 96, 96)
    assert fixed(patch).shape == (2, 1)
    torch.testing.assert_close(fixed(patch), free(patch))
    assert free(torch.rand(1, 3, 33, 50)).shape == (1, 1)
    with pytest.raises(OptionError, match=r"96x96, found 50x33.*any_size"):
        fixed(torch.rand(1, 3, 33, 50))


def test_any_network_learns_as_a_generator() -> None:
    network, judge = wdsr_b(4, 1, 8), Discriminator(4)
    images = network(torch.rand(2, 3, 24, 24))
    perceptual_loss(images.new_zeros(()), judge(images)).backward()
    assert all(p.grad is not None for p in network.parameters())
