"""Multi-resolution hash grid (Müller et al. 2022, arXiv 2201.05989, section 3), faded for wide samples as Zip-NeRF does
(arXiv 2304.06706, section 3.1): features at points and widths.

Letters: N samples, L levels, T entries of all levels, 2 features per entry. Points lie in the unit cube; a width is the
standard deviation of the sample's Gaussian in its units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

_PRIMES = (1, 2654435761, 805459861)


def make_levels(count: int, coarsest: int, finest: int, log2_entries: int) -> Int64[Tensor, "L 4"]:
    """Levels whose cells shrink by a constant factor.

    A row is: cells per side, first entry in the table, 1 where each corner has an entry of its own (there are
    enough) and 0 where corners share entries by hashing, number of entries - 1 as a mask.

    Args:
        count: levels, 1 or more.
        coarsest, finest: cells per side of the first and the last.
        log2_entries: logarithm of the most entries that a level may have.
    """
    rows, first, most = [], 0, 1 << log2_entries
    for k in range(count):
        cells = round(coarsest * (finest / coarsest) ** (k / max(count - 1, 1)))
        own = (cells + 1) ** 3 <= most
        rows.append((cells, first, int(own), most - 1))
        first += (cells + 1) ** 3 if own else most
    return torch.tensor(rows, dtype=torch.int64)


def table_size(levels: Int64[Tensor, "L 4"]) -> int:
    """Entries of all levels."""
    cells, first, own, mask = levels[-1].tolist()
    return first + ((cells + 1) ** 3 if own else mask + 1)


def encode(
    points: Float[Tensor, "N 3"], widths: Float[Tensor, "N"], table: Float[Tensor, "T 2"], levels: Int64[Tensor, "L 4"]
) -> Float[Tensor, "N C"]:
    """Features of all levels, C = 2 L; only the table gets a gradient.

    Where the table has a `grad` already, its gradient is added to that in place: a table is large, and a step reads it
    several times. On processors compiled kernels do what `encode_with_torch` says.
    """
    compiled = table.device.type == "cpu" and table.dtype == torch.float32
    function = _Encode if compiled else _EncodeOnDevice
    return function.apply(points, widths, table, levels, table.grad)


def encode_with_torch(
    points: Float[Tensor, "N 3"], widths: Float[Tensor, "N"], table: Float[Tensor, "T 2"], levels: Int64[Tensor, "L 4"]
) -> Float[Tensor, "N C"]:
    """The definition: eight corners around each point, weighted trilinearly, times the level's fading."""
    features = []
    for level in levels.tolist():
        total = torch.zeros((len(points), 2), dtype=table.dtype, device=table.device)
        for index, weight in _corners(points, widths, level):
            total = total + weight[:, None] * table[index]
        features.append(total)
    return torch.cat(features, -1)


def _corners(
    points: Float[Tensor, "N 3"], widths: Float[Tensor, "N"], level: list[int]
) -> Iterator[tuple[Int64[Tensor, "N"], Float[Tensor, "N"]]]:
    """Entry and weight of each of the eight corners, the level's fading in the weights.

    A level of n cells fades by (1 + (sqrt(2 pi) n s)^4)^(-1/4) for a width s: Zip-NeRF's erf(1 / sqrt(8 n^2 s^2)) has
    the same limits and is nowhere more than 0.053 away.
    """
    cells, first, own, mask = level
    place = points * cells
    corner = place.long().clamp_max(cells - 1)
    share = place - corner
    fade = (1 + (2.5066283 * widths * cells) ** 4) ** -0.25
    for k in range(8):
        at, weight = [], fade
        for axis in range(3):
            up = k >> axis & 1
            at.append(corner[:, axis] + up)
            weight = weight * (share[:, axis] if up else 1 - share[:, axis])
        x, y, z = at
        if own:
            index = x + (cells + 1) * (y + (cells + 1) * z)
        else:
            index = (x * _PRIMES[0] ^ y * _PRIMES[1] ^ z * _PRIMES[2]) & mask
        yield first + index, weight


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, points: Tensor, widths: Tensor, table: Tensor, levels: Tensor, sums: Tensor | None
    ) -> Tensor:  # fmt: skip
        from anyview.radiance.kernels.hash_grid import read_grid

        out = torch.empty((len(points), 2 * len(levels)), dtype=torch.float32)
        read_grid(points.numpy(), widths.numpy(), table.detach().numpy(), levels.numpy(), out.numpy())
        ctx.save_for_backward(points, widths, levels)
        ctx.entries, ctx.sums = len(table), sums
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        from anyview.radiance.kernels.hash_grid import add_to_grid

        points, widths, levels = ctx.saved_tensors
        grad = torch.zeros((ctx.entries, 2)) if ctx.sums is None else ctx.sums
        add_to_grid(points.numpy(), widths.numpy(), grad.numpy(), levels.numpy(), given.contiguous().numpy())
        return None, None, grad if ctx.sums is None else None, None, None


class _EncodeOnDevice(torch.autograd.Function):
    """The definition with a gradient that is added up in place: nothing is sorted, nothing kept for it."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, widths: Tensor, table: Tensor, levels: Tensor, sums: Tensor | None
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(points, widths, levels)
        ctx.entries, ctx.sums = len(table), sums
        return encode_with_torch(points, widths, table, levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        points, widths, levels = ctx.saved_tensors
        new = ctx.sums is None
        grad = torch.zeros((ctx.entries, 2), dtype=given.dtype, device=given.device) if new else ctx.sums
        for k, level in enumerate(levels.tolist()):
            for index, weight in _corners(points, widths, level):
                grad.index_add_(0, index, weight[:, None] * given[:, 2 * k : 2 * k + 2])
        return None, None, grad if ctx.sums is None else None, None, None
