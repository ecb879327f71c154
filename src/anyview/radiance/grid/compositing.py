"""Samples of many rays to pixels (NeRF, arXiv 2003.08934, equation 3), colours depending on the
direction by spherical harmonics (PlenOctrees, arXiv 2103.14024).

Letters: R rays, N samples of all rays, K basis functions, C = 1 + 3 K or more columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from anyview.radiance.kernels.limits import LARGEST


class Packed(NamedTuple):
    """Intervals along rays."""

    points: Float[Tensor, "N 3"]  # middles, unit cube
    widths: Float[Tensor, "N"]  # of the cone's Gaussian there
    middles: Float[Tensor, "N"]  # t of the middles
    order: Int64[Tensor, "N"]  # rows of the above, one ray after the other, from near to far
    offsets: Int64[Tensor, "E"]  # where each ray begins in `order`, and the end: E = R + 1
    spans: Float[Tensor, "R"]  # of each of a ray's intervals, in t
    lengths: Float[Tensor, "R"]  # of each of a ray's intervals, scene units; in `blend`, in the density's units

    @property
    def ray(self) -> Int64[Tensor, "N"]:
        """The number of each row's ray."""
        return torch.empty_like(self.order).index_copy_(0, self.order, torch.repeat_interleave(self.offsets.diff()))


def harmonics(directions: Float[Tensor, "R 3"], count: int) -> Float[Tensor, "R K"]:
    """The first `count` (1, 4 or 9) real spherical harmonics of unit directions."""
    x, y, z = directions.unbind(-1)
    functions = [torch.full_like(x, 0.28209479), 0.48860251 * y, 0.48860251 * z, 0.48860251 * x]
    if count > 4:
        functions += [1.09254843 * x * y, 1.09254843 * y * z, 0.31539157 * (3 * z * z - 1)]
        functions += [1.09254843 * x * z, 0.54627422 * (x * x - y * y)]
    return torch.stack(functions[:count], -1)


def blend(
    raw: Float[Tensor, "N C"], basis: Float[Tensor, "R K"], packed: Packed
) -> tuple[Float[Tensor, "R 6"], Float[Tensor, "N"]]:
    """Per ray (red, green, blue, opacity, depth times opacity, distortion), without background; and densities.

    Distortion is mip-NeRF 360's (arXiv 2111.12077, equation 15): how far apart, in t, the light comes from.

    Densities have no gradient, and are -1 behind where a ray is blocked. On processors by compiled kernels.

    Args:
        raw: per sample the logarithm of density, then K coefficients for each of red, green, blue,
            whose sum over the basis goes through a sigmoid; further columns are not used.
        basis: of each ray.
        packed: the samples.
    """
    if raw.device.type == "cpu" and raw.dtype == torch.float32:
        return _Blend.apply(raw, basis, packed.order, packed.offsets, packed.lengths, packed.spans, packed.middles)
    return composite_with_torch(raw, basis, packed)


def composite_with_torch(
    raw: Float[Tensor, "N C"], basis: Float[Tensor, "R K"], packed: Packed
) -> tuple[Float[Tensor, "R 6"], Float[Tensor, "N"]]:
    """The definition; rays are never cut short here, which the kernels do where next to nothing of a ray is left."""
    count = packed.offsets.diff()
    ray = torch.repeat_interleave(torch.arange(len(count), device=raw.device), count)
    raw, middles = raw[packed.order], packed.middles[packed.order]
    density = raw[:, 0].clamp_max(LARGEST).exp()

    def before(values: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
        """Sums over the samples that lie before each one on its ray."""
        total = torch.cat([torch.zeros_like(values[:1], dtype=torch.float64), values.double().cumsum(0)])
        return (total[:-1] - total[packed.offsets[:-1]][ray]).to(values.dtype)

    optical = density * packed.lengths[ray]
    weight = -torch.expm1(-optical) * torch.exp(-before(optical))
    k = basis.shape[1]
    color = torch.sigmoid((raw[:, 1 : 1 + 3 * k].reshape(-1, 3, k) * basis[ray][:, None]).sum(-1))
    moment = weight * middles
    apart = 2 * (middles * before(weight) - before(moment)) + weight * packed.spans[ray] / 3
    ones = torch.ones_like(weight)[:, None]
    parts = weight[:, None] * torch.cat([color, ones, middles[:, None], apart[:, None]], -1)
    result = torch.zeros((len(count), 6), dtype=raw.dtype, device=raw.device).index_add(0, ray, parts)
    return result, torch.empty_like(density).index_copy_(0, packed.order, density).detach()


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, basis: Tensor,
        order: Tensor, offsets: Tensor, lengths: Tensor, spans: Tensor, middles: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        from anyview.radiance.kernels.compositing import blend as kernel

        n, r = len(raw), len(basis)
        result, colors = torch.empty((r, 6)), torch.empty((n, 3))
        weights, densities = torch.empty(n), torch.empty(n)
        given = (raw.detach(), basis, order, offsets, lengths, spans, middles)
        kernel(*(part.numpy() for part in (*given, result, colors, weights, densities)))
        ctx.save_for_backward(*given, result, colors, weights, densities)
        ctx.mark_non_differentiable(densities)
        return result, densities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        from anyview.radiance.kernels.compositing import blend_back

        saved = ctx.saved_tensors
        out = torch.empty_like(saved[0])
        blend_back(*(part.numpy() for part in (*saved, given.contiguous(), out)))
        return out, None, None, None, None, None, None
