"""mip-NeRF's network (Barron et al. 2021, arXiv 2103.13415, section 4), plainly: the twin of the compiled ways.

Letters: B rays, S intervals per ray, E features of a place, V of a direction.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.radiance.options import MipOptions


class MipMLP(nn.Module):
    """Encoded place and direction to raw density and raw colour."""

    def __init__(self, options: MipOptions) -> None:
        super().__init__()
        self.skip = options.skip
        encoded, directions = 6 * options.degrees, 3 + 6 * options.view_degrees
        inputs = [encoded] + [options.width + (encoded if self._joins(i) else 0) for i in range(options.depth - 1)]
        self.trunk = nn.ModuleList(nn.Linear(n, options.width) for n in inputs)
        last = options.width + (encoded if self._joins(options.depth - 1) else 0)
        self.density = nn.Linear(last, 1)
        self.bottleneck = nn.Linear(last, options.width)
        self.head = nn.Linear(options.width + directions, options.head_width)
        self.color = nn.Linear(options.head_width, 3)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def _joins(self, layer: int) -> bool:
        """Whether the encoding joins this layer's output."""
        return layer > 0 and layer % self.skip == 0

    def forward(
        self, places: Float[Tensor, "B S E"], directions: Float[Tensor, "B V"]
    ) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S 3"]]:
        """Raw density and raw colour.

        Args:
            places: encoded Gaussians.
            directions: encoded unit directions, one per ray.
        """
        x = places
        for i, layer in enumerate(self.trunk):
            x = torch.relu(layer(x))
            if self._joins(i):
                x = torch.cat([x, places], -1)
        density = self.density(x)[..., 0]
        seen = directions[:, None].expand(*x.shape[:-1], directions.shape[-1])
        hidden = torch.relu(self.head(torch.cat([self.bottleneck(x), seen], -1)))
        return density, self.color(hidden)
