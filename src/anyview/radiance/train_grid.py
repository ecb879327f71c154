"""Training of the grid field: rays through pixels that can hold something, a fixed number of samples per step.

Letters: R rays, N samples of all rays.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64
from lightning.fabric import Fabric
from torch import Tensor

from anyview.radiance.fields.grid import GridField, GridOptions
from anyview.radiance.grid.optimizer import TableAdam
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.rays import Rays
from anyview.training.trainee import GeneratorState, Moment, Stateful

_UPDATE_EVERY = 16  # steps between updates of the open cells
_WARMUP = 20  # steps in which the learning rate rises


class Pixels(Protocol):
    """Where batches come from."""

    def batch(
        self, generator: torch.Generator, count: int, among: Int64[Tensor, "P"] | None = None
    ) -> tuple[Rays, Float[Tensor, "R 3"], Float[Tensor, "R 1"] | None]:
        """Rays with straight colours and, where the images have it, alpha."""
        ...


class Counter:
    """A number that is kept with the rest."""

    def __init__(self, value: float) -> None:
        self.value = value

    def state_dict(self) -> dict[str, float]:
        """The number."""
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from it."""
        self.value = float(state["value"])


class GridTrainee:
    """See `anyview.training.trainee.Trainee`.

    Args:
        pixels: what is trained on.
        among: indices of the pixels that rays are drawn from; None is all.
        validation: views to look at: rays and true colours over white.
    """

    name = "grid"
    version = 1

    def __init__(
        self, options: GridOptions, pixels: Pixels, occupancy: Occupancy, seed: int,
        among: Int64[Tensor, "P"] | None = None, background: str = "random",
        validation: list[tuple[Rays, Float[Tensor, "R 3"]]] | None = None,
    ) -> None:  # fmt: skip
        self.options, self.pixels, self.among, self.background = options, pixels, among, background
        self.validation = validation or []
        self.generator = torch.Generator().manual_seed(seed)
        self.field = GridField(options, occupancy, self.generator)
        self.table_optimizer = TableAdam([self.field.table], options.rate)
        self.network_optimizer = torch.optim.Adam(
            [self.field.w1, self.field.w2, self.field.w3], options.rate / 2, (0.9, 0.99), 1e-15
        )
        self.per_ray = Counter(options.steps / 8)
        self.last: dict[str, Tensor] = {}

    def setup(self, fabric: Fabric) -> None:
        """Everything stays on the processor."""

    def state(self) -> Mapping[str, Stateful]:
        """Field, optimisers, random sequence, the running mean of samples per ray."""
        return {
            "field": self.field, "table_optimizer": self.table_optimizer, "network_optimizer": self.network_optimizer,
            "generator": GeneratorState(self.generator), "per_ray": self.per_ray,
        }  # fmt: skip

    def step(self, moment: Moment) -> Mapping[str, Tensor | float]:
        """One batch: mean squared error over a background that is new for each ray, where there is alpha."""
        o, field = self.options, self.field
        count = max(64, int(o.samples / self.per_ray.value) // 64 * 64)
        rays, rgb, alpha = self.pixels.batch(self.generator, count, self.among)
        behind = torch.ones_like(rgb)
        if alpha is not None:
            if self.background == "random":
                behind = torch.rand(rgb.shape, generator=self.generator)
            rgb = alpha * rgb + (1 - alpha) * behind
        self.last = {"origins": rays.origins, "directions": rays.directions, "rgb": rgb}
        packed = field.occupancy.march(rays, field.step, self.generator)
        self.per_ray.value += 0.1 * (len(packed.points) / count - self.per_ray.value)
        rate = o.rate * min(1, (moment.step + 1) / _WARMUP) * o.last_rate**moment.share
        for optimizer, share in ((self.table_optimizer, 1.0), (self.network_optimizer, 0.5)):
            optimizer.param_groups[0]["lr"] = rate * share
            optimizer.zero_grad()
        result, densities = field(rays, packed)
        color = result[:, :3] + (1 - result[:, 3:4]) * behind
        loss = ((color - rgb) ** 2).mean()
        loss.backward()
        self.table_optimizer.step()
        self.network_optimizer.step()
        field.occupancy.learn(packed, densities)
        if (moment.step + 1) % _UPDATE_EVERY == 0:
            field.occupancy.update(o.least_alpha / field.step, o.reopened, self.generator)
        error = float(loss.detach())
        return {"loss": error, "psnr": -10 * log10(max(error, 1e-12)), "items": count, "samples": len(packed.points)}

    @torch.no_grad()
    def validate(self, moment: Moment) -> Mapping[str, float]:
        """Mean PSNR over white of the pixels that are held back, view by view."""
        errors = [float(((self.render(rays) - rgb) ** 2).mean()) for rays, rgb in self.validation]
        if not errors:
            return {}
        return {"psnr": sum(-10 * log10(max(e, 1e-12)) for e in errors) / len(errors)}

    def render(self, rays: Rays) -> Float[Tensor, "R 3"]:
        """Colours over white."""
        result, _ = self.field(rays, self.field.occupancy.march(rays, self.field.step))
        return (result[:, :3] + 1 - result[:, 3:4]).clamp(0, 1)

    def batch(self) -> Mapping[str, Tensor]:
        """Rays and colours of the last step."""
        return self.last
