"""How bright each training image was taken, learnt with the field: a gain per image and channel.

Gains multiply rendered colours as images hold them (sRGB), and their logarithms have mean 0 over the images, so that
the field shows the scene as the mean image does. Letters: V images, B rays.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Exposure(nn.Module):
    """Gains of V images, 1 to begin with."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.zeros((images, 3)))

    @property
    def logarithms(self) -> Float[Tensor, "V 3"]:
        """Of the gains, natural."""
        return self.free - self.free.mean(0)

    def forward(self, image: Int[Tensor, "B"]) -> Float[Tensor, "B 3"]:
        """The gains of these images, by number."""
        return self.logarithms[image].exp()
