"""A field that trains on an ordinary machine: a multi-resolution hash grid (Müller et al. 2022, arXiv 2201.05989),
faded for wide samples (Zip-NeRF, arXiv 2304.06706), a small network, colours as spherical harmonics of the direction.

Letters: R rays, N samples of all rays, K basis functions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.radiance.contraction import stretch_at
from anyview.radiance.grid.compositing import LARGEST, Packed, blend, harmonics
from anyview.radiance.grid.encoding import encode, make_levels, table_size
from anyview.radiance.grid.network import run_network
from anyview.radiance.multisample import spread
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.options import GridOptions
from anyview.radiance.rays import Rays

VERSION = 1
"""Of the weights; a checkpoint of another is refused."""

_LANES = 16
_TURNS = 16  # in which all cells are asked for
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

    def raw(self, features: Float[Tensor, "N C"]) -> Float[Tensor, "N D"]:
        """Logarithm of density over `first_density`, and colour coefficients."""
        return run_network(features, self.w1, self.w2, self.w3 * self._gains)

    def features(self, points: Float[Tensor, "N 3"], widths: Float[Tensor, "N"]) -> Float[Tensor, "N C"]:
        """Of the table, at points of the unit cube."""
        return encode(points, widths, self.table, self.levels)

    def sampled(self, rays: Rays, packed: Packed) -> Float[Tensor, "N C"]:
        """The features of samples; with `multisamples`, the mean over each one's points."""
        n = self.options.multisamples
        if n == 1:
            return self.features(packed.points, packed.widths)
        parts = (spread(self.occupancy, rays, packed, j, n) for j in range(n))
        if not torch.is_grad_enabled():  # one after the other: pictures have many samples
            return sum((self.features(*part) / n for part in parts), torch.zeros(()))
        points, widths = (torch.cat(part) for part in zip(*parts, strict=True))
        return self.features(points, widths).view(n, len(packed.points), -1).mean(0)

    def forward(self, rays: Rays, packed: Packed) -> tuple[Float[Tensor, "R 6"], Float[Tensor, "N"]]:
        """Per ray (red, green, blue, opacity, depth times opacity, distortion), without background.

        The second result are the samples' densities per scene unit, -1 behind where a ray is blocked. Where space is
        contracted they are per s, depth is that of the mean s, and gradients of samples nearer to the camera than half
        an inner cube's side are scaled down by the square of their distance: so many more rays pass near cameras than
        elsewhere that all would end there (Philip and Deschaintre 2023, arXiv 2305.02756).
        """
        basis = harmonics(rays.viewdirs, self.options.harmonics)
        relative = packed._replace(lengths=packed.lengths * self.first_density)
        raw, warp = self.raw(self.sampled(rays, packed)), self.occupancy.warp(rays)
        if warp is not None:
            bends = warp.of(torch.repeat_interleave(packed.offsets.diff()))
            if raw.requires_grad:
                weight = (bends.distance(packed.middles) / bends.scale).square().clamp_max(1)[:, None]
                raw.register_hook(lambda given: given * weight)
            raw = torch.cat([raw[:, :1] + bends.stretch(packed.middles).log()[:, None], raw[:, 1:]], 1)
        result, densities = blend(raw, basis, relative)
        if warp is not None:
            opacity = result[:, 3].detach()
            depth = warp.distance(result[:, 4].detach() / opacity.clamp_min(1e-6)) * opacity
            result = torch.cat([result[:, :4], depth[:, None], result[:, 5:]], 1)
        return result, torch.where(densities < 0, densities, densities * self.first_density)

    @torch.no_grad()
    def ask(self, generator: torch.Generator) -> None:
        """Tell the cells of contracted space, a sixteenth of them at a time, how dense the field is in them.

        Rays find out too slowly where there is nothing: at first they have hundreds of samples each.
        """
        g = self.occupancy.cells
        index = torch.arange(int(self.occupancy.updates) % _TURNS, g**3, _TURNS)
        corners = torch.stack([index % g, index // g % g, index // g**2], 1)
        points = (corners + torch.rand(corners.shape, generator=generator)) / g
        widths = torch.full((len(points),), 0.5 / g)
        densities = self.raw(self.features(points, widths))[:, 0].clamp_max(LARGEST).exp() * self.first_density
        self.occupancy.hear(index, densities * stretch_at(4 * points - 2))

    @torch.no_grad()
    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Per scene unit, at points of the world; 0 outside the cube and in cells that are passed over."""
        inside, _ = self.occupancy.inside(points)
        cells = self.occupancy.cells
        index = (inside * cells).long().clamp(0, cells - 1)
        flat = (index[:, 2] * cells + index[:, 1]) * cells + index[:, 0]
        there = ((inside >= 0) & (inside <= 1)).all(-1) & self.occupancy.open[flat].bool()
        width = torch.full((len(points),), self.step / float(self.occupancy.size) / 12**0.5)
        density = self.raw(self.features(inside.clamp(0, 1), width))[:, 0].clamp_max(LARGEST).exp() * self.first_density
        return torch.where(there, density, torch.zeros_like(density))
