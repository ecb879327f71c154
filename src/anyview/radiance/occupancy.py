"""Where a scene can be opaque: a coarse grid over its box that rays are marched through.

What the samples of training say about their cells is remembered; cells that turn out empty are passed over, and a share
of them may be looked at again from time to time (`grid.reopened`). Source: Müller et al. 2022 (arXiv 2201.05989),
appendix C; here the field is never asked for this alone.

Letters: G cells per side, R rays, N samples.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from anyview.radiance.contraction import Warp, contract, make_warp
from anyview.radiance.grid.marching import cell_of
from anyview.radiance.kernels.limits import SHARE
from anyview.radiance.rays import Rays
from anyview.radiance.walk import Walk

_PRUNE_FROM = 16  # updates before which no cell is closed


def unknown_occupancy(cells: int) -> Occupancy:
    """A unit cube whose cells are all open, for a state to be loaded into."""
    return Occupancy(np.zeros(3), 1.0, np.ones((cells,) * 3, np.uint8), 0.0)


class Occupancy(nn.Module):
    """A cube in the world, its cells, and which of them are open.

    Attributes:
        low, size: corner and side of the cube, world.
        possible: cells that can hold anything at all, (G^3) uint8: the visual hull, or all.
        mean: density that the cells have, per scene unit, (G^3).
        open: cells that rays look at, (G^3) uint8.
        contracted: whether the cube holds all of space, of which its inner half (per side) is not bent; then densities
            are per s (see `anyview.radiance.contraction`).
    """

    low: Tensor
    size: Tensor
    contracted: Tensor
    possible: Tensor
    mean: Tensor
    open: Tensor
    updates: Tensor

    def __init__(
        self, low: Float[np.ndarray, "3"], size: float, possible: np.ndarray, first: float, contracted: bool = False
    ) -> None:
        """`first` is the density that the field begins with, per scene unit."""
        super().__init__()
        self.cells = round(possible.size ** (1 / 3))
        flat = torch.from_numpy(np.ascontiguousarray(possible.reshape(-1), np.uint8))
        self.register_buffer("low", torch.tensor(np.asarray(low), dtype=torch.float64))
        self.register_buffer("size", torch.tensor(size, dtype=torch.float64))
        self.register_buffer("contracted", torch.tensor(contracted))
        self.register_buffer("possible", flat)
        self.register_buffer("mean", flat.float() * first)
        self.register_buffer("open", flat.clone())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def inner(self) -> Tensor:
        """Side of the cube in which space is not bent, scene units."""
        return self.size / 2 if self.contracted else self.size

    def inside(self, points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
        """Points of the world in the unit cube's coordinates, outside of it unless space is contracted; and how long
        a scene unit is there."""
        unit = (points.double() - self.low) / self.size
        if not self.contracted:
            return unit.to(self.mean.dtype), torch.full_like(unit[:, 0], 1 / float(self.size), dtype=self.mean.dtype)
        bent, scale = contract(4 * unit - 2)
        return ((bent + 2) / 4).to(self.mean.dtype), (scale / self.size).to(self.mean.dtype)

    def centered(self, rays: Rays) -> tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]]:
        """Origins and directions such that the inner cube is [-1, 1]^3."""
        half = self.inner / 2
        origins, kind = (rays.origins.double() - self.low - self.size / 2) / half, rays.origins.dtype
        return origins.to(kind), (rays.directions / half).to(kind)

    def warp(self, rays: Rays) -> Warp | None:
        """Between t and s along rays; None where they are the same."""
        return make_warp(*self.centered(rays), rays.near[:, 0]) if self.contracted else None

    def walk(self, rays: Rays, step: float, generator: torch.Generator | None = None) -> Walk:
        """Rays of the world at the beginning of their way through the cube.

        Where space is contracted steps are even in s, and `rays.far` is not looked at.

        Args:
            rays: world.
            step: length of an interval, scene units along the direction at the image's centre (in t, or s).
            generator: moves each ray's first sample at random within a step; None leaves it half a step behind near.
        """
        warp = self.warp(rays)
        if warp is None:
            side = self.size
            origins = ((rays.origins.double() - self.low) / side).to(rays.origins.dtype)
            directions = (rays.directions.double() / side).to(rays.origins.dtype)
            near, far = self._range(origins, directions, rays)
        else:
            side = self.inner / 2
            (origins, directions), near, far = self.centered(rays), warp.place(rays.near[:, 0]), warp.end
        shift: Tensor | float = 0.5
        if generator is not None:
            shift = torch.rand(near.shape, generator=generator, dtype=near.dtype, device=near.device)
        radii, lengths = rays.radii[:, 0] / float(side), step * torch.linalg.norm(rays.directions, dim=-1)
        begins = near + (shift - 1) * step
        return Walk(origins, directions, radii, begins, far, warp, step, lengths, torch.zeros_like(near))

    def learn(self, points: Float[Tensor, "N 3"], densities: Float[Tensor, "N"]) -> None:
        """Take in samples' densities, per scene unit (or s), at points of the unit cube; -1 is not looked at."""
        if self.mean.device.type == "cpu" and densities.dtype == torch.float32:
            from anyview.radiance.kernels.occupancy import learn

            learn(points.numpy(), densities.numpy(), self.cells, self.mean.numpy())
        else:
            learn_with_torch(points, densities, self.cells, self.mean)

    def hear(self, index: Int64[Tensor, "M"], densities: Float[Tensor, "M"]) -> None:
        """Take in the densities of cells; what they had counts half."""
        self.mean[index] = torch.maximum(densities, 0.5 * self.mean[index])

    def update(self, threshold: float, reopened: float, generator: torch.Generator) -> None:
        """Open the cells that have a neighbour of `threshold` density or more, and a share of the others at random."""
        self.updates += 1
        if self.updates < _PRUNE_FROM:
            return
        dense = (self.mean > threshold).view((self.cells,) * 3)
        for axis in range(3):  # axis by axis: two neighbours three times, not 26
            rest = self.cells - 1
            grown = dense.clone()
            grown.narrow(axis, 0, rest).logical_or_(dense.narrow(axis, 1, rest))
            grown.narrow(axis, 1, rest).logical_or_(dense.narrow(axis, 0, rest))
            dense = grown
        dense = dense.view(-1)
        if reopened > 0:
            dense |= torch.rand(dense.shape, generator=generator, device=dense.device) < reopened
        self.open.copy_(dense & self.possible.bool())

    def _range(
        self, origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"], rays: Rays
    ) -> tuple[Float[Tensor, "R"], Float[Tensor, "R"]]:
        """The part of each ray between near and far that lies in the cube."""
        inverse = 1 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
        first, second = -origins * inverse, (1 - origins) * inverse
        near = torch.minimum(first, second).amax(-1)
        far = torch.maximum(first, second).amin(-1)
        return torch.maximum(near, rays.near[:, 0]), torch.minimum(far, rays.far[:, 0])


def learn_with_torch(
    points: Float[Tensor, "N 3"], densities: Float[Tensor, "N"], cells: int, mean: Float[Tensor, "C"]
) -> None:
    """Move `mean` of the cells (cells^3, x fastest) towards the samples' densities; -1 is not looked at.

    As if each of a cell's samples had the density of all of them on average, for samples have no order here.
    """
    seen = densities >= 0
    cell = cell_of(points[seen], cells)
    number = torch.zeros_like(mean).index_add_(0, cell, torch.ones_like(densities[seen], dtype=mean.dtype))
    average = torch.zeros_like(mean).index_add_(0, cell, densities[seen].to(mean.dtype)) / number.clamp_min(1)
    mean.copy_(average + (1 - SHARE) ** number * (mean - average))
