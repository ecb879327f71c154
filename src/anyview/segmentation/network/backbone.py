"""ResNet (He et al. 2015, arXiv 1512.03385) as a source of four feature maps, with a feature pyramid on top.

The stride of a bottleneck is in its 3x3 convolution ("v1.5"), as in torchvision, whose state-dict keys these are. Maps
have strides 4, 8, 16 and 32 pixels; the pyramid adds one of 64.
"""

from __future__ import annotations

from typing import Final

from jaxtyping import Float
from torch import Tensor, nn

from anyview.segmentation.network.layers import Norm, init_normal_for_relu, normed
from anyview.segmentation.network.pyramid import FeaturePyramid
from anyview.segmentation.options import Body

_EXPANSION: Final = 4
_BLOCKS: dict[Body, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
_STAGES = ("layer4", "layer3", "layer2", "layer1", "conv1", "bn1")


class _Basic(nn.Module):
    """Two 3x3 convolutions beside the identity (figure 5, left)."""

    def __init__(self, inputs: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.downsample = _shortcut(inputs, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = normed(x, self.conv1, self.bn1, rectify=True)
        beside = x if self.downsample is None else self.downsample(x)
        return normed(y, self.conv2, self.bn2, beside, rectify=True)


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside the identity (figure 5, right)."""

    def __init__(self, inputs: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, width * _EXPANSION, 1, bias=False)
        self.bn3 = norm(width * _EXPANSION)
        self.downsample = _shortcut(inputs, width * _EXPANSION, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = normed(x, self.conv1, self.bn1, rectify=True)
        y = normed(y, self.conv2, self.bn2, rectify=True)
        beside = x if self.downsample is None else self.downsample(x)
        return normed(y, self.conv3, self.bn3, beside, rectify=True)


class _Projection(nn.Sequential):
    """A 1x1 convolution in the place of the identity."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        conv, bn = self
        return normed(x, conv, bn)


def _shortcut(inputs: int, outputs: int, stride: int, norm: Norm) -> _Projection | None:
    """A projection where the identity does not fit."""
    return None if stride == 1 and inputs == outputs else _Projection(inputs, outputs, stride, norm)


class ResNetBody(nn.Module):
    """Images to the outputs of layers 1 to 4, finest first."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, body: Body, norm: Norm) -> None:
        super().__init__()
        block = _Basic if body in ("resnet18", "resnet34") else _Bottleneck
        growth = 1 if block is _Basic else _EXPANSION
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        inputs = 64
        self.channels: list[int] = []
        for stage, count in enumerate(_BLOCKS[body]):
            width = 64 * 2**stage
            blocks = []
            for i in range(count):
                blocks.append(block(inputs, width, 2 if stage > 0 and i == 0 else 1, norm))
                inputs = width * growth
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            self.channels.append(inputs)
        init_normal_for_relu(self)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Feature maps of strides 4, 8, 16, 32."""
        x = normed(images, self.conv1, self.bn1, rectify=True)
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def freeze_all_but(self, stages: int) -> None:
        """Only the last `stages` of the five learn."""
        learning = _STAGES if stages == 5 else _STAGES[:stages]
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(learning))


class Backbone(nn.Module):
    """A ResNet and its pyramid: images to five maps.

    Args:
        body: which ResNet.
        norm: of the body.
        channels: of each map.
        pyramid_norm: of the pyramid; None gives its convolutions biases.
    """

    def __init__(self, body: Body, norm: Norm, channels: int, pyramid_norm: Norm | None = None) -> None:
        super().__init__()
        self.body = ResNetBody(body, norm)
        self.fpn = FeaturePyramid(self.body.channels, channels, pyramid_norm)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Feature maps of strides 4, 8, 16, 32, 64, (B, C, h, w) each."""
        return self.fpn(self.body(images))
