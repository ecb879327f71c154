"""What the networks share: normalised colours, pixel shuffles, first weights."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.errors import OptionError
from anyview.superresolution.options import NetworkOptions

DIV2K_MEAN: Final = (0.4488, 0.4371, 0.4040)
"""Mean sRGB colour of DIV2K's training images, [0, 1]."""

_HALF = 0.5  # 127.5 of 255: what a network sees lies about in [-1, 1]
_STEPS: Final = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


class Upscaler(nn.Module):
    """Base of all networks: images in [0, 1] to larger images, about in [0, 1].

    Args:
        options: what it is made of.
    """

    mean: Tensor

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """The images, `options.scale` times as large.

        Args:
            images: sRGB in [0, 1], any size.

        Returns:
            sRGB, not clipped: values a little outside [0, 1] occur.

        Raises:
            OptionError: no such images.
        """
        raise NotImplementedError

    def normalise(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Colours without DIV2K's mean, over one half."""
        return (images - self.mean) / _HALF

    def denormalise(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """The inverse of `normalise`."""
        return images * _HALF + self.mean


def check_images(images: Tensor) -> None:
    """Raise an OptionError unless this is a batch of RGB images with pixels."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point() or 0 in images.shape[2:]:
        raise OptionError(
            "the network takes no such images", expected="a float tensor (B, 3, H, W)",
            actual=f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}",
        )  # fmt: skip


def shuffle_steps(scale: int) -> tuple[int, ...]:
    """The factors of the pixel shuffles that make up a scale: x4 is two of x2 (EDSR, figure 3)."""
    return _STEPS[scale]


def conv(inputs: int, outputs: int, size: int, stride: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """A convolution that keeps the size, with first weights as Keras has them: Glorot's uniform, and no bias.

    Args:
        inputs, outputs: channels.
        size: pixels of the kernel's side.
        stride: pixels of the input for one of the output.
        gain: of the first weights.
    """
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def last_gain(options: NetworkOptions) -> float:
    """Of the last convolution in each residual block: what all blocks add is then about as large as what they add to
    (as WDSR's authors begin). With 1 a map grows in every block, 24-fold in WDSR-B."""
    return 1.0 if options.residual_scaling != 1 else options.num_blocks**-0.5
