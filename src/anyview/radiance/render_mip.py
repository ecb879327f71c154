"""A trained mip-NeRF as a `Renderer`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from anyview.radiance.encoding import integrated_encoding, positional_encoding
from anyview.radiance.fields.mip import MipNeRF
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Seen
from anyview.training.precision import autocast

_FEATURES_AT_ONCE = 1 << 25  # values of one layer: 128 MiB, of which a handful live at the same time


class MipRenderer:
    """See `anyview.radiance.renderer.Renderer`.

    Args:
        model: with its weights, on its device.
        spread: standard deviation of the Gaussian that stands for a point, scene units: what a pixel covers. The
            network has never been asked about anything smaller.
        precision: that it was trained in, as `LoopOptions` has it.
    """

    def __init__(self, model: MipNeRF, spread: float = 0.0, precision: str = "32-true") -> None:
        self._model, self._spread, self._precision = model, spread, precision
        o = model.options
        self.rays_at_once = max(_FEATURES_AT_ONCE // (o.intervals * (o.width + 6 * o.degrees)), 1)

    @torch.no_grad()
    def render(self, rays: Rays) -> Seen:
        """See `Renderer.render`: the fine level."""
        with autocast(self._precision, self._device):
            _, fine = self._model(Rays(*(values.to(self._device) for values in rays)))
        return Seen(fine.rgb.float().cpu(), fine.depth.float().cpu(), fine.opacity.float().cpu())

    @torch.no_grad()
    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """See `Renderer.density`."""
        o = self._model.options
        places = points.to(self._device, torch.float32)[:, None]
        variance = torch.full_like(places, 0.0 if o.disable_integration else self._spread**2)
        any_direction = positional_encoding(torch.zeros_like(places[:, 0]), 0, o.view_degrees)
        raw, _ = self._model.mlp(integrated_encoding(places, variance, 0, o.degrees), any_direction)
        return softplus(raw[:, 0].float() + o.density_bias).cpu()

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device
