"""What the networks learn from: pixels, VGG's features, a discriminator (SRGAN, arXiv 1609.04802, section 2.2).

All images are sRGB in [0, 1], (B, 3, H, W); all losses are means.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyview.errors import OptionError

Features: TypeAlias = Literal["vgg22", "vgg54"]
ADVERSARIAL_SHARE: Final = 1e-3
"""Of the adversarial loss in the perceptual one (equation 3)."""

_LAST: Final[dict[Features, int]] = {"vgg22": 9, "vgg54": 36}
_SCALE = 12.75  # brings features to the size of pixels (section 3.2)
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def pixel_loss(
    images: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"], kind: Literal["l1", "mse"] = "l1"
) -> Float[Tensor, ""]:
    """The mean absolute or squared difference of colours.

    Raises:
        OptionError: the sizes differ.
    """
    check_same(images, truth)
    return functional.l1_loss(images, truth) if kind == "l1" else functional.mse_loss(images, truth)


class ContentLoss(nn.Module):
    """The mean squared difference of features, after division by 12.75 (equation 5).

    Args:
        features: of VGG19 after the ReLU: "vgg22" of the 2nd convolution before the 2nd pooling, "vgg54" of the 4th
            before the 5th. Its weights are torchvision's, downloaded once.
        extractor: used instead; from colours normalised by ImageNet's mean and deviation to features.

    Raises:
        OptionError: weights cannot be had.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: Features = "vgg54", extractor: nn.Module | None = None) -> None:
        super().__init__()
        self.extractor = (vgg19(features) if extractor is None else extractor).eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        """The loss; gradients flow to `images` only.

        Raises:
            OptionError: the sizes differ.
        """
        check_same(images, truth)
        with torch.no_grad():
            wanted = self._features(truth)
        return functional.mse_loss(self._features(images), wanted)

    def train(self, mode: bool = True) -> ContentLoss:
        """Nothing here learns: the extractor stays in eval mode."""
        super().train(mode)
        self.extractor.eval()
        return self

    def _features(self, images: Tensor) -> Tensor:
        return self.extractor((images - self.mean) / self.std) / _SCALE


def vgg19(features: Features) -> nn.Module:
    """The first layers of torchvision's VGG19 (IMAGENET1K_V1).

    Raises:
        OptionError: no connection, or no torchvision.
    """
    try:
        from torchvision.models import VGG19_Weights
        from torchvision.models import vgg19 as model
    except ImportError as error:
        raise OptionError("torchvision is not installed", hint="run pip install 'anyview[learn]'") from error
    weights = VGG19_Weights.IMAGENET1K_V1
    try:
        return model(weights=weights).features[: _LAST[features]]
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash a RuntimeError
        raise OptionError(
            "VGG19's weights cannot be had", where=weights.url, actual=str(getattr(error, "reason", error)),
            hint=f"connect this machine once, or put the file into {torch.hub.get_dir()}/checkpoints",
        ) from error  # fmt: skip


def generator_loss(judged: Float[Tensor, "B 1"]) -> Float[Tensor, ""]:
    """-log D(G(x)), what the generator adds (equation 6).

    Args:
        judged: the discriminator's logits of generated images.
    """
    return functional.softplus(-judged).mean()


def discriminator_loss(real: Float[Tensor, "B 1"], generated: Float[Tensor, "B 1"]) -> Float[Tensor, ""]:
    """-log D(y) - log(1 - D(G(x))), what the discriminator learns from (equation 2).

    Args:
        real: its logits of photographs.
        generated: of generated images, detached from the generator.
    """
    return functional.softplus(-real).mean() + functional.softplus(generated).mean()


def perceptual_loss(
    content: Float[Tensor, ""], judged: Float[Tensor, "B 1"], share: float = ADVERSARIAL_SHARE
) -> Float[Tensor, ""]:
    """Content plus a share of the adversarial loss (equation 3).

    Args:
        content: of `ContentLoss`, or any other.
        judged: the discriminator's logits of generated images.
        share: of the adversarial loss.
    """
    return content + share * generator_loss(judged)


def check_same(images: Tensor, truth: Tensor) -> None:
    """Raise an OptionError where sizes differ, which torch would broadcast."""
    if images.shape != truth.shape:
        raise OptionError("images of two sizes", expected=tuple(truth.shape), actual=tuple(images.shape))
