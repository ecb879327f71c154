"""A field that trains on an ordinary machine: a multi-resolution hash grid (Müller et al. 2022, arXiv 2201.05989),
faded for wide samples (Zip-NeRF, arXiv 2304.06706), a small network, colours as spherical harmonics of the direction.

Letters: R rays, N samples of all rays, K basis functions.
"""

from __future__ import annotations

from itertools import chain, repeat

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.radiance.contraction import Warp, stretch_at
from anyview.radiance.grid.compositing import Packed, blend, harmonics
from anyview.radiance.grid.encoding import encode, make_levels, table_size
from anyview.radiance.grid.marching import cell_of
from anyview.radiance.grid.network import run_network
from anyview.radiance.kernels.limits import LARGEST
from anyview.radiance.multisample import spread
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.options import GridOptions
from anyview.radiance.rays import Rays
from anyview.radiance.walk import STRETCHES, line_up

VERSION = 2
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
        self.levels = levels  # no buffer: it stays on the processor, which reads it
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

    def forward(
        self, rays: Rays, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "R 6"], Float[Tensor, "N"], Packed]:
        """Per ray (red, green, blue, opacity, depth times opacity, distortion), without background.

        The second result are the densities of the samples, which are the third, per scene unit, -1 behind where a ray
        is blocked. Where space is contracted they are per s, and depth is that of the mean s.

        Args:
            rays: world.
            generator: moves each ray's samples at random within a step; None leaves them where they are.
        """
        occupancy, first = self.occupancy, self.first_density
        walk = occupancy.walk(rays, self.step, generator)
        parts: list[Packed] = []
        raws: list[Tensor] = []
        for limit in chain(STRETCHES, repeat(STRETCHES[-1])):
            part = walk.ahead(occupancy.open, occupancy.mean, limit)
            if parts and not len(part.points):
                break
            raw = self._look(rays, part, walk.warp)
            parts.append(part)
            raws.append(raw)
            if walk.ended:
                break
            walk.meet(part, raw[:, 0].detach().clamp_max(LARGEST).exp() * first)
        packed = line_up(parts)
        relative = packed._replace(lengths=packed.lengths * first)
        result, densities = blend(torch.cat(raws), harmonics(rays.viewdirs, self.options.harmonics), relative)
        if walk.warp is not None:
            opacity = result[:, 3].detach()
            depth = walk.warp.distance(result[:, 4].detach() / opacity.clamp_min(1e-6)) * opacity
            result = torch.cat([result[:, :4], depth[:, None], result[:, 5:]], 1)
        return result, torch.where(densities < 0, densities, densities * first), packed

    def _look(self, rays: Rays, part: Packed, warp: Warp | None) -> Float[Tensor, "N D"]:
        """The network's output at samples; where space is contracted, with densities per s.

        Gradients of samples nearer to the camera than half an inner cube's side are then scaled down by the square of
        their distance: so many more rays pass near cameras than elsewhere that all would end there (Philip and
        Deschaintre 2023, arXiv 2305.02756).
        """
        raw = self.raw(self.sampled(rays, part))
        if warp is None:
            return raw
        bends = warp.of(part.ray)
        if raw.requires_grad:
            weight = (bends.distance(part.middles) / bends.scale).square().clamp_max(1)[:, None]
            raw.register_hook(lambda given: given * weight)
        return torch.cat([raw[:, :1] + bends.stretch(part.middles).log()[:, None], raw[:, 1:]], 1)

    @torch.no_grad()
    def ask(self, generator: torch.Generator) -> None:
        """Tell the cells of contracted space, a sixteenth of them at a time, how dense the field is in them.

        Rays find out too slowly where there is nothing: at first they have hundreds of samples each.
        """
        g = self.occupancy.cells
        device = self.occupancy.mean.device
        index = torch.arange(int(self.occupancy.updates) % _TURNS, g**3, _TURNS, device=device)
        corners = torch.stack([index % g, index // g % g, index // g**2], 1)
        points = (corners + torch.rand(corners.shape, generator=generator, device=device)) / g
        widths = torch.full((len(points),), 0.5 / g, device=device)
        densities = self.raw(self.features(points, widths))[:, 0].clamp_max(LARGEST).exp() * self.first_density
        self.occupancy.hear(index, densities * stretch_at(4 * points - 2))

    @torch.no_grad()
    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Per scene unit, at points of the world; 0 outside the cube and in cells that are passed over."""
        inside, _ = self.occupancy.inside(points)
        is_open = self.occupancy.open[cell_of(inside, self.occupancy.cells)].bool()
        there = ((inside >= 0) & (inside <= 1)).all(-1) & is_open
        width = torch.full_like(inside[:, 0], self.step / float(self.occupancy.size) / 12**0.5)
        density = self.raw(self.features(inside.clamp(0, 1), width))[:, 0].clamp_max(LARGEST).exp() * self.first_density
        return torch.where(there, density, torch.zeros_like(density))
