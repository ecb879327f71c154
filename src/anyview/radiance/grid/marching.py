"""Where rays look at a grid field: the definition of `kernels.marching` and `kernels.contraction`, for any device.

Letters: R rays, N samples of all rays one after the other, G cells per side. Distances are s.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from anyview.radiance.contraction import Warp, contract

_AT_ONCE = 1 << 24  # steps of all rays that are looked at together


def march_with_torch(
    origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"],
    begins: Float[Tensor, "R"], far: Float[Tensor, "R"], warp: Warp | None, step: float,
    cells: UInt8[Tensor, "C"], density: Float[Tensor, "C"], side: int, limit: float, most: int,
) -> tuple[Int64[Tensor, "N"], Float[Tensor, "N"], Float[Tensor, "R"]]:  # fmt: skip
    """Samples' rays and middles, and where each ray can go on.

    Of even steps from `begins` to `far`, those whose middles lie in open cells, until the optical depth of the cells
    passed exceeds `limit` or they are `most`.
    """
    found = []
    steps = 1 + int(torch.ceil((far - begins).clamp_min(0).amax() / step)) if len(begins) else 1
    for part in torch.arange(len(begins), device=begins.device).split(max(1, _AT_ONCE // steps)):
        starts = begins[part, None] + step * torch.arange(steps, dtype=begins.dtype, device=begins.device)
        ray = part.repeat_interleave(steps)
        bends = None if warp is None else warp.of(ray)
        points, _ = _unit(origins[ray], directions[ray], bends, starts.view(-1) + step / 2)
        cell = cell_of(points, side).view(starts.shape)
        there = cells[cell].bool() & (starts < far[part, None])
        optical = torch.where(there, density[cell] * step, torch.zeros_like(starts))
        passed = optical.cumsum(1)
        taken = there & (passed - optical <= limit) & (there.cumsum(1) <= most)
        last = torch.where(taken, starts, -torch.inf).amax(1)
        stops = (passed[:, -1] > limit) | (taken.sum(1) == most)
        ends = torch.where(stops, last + step, far[part])
        ray, column = taken.nonzero(as_tuple=True)
        found.append((part[ray], starts[ray, column] + step / 2, ends))
    if not found:
        return torch.zeros_like(begins, dtype=torch.int64), begins, begins
    ray, middles, ends = (torch.cat(values) for values in zip(*found, strict=True))
    return ray, middles, ends


def cell_of(points: Float[Tensor, "N 3"], side: int) -> Int64[Tensor, "N"]:
    """Numbers of the cells, of side^3 with x fastest, that points of the unit cube lie in; of others, the nearest."""
    x, y, z = (points * side).long().clamp(0, side - 1).unbind(-1)
    return (z * side + y) * side + x


def place_with_torch(
    origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], radii: Float[Tensor, "N"],
    warp: Warp | None, step: float, middles: Float[Tensor, "N"],
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:  # fmt: skip
    """Points of the unit cube at samples' middles, and the width of the cone's Gaussian there.

    The width is the root of the mean of the Gaussian's three variances; where space is contracted, times the cube root
    of the contraction's determinant (Zip-NeRF, arXiv 2304.06706). Everything is given for each sample.
    """
    points, shrink = _unit(origins, directions, warp, middles)
    t = middles if warp is None else warp.distance(middles)
    along = step if warp is None else step * warp.stretch(middles)
    variance = (along**2 * directions.square().sum(-1) / 12 + (radii * t).square() / 2) / 3
    return points.clamp(0, 1), variance.sqrt() * shrink


def _unit(
    origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], warp: Warp | None, s: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"] | float]:
    """Points in the unit cube, and by how much lengths shrink there."""
    if warp is None:
        return origins + directions * s[:, None], 1.0
    bent, scale = contract(origins + directions * warp.distance(s)[:, None])
    return (bent + 2) / 4, scale / 4
