"""A trained grid field as a `Renderer`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.radiance.fields.grid import GridField
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Seen
from anyview.radiance.rendering import SEEN

_POINTS_AT_ONCE = 1 << 18
_SAMPLES_AT_ONCE = 1 << 19  # a sample takes about 400 bytes on the way through the field
_FEW_RAYS = 512  # of which no more than 1024 samples each


class GridRenderer:
    """See `anyview.radiance.renderer.Renderer`.

    Args:
        field: with its weights.
        background: grey level behind everything.
    """

    rays_at_once = 1 << 14

    def __init__(self, field: GridField, background: float = 1.0) -> None:
        self._field, self._background = field, background

    @torch.no_grad()
    def render(self, rays: Rays) -> Seen:
        """See `Renderer.render`. As many rays at a time as have about `_SAMPLES_AT_ONCE` samples."""
        device, done, size = self._field.table.device, 0, _FEW_RAYS
        parts: list[Tensor] = []
        while done < len(rays.origins) or not parts:
            some = Rays(*(values[done : done + size].to(device) for values in rays))
            result, _, packed = self._field(some)
            parts.append(result.float().cpu())
            done += size
            per_ray = max(len(packed.points), 1) / max(len(result), 1)
            size = max(_FEW_RAYS, min(2 * size, int(_SAMPLES_AT_ONCE / per_ray)))
        result = torch.cat(parts)
        rgb, opacity = result[:, :3], result[:, 3]
        depth = torch.where(opacity >= SEEN, result[:, 4] / opacity.clamp_min(SEEN), torch.zeros_like(opacity))
        return Seen(rgb + (1 - opacity)[:, None] * self._background, depth, opacity)

    @torch.no_grad()
    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """See `Renderer.density`."""
        parts = points.to(self._field.table.device).split(_POINTS_AT_ONCE)
        return torch.cat([self._field.density(part).float().cpu() for part in parts])
