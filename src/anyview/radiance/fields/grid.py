"""A field that trains on an ordinary machine: a multi-resolution hash grid (Müller et al. 2022, arXiv 2201.05989),
faded for wide samples (Zip-NeRF, arXiv 2304.06706), a small network, colours as spherical harmonics of the direction.

Letters: R rays, N samples of all rays, K basis functions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.radiance.grid.compositing import LARGEST, Packed, blend, harmonics
from anyview.radiance.grid.encoding import encode, make_levels, table_size
from anyview.radiance.grid.network import run_network
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.options import GridOptions
from anyview.radiance.rays import Rays

VERSION = 1
"""Of the weights; a checkpoint of another is refused."""

_LANES = 16
_GAIN = 3.0  # of the network's density output: it must travel far, from fog to opaque


class GridField(nn.Module):
    """Renders rays by marching through its occupancy grid."""

    def __init__(self, options: GridOptions, occupancy: Occupancy, generator: torch.Generator) -> None:
        super().__init__()
        self.options, self.occupancy = options, occupancy
        self.steps: float = options.steps
        levels = make_levels(options.levels, options.coarsest, options.finest, options.log2_entries)
        self.register_buffer("levels", levels, persistent=False)
        self.levels: Tensor
        inputs = 2 * options.levels
        outputs = -(-(1 + 3 * options.harmonics) // _LANES) * _LANES

        def uniform(shape: tuple[int, int], bound: float) -> nn.Parameter:
            return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)

        h = options.width
        self.table = uniform((table_size(levels), 2), 1e-4)
        self.w1 = uniform((inputs, h), (6 / inputs) ** 0.5)
        self.w2 = uniform((h, h), (6 / h) ** 0.5)
        self.w3 = uniform((h, outputs), 0.3 * (6 / h) ** 0.5)
        gains = torch.ones(outputs)
        gains[0] = _GAIN
        self.register_buffer("_gains", gains, persistent=False)
        self._gains: Tensor

    @property
    def step(self) -> float:
        """Length of the steps along rays, scene units; where space is contracted, inside the inner cube."""
        return float(3**0.5 * self.occupancy.inner) / self.steps

    @property
    def first_density(self) -> float:
        """What the field begins with, per scene unit: a cube's side lets 0.1 of the light through."""
        return 2.3 / float(self.occupancy.inner)

    def raw(self, points: Float[Tensor, "N 3"], widths: Float[Tensor, "N"]) -> Float[Tensor, "N C"]:
        """Logarithm of density over `first_density`, and colour coefficients, at points of the unit cube."""
        features = encode(points, widths, self.table, self.levels)
        return run_network(features, self.w1, self.w2, self.w3 * self._gains)

    def forward(self, rays: Rays, packed: Packed) -> tuple[Float[Tensor, "R 6"], Float[Tensor, "N"]]:
        """Per ray (red, green, blue, opacity, depth times opacity, distortion), without background.

        The second result are the samples' densities per scene unit, -1 behind where a ray is blocked. Where space is
        contracted they are per s, and depth is that of the mean s.
        """
        basis = harmonics(rays.viewdirs, self.options.harmonics)
        relative = packed._replace(lengths=packed.lengths * self.first_density)
        raw, warp = self.raw(packed.points, packed.widths), self.occupancy.warp(rays)
        if warp is not None:
            ray = torch.repeat_interleave(packed.offsets.diff())
            longer = warp.of(ray).stretch(packed.middles).log()
            raw = torch.cat([raw[:, :1] + longer[:, None], raw[:, 1:]], 1)
        result, densities = blend(raw, basis, relative)
        if warp is not None:
            opacity = result[:, 3].detach()
            depth = warp.distance(result[:, 4].detach() / opacity.clamp_min(1e-6)) * opacity
            result = torch.cat([result[:, :4], depth[:, None], result[:, 5:]], 1)
        return result, torch.where(densities < 0, densities, densities * self.first_density)

    @torch.no_grad()
    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Per scene unit, at points of the world; 0 outside the cube and in cells that are passed over."""
        inside = self.occupancy.inside(points)
        cells = self.occupancy.cells
        index = (inside * cells).long().clamp(0, cells - 1)
        flat = (index[:, 2] * cells + index[:, 1]) * cells + index[:, 0]
        there = ((inside >= 0) & (inside <= 1)).all(-1) & self.occupancy.open[flat].bool()
        width = torch.full((len(points),), self.step / float(self.occupancy.size) / 12**0.5)
        density = self.raw(inside.clamp(0, 1), width)[:, 0].clamp_max(LARGEST).exp() * self.first_density
        return torch.where(there, density, torch.zeros_like(density))
