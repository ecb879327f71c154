"""mip-NeRF (Barron et al. 2021, arXiv 2103.13415), to the letter: one network, asked twice along every ray.

Letters: B rays, S intervals per ray, F = S + 1 fence posts.
"""

from __future__ import annotations

from math import exp, log, pi, sin

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from anyview.radiance.cones import Gaussians, interval_gaussians
from anyview.radiance.encoding import integrated_encoding, positional_encoding
from anyview.radiance.fields import mip_fast
from anyview.radiance.fields.mip_mlp import MipMLP
from anyview.radiance.options import MipOptions
from anyview.radiance.rays import Rays
from anyview.radiance.rendering import Rendered, composite
from anyview.radiance.sampling import blurred, even_posts, resample

VERSION = 1
"""Of the model; checkpoints of another are refused."""

_LONGEST_RISE = 0.05  # of the learning rate, as a share of the training


class MipNeRF(nn.Module):
    """`MipNeRF()` is the paper's model: 612,740 parameters.

    Calling it renders rays at both levels, coarse and fine, through the same network.

    Args:
        options: the paper's by default.
        background: grey level behind everything, 1 is white; None leaves colours multiplied by opacity.
    """

    def __init__(self, options: MipOptions | None = None, background: float | None = 1.0) -> None:
        super().__init__()
        self.options = MipOptions() if options is None else options
        self.background = background
        self.mlp = MipMLP(self.options)

    def forward(self, rays: Rays, generator: torch.Generator | None = None) -> tuple[Rendered, Rendered]:
        """What the rays see, coarse and fine.

        Args:
            rays: in the world.
            generator: of the random places along the rays, as in training; None spreads them evenly.
        """
        o = self.options
        directions = positional_encoding(rays.viewdirs, 0, o.view_degrees)
        t = even_posts(rays.near, rays.far, o.intervals, generator)
        coarse = self.render(rays, t, directions, generator)
        t = resample(t, blurred(coarse.weights.detach(), o.resample_padding), o.intervals + 1, generator)
        return coarse, self.render(rays, t, directions, generator)

    def render(
        self,
        rays: Rays,
        t: Float[Tensor, "B F"],
        directions: Float[Tensor, "B V"],
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """One level.

        Args:
            rays: in the world.
            t: fence posts.
            directions: encoded unit directions.
            generator: of the noise on density.
        """
        o = self.options
        gaussians = interval_gaussians(t, rays.origins, rays.directions, rays.radii, o.ray_shape)
        variance = torch.zeros_like(gaussians.variance) if o.disable_integration else gaussians.variance
        if mip_fast.runs_here(self.mlp, gaussians.mean):
            density, rgb = mip_fast.field(self.mlp, Gaussians(gaussians.mean, variance), directions)
        else:
            density, rgb = self.mlp(integrated_encoding(gaussians.mean, variance, 0, o.degrees), directions)
            density, rgb = density.float(), rgb.float()
        if generator is not None and o.density_noise > 0:
            noise = torch.randn(density.shape, generator=generator, device=density.device)
            density = density + o.density_noise * noise
        density = softplus(density + o.density_bias)
        rgb = torch.sigmoid(rgb) * (1 + 2 * o.rgb_padding) - o.rgb_padding
        return composite(rgb, density, t, rays.directions, self.background)


def mip_loss(
    rendered: tuple[Rendered, Rendered],
    rgb: Float[Tensor, "B 3"],
    lossmult: Float[Tensor, "B 1"],
    coarse: float = 0.1,
    total: Float[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """Squared error, weighted per pixel: `coarse` of the coarse level's plus the fine one's (section 3.3).

    The mean over the channels too, a third of the authors' code's sum: Adam's steps do not see a factor.

    Args:
        rendered: both levels.
        rgb: true colours.
        lossmult: weights of the pixels.
        coarse: weight of the coarse level.
        total: sum of the weights of a whole batch of which these pixels are a part; the parts' losses add up.
    """
    total = (lossmult.sum() if total is None else total).clamp_min(1e-12)  # pixels that are blank weigh nothing
    low, fine = ((lossmult * (level.rgb - rgb) ** 2).sum() / (3 * total) for level in rendered)
    return coarse * low + fine


def learning_rate(
    step: int,
    first: float = 5e-4,
    last: float = 5e-6,
    steps: int = 1_000_000,
    delay: int = 2500,
    start: float = 0.01,
    share: float | None = None,
) -> float:
    """Falls log-linearly from `first` to `last`; over the first `delay` steps it rises from `start` times that.

    A training that is shorter than the paper's million steps rises over its first twentieth, if that is less.

    Args:
        step: steps done.
        first, last: of the fall.
        steps: of the whole training.
        delay, start: of the rise.
        share: how much of the training is behind, 0 to 1; by default step / steps.

    Source: the paper's section 4 and Google's release.
    """
    share = min(max(step / steps if share is None else share, 0), 1)
    risen = max(step / delay, share / _LONGEST_RISE) if delay > 0 else 1.0
    rise = start + (1 - start) * sin(0.5 * pi * min(max(risen, 0), 1))
    return rise * exp((1 - share) * log(first) + share * log(last))
