"""Rays on their way through a grid field: stretch after stretch, so that what lies behind a surface is never looked at.

A stretch ends where the cells, by what they are known to hold, let next to nothing through. The field then says what
really is there; rays that are not blocked by it go on. No ray is cut short by what is only believed.

Letters: R rays, N samples of all rays, G cells per side, K stretches. Distances are s, even in steps: t itself, but
where space is contracted (see `anyview.radiance.contraction`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from anyview.radiance.contraction import Warp
from anyview.radiance.grid.compositing import Packed
from anyview.radiance.grid.marching import march_with_torch, place_with_torch
from anyview.radiance.kernels.limits import BLOCKED

STRETCHES = (8.0, 24.0, float("inf"))
"""Optical depth of the cells that a stretch goes through; the last stays. With these one sample in fifteen lies behind
a surface, where cells are known well."""
MOST_SAMPLES = 96
"""Of one ray in one stretch: what is believed of cells that hold fog, or little of a surface, stops no ray in time."""


@dataclass
class Walk:
    """Where rays are.

    Attributes:
        origins, directions: in the unit cube's coordinates; where space is contracted, the inner cube is [-1, 1]^3.
        radii: of the cones at t = 1, in the same.
        begins: where each ray goes on.
        far: where it ends.
        warp: between t and s; None where they are the same.
        step: length of an interval.
        lengths: the same in scene units, by ray.
        passed: optical depth that each ray has behind it.
    """

    origins: Float[Tensor, "R 3"]
    directions: Float[Tensor, "R 3"]
    radii: Float[Tensor, "R"]
    begins: Float[Tensor, "R"]
    far: Float[Tensor, "R"]
    warp: Warp | None
    step: float
    lengths: Float[Tensor, "R"]
    passed: Float[Tensor, "R"]

    def ahead(self, cells: UInt8[Tensor, "C"], density: Float[Tensor, "C"], limit: float) -> Packed:
        """Samples of the next stretch, in open cells; rays that are at their end or blocked have none.

        Args:
            cells: which are open, (G^3), x fastest.
            density: that they are believed to have, per s.
            limit: optical depth by it at which the stretch ends.
        """
        compiled = self.origins.device.type == "cpu" and self.origins.dtype == torch.float32
        side = round(len(cells) ** (1 / 3))
        counts, points, widths, middles = (self._compiled if compiled else self._with_torch)(
            cells, density, side, limit, MOST_SAMPLES
        )
        offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
        torch.cumsum(counts, 0, out=offsets[1:])
        order = torch.arange(len(points), device=counts.device)
        return Packed(points, widths, middles, order, offsets, torch.full_like(self.begins, self.step), self.lengths)

    @property
    def ended(self) -> bool:
        """Whether all rays are at their end, or blocked."""
        return not bool((self.begins < self.far).any())

    def meet(self, part: Packed, densities: Float[Tensor, "N"]) -> None:
        """Take in what the samples of a stretch are like, densities per s; blocked rays end."""
        self.passed.index_add_(0, part.ray, densities * self.lengths[part.ray])
        self.begins = torch.where(self.passed > -log(BLOCKED), self.far, self.begins)

    def _compiled(
        self, cells: Tensor, density: Tensor, side: int, limit: float, most: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        from anyview.radiance.kernels import contraction, marching

        kernels, bends = (marching, ()) if self.warp is None else (contraction, tuple(p.numpy() for p in self.warp))
        step, places = np.float32(self.step), (self.origins.numpy(), self.directions.numpy())
        starts, counts = torch.empty((len(self.begins), most)), torch.empty(len(self.begins), dtype=torch.int64)
        kernels.march(
            *places, self.begins.numpy(), self.far.numpy(), *bends, step, cells.numpy(), density.numpy(), side,
            np.float32(limit), starts.numpy(), counts.numpy(),
        )  # fmt: skip
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts.numpy())])
        n = int(offsets[-1])
        points, widths, middles = torch.empty((n, 3)), torch.empty(n), torch.empty(n)
        parts = (starts.numpy(), offsets, points.numpy(), widths.numpy(), middles.numpy())
        kernels.place(*places, self.radii.numpy(), *bends, step, *parts)
        return counts, points, widths, middles

    def _with_torch(
        self, cells: Tensor, density: Tensor, side: int, limit: float, most: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ray, middles, self.begins = march_with_torch(
            self.origins, self.directions, self.begins, self.far, self.warp, self.step, cells, density, side,
            limit, most,
        )  # fmt: skip
        points, widths = place_with_torch(
            self.origins[ray], self.directions[ray], self.radii[ray], None if self.warp is None else self.warp.of(ray),
            self.step, middles,
        )  # fmt: skip
        return torch.bincount(ray, minlength=len(self.begins)), points, widths, middles


def line_up(parts: Sequence[Packed]) -> Packed:
    """The samples of K stretches, each ray's one after the other; rows are in the stretches' order.

    Args:
        parts: one or more, of the same rays.
    """
    if len(parts) == 1:
        return parts[0]
    counts = torch.stack([part.offsets.diff() for part in parts])
    offsets = torch.cat([torch.zeros_like(counts[0, :1]), counts.sum(0).cumsum(0)])
    places = offsets[:-1] + counts.cumsum(0) - counts  # where each stretch of a ray begins in the order
    order = torch.empty(int(offsets[-1]), dtype=torch.int64, device=offsets.device)
    row = 0
    for part, place in zip(parts, places, strict=True):
        rows = torch.arange(len(part.points), device=offsets.device)
        order[rows + (place - part.offsets[:-1])[part.ray]] = rows + row
        row += len(rows)
    points, widths, middles = (torch.cat(values) for values in list(zip(*parts, strict=True))[:3])
    return Packed(points, widths, middles, order, offsets, parts[0].spans, parts[0].lengths)
