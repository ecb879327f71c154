"""SRGAN (Ledig et al. 2017, arXiv 1609.04802): the generator SRResNet, and the discriminator. Figure 4 shows both."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.errors import OptionError
from anyview.superresolution.network.edsr import Shuffled
from anyview.superresolution.network.layers import Upscaler, check_images, conv, shuffle_steps
from anyview.superresolution.options import NetworkOptions

_MOMENTUM = 0.2  # 0.8 in Keras, which counts the other part
_PATCH = 96
_CELLS = _PATCH // 16
_LEAK = 0.2


class SRResNet(Upscaler):
    """The generator; see `anyview.superresolution.srresnet` for its usual arguments.

    It sees colours in [0, 1] without a mean, and its output, through tanh, lies in [0, 1].

    Args:
        options: of arch "srresnet".
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        features = options.num_features
        self.head = nn.Sequential(conv(3, features, 9), _prelu(features))
        self.blocks = nn.ModuleList(Block(features) for _ in range(options.num_blocks))
        self.body_end = nn.Sequential(conv(features, features, 3), _norm(features))
        self.upsample = nn.ModuleList(
            nn.Sequential(Shuffled(features, factor), _prelu(features)) for factor in shuffle_steps(options.scale)
        )
        self.tail = conv(features, 3, 9)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`; the output lies in [0, 1]."""
        check_images(images)
        first = x = self.head(images)
        for block in self.blocks:
            x = block(x)
        x = first + self.body_end(x)
        for step in self.upsample:
            x = step(x)
        return (self.tail(x).tanh() + 1) / 2


class Block(nn.Module):
    """Convolution, norm, PReLU, convolution, norm, added to the input.

    Args:
        features: channels.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(features, features, 3), _norm(features)
        self.activation = _prelu(features)
        self.conv2, self.norm2 = conv(features, features, 3), _norm(features)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The sum."""
        return x + self.norm2(self.conv2(self.activation(self.norm1(self.conv1(x)))))


class Discriminator(nn.Module):
    """Tells photographs from a network's images: eight convolutions, then 1024 units, then one.

    Args:
        num_features: channels of the first convolution; the last has eight times as many.
        any_size: average the last maps to 6x6 cells, so that images of any size go in. For 96x96 nothing changes, so
            weights serve both ways.
    """

    def __init__(self, num_features: int = 64, any_size: bool = False) -> None:
        super().__init__()
        self.any_size = any_size
        layers: list[nn.Module] = [conv(3, num_features, 3), nn.LeakyReLU(_LEAK)]
        before = num_features
        for position in range(1, 8):
            features = num_features * 2 ** (position // 2)
            layers += [conv(before, features, 3, 1 + position % 2), nn.BatchNorm2d(features, momentum=_MOMENTUM)]
            layers += [nn.LeakyReLU(_LEAK)]
            before = features
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Linear(before * _CELLS**2, 1024), nn.LeakyReLU(_LEAK), nn.Linear(1024, 1)
        )  # fmt: skip

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1"]:
        """Logits: sigmoid gives the probability that an image is a photograph.

        Args:
            images: sRGB in [0, 1]; 96x96, or with `any_size` any.

        Raises:
            OptionError: no such images.
        """
        check_images(images)
        if not self.any_size and images.shape[2:] != (_PATCH, _PATCH):
            raise OptionError(
                "the discriminator takes images of one size", expected=f"{_PATCH}x{_PATCH}",
                actual=f"{images.shape[3]}x{images.shape[2]}", hint="build it with any_size=True",
            )  # fmt: skip
        x = self.features(images * 2 - 1)
        if self.any_size:
            x = functional.adaptive_avg_pool2d(x, _CELLS)
        return self.judge(x.flatten(1))


def _norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, momentum=_MOMENTUM)


def _prelu(features: int) -> nn.PReLU:
    return nn.PReLU(features, init=0.0)  # Keras begins with a plain ReLU
