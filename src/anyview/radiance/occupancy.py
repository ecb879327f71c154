"""Where a scene can be opaque: a coarse grid over its box that rays are marched through.

What the samples of training say about their cells is remembered; cells that turn out empty are passed over, and some of
them are looked at again from time to time. Source: Müller et al. 2022 (arXiv 2201.05989), appendix C; here the field is
never asked for this alone.

Letters: G cells per side, R rays, N samples.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

from anyview.radiance.contraction import Warp, contract, make_warp
from anyview.radiance.grid.compositing import Packed
from anyview.radiance.rays import Rays

MOST_SAMPLES = 1024
"""Of one ray."""
# Optical depth of cells, at their least, behind which nothing is seen. With 10, what lies behind the edge of something
# was cut off: 1.2 dB on lego_half; with 40 0.1 dB, and still two fifths of the samples are spared.
_LIMIT = 40.0
_PRUNE_FROM = 16  # updates before which no cell is closed


def unknown_occupancy(cells: int) -> Occupancy:
    """A unit cube whose cells are all open, for a state to be loaded into."""
    return Occupancy(np.zeros(3), 1.0, np.ones((cells,) * 3, np.uint8), 0.0)


class Occupancy(nn.Module):
    """A cube in the world, its cells, and which of them are open.

    Attributes:
        low, size: corner and side of the cube, world.
        possible: cells that can hold anything at all, (G^3) uint8: the visual hull, or all.
        mean, least: density that the cells have on average and at least, per scene unit, (G^3).
        open: cells that rays look at, (G^3) uint8.
        contracted: whether the cube holds all of space, of which its inner half (per side) is not bent; then densities
            are per s (see `anyview.radiance.contraction`).
    """

    low: Tensor
    size: Tensor
    contracted: Tensor
    possible: Tensor
    mean: Tensor
    least: Tensor
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
        self.register_buffer("least", torch.zeros(flat.numel()))
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
            return unit.float(), torch.full_like(points[:, 0], 1 / float(self.size))
        bent, scale = contract(4 * unit - 2)
        return ((bent + 2) / 4).float(), (scale / self.size).float()

    def centered(self, rays: Rays) -> tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]]:
        """Origins and directions such that the inner cube is [-1, 1]^3."""
        half = self.inner / 2
        return ((rays.origins.double() - self.low - self.size / 2) / half).float(), (rays.directions / half).float()

    def warp(self, rays: Rays) -> Warp | None:
        """Between t and s along rays; None where they are the same."""
        return make_warp(*self.centered(rays), rays.near[:, 0]) if self.contracted else None

    def march(self, rays: Rays, step: float, generator: torch.Generator | None = None) -> Packed:
        """Samples at even steps in the open cells, of each ray until it is blocked.

        Where space is contracted steps are even in s, `spans` and `middles` are in s, and `rays.far` is not looked at.

        Args:
            rays: world.
            step: length of an interval, scene units along the direction at the image's centre (in t, or s).
            generator: moves each ray's first sample at random within a step; None leaves it half a step behind near.
        """
        from anyview.radiance.kernels import contraction, marching

        warp = self.warp(rays)
        kernels: ModuleType = marching if warp is None else contraction
        bends: tuple[np.ndarray, ...] = () if warp is None else tuple(part.numpy() for part in warp)
        if warp is None:
            side = float(self.size)
            origins = ((rays.origins.double() - self.low) / self.size).float()
            directions = (rays.directions.double() / self.size).float()
            near, far = self._range(origins, directions, rays)
        else:
            side = float(self.inner / 2)
            (origins, directions), near, far = self.centered(rays), warp.place(rays.near[:, 0]), warp.end
        shift = 0.5 if generator is None else torch.rand(near.shape, generator=generator)
        near = near + (shift - 1) * step
        most = min(MOST_SAMPLES, int(np.ceil(float((far - near).clamp_min(0).max()) / step)) + 1) if len(near) else 1
        starts, counts = torch.empty((len(near), most)), torch.empty(len(near), dtype=torch.int64)
        given = (t.numpy() for t in (origins, directions, near, far))
        kernels.march(
            *given, *bends, np.float32(step), self.open.numpy(), self.least.numpy(), self.cells, np.float32(_LIMIT),
            starts.numpy(), counts.numpy(),
        )  # fmt: skip
        offsets = torch.zeros(len(counts) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=offsets[1:])
        n = int(offsets[-1])
        points, widths, middles = torch.empty((n, 3)), torch.empty(n), torch.empty(n)
        radii = (rays.radii[:, 0] / side).contiguous()
        parts = (t.numpy() for t in (starts, offsets, points, widths, middles))
        kernels.place(origins.numpy(), directions.numpy(), radii.numpy(), *bends, np.float32(step), *parts)
        spans = torch.full_like(near, step)
        return Packed(points, widths, middles, offsets, spans, step * torch.linalg.norm(rays.directions, dim=-1))

    def learn(self, packed: Packed, densities: Float[Tensor, "N"]) -> None:
        """Take in the samples' densities, per scene unit (or s); -1 is not looked at."""
        from anyview.radiance.kernels.occupancy import learn

        learn(packed.points.numpy(), densities.numpy(), self.cells, self.mean.numpy(), self.least.numpy())

    def hear(self, index: Int64[Tensor, "M"], densities: Float[Tensor, "M"]) -> None:
        """Take in the densities of cells; what they had counts half."""
        self.mean[index] = torch.maximum(densities, 0.5 * self.mean[index])

    def update(self, threshold: float, reopened: float, generator: torch.Generator) -> None:
        """Open the cells that have a neighbour of `threshold` density or more, and a share of the others at random."""
        self.updates += 1
        if self.updates < _PRUNE_FROM:
            return
        g = self.cells
        near = max_pool3d(self.mean.view(1, 1, g, g, g), 3, 1, 1).view(-1)
        again = torch.rand(near.shape, generator=generator) < reopened
        self.open.copy_(((near > threshold) | again) & self.possible.bool())

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        state.setdefault(prefix + "contracted", torch.tensor(False))  # checkpoints from before there was contraction
        super()._load_from_state_dict(state, prefix, *rest)

    def _range(
        self, origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"], rays: Rays
    ) -> tuple[Float[Tensor, "R"], Float[Tensor, "R"]]:
        """The part of each ray between near and far that lies in the cube."""
        inverse = 1 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
        first, second = -origins * inverse, (1 - origins) * inverse
        near = torch.minimum(first, second).amax(-1)
        far = torch.maximum(first, second).amin(-1)
        return torch.maximum(near, rays.near[:, 0]), torch.minimum(far, rays.far[:, 0])
