"""The grid field in training: rays through pixels that can hold something, a fixed number of samples per step.

Letters: R rays, N samples of all rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from lightning.fabric import Fabric
from torch import Tensor

from anyview.radiance.bounds import GridBounds, grid_bounds
from anyview.radiance.exposure import Exposure
from anyview.radiance.field_trainee import FieldTrainee
from anyview.radiance.fields.grid import VERSION, GridField
from anyview.radiance.grid.optimizer import TableAdam
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.pixel_runs import PixelRuns
from anyview.radiance.render_grid import GridRenderer
from anyview.training.trainee import GeneratorState, Moment, Stateful

_UPDATE_EVERY = 16  # steps between looks at all cells
_WARMUP = 20  # steps in which the learning rate rises
_FINE_FROM = 6000  # steps of training before which samples are not as close as they can be
_NETWORK_RATE = 0.5  # of the table's
_EXPOSURE_RATE = 0.01


class RunningMean:
    """A mean that forgets, kept with the rest of a run's state."""

    def __init__(self, value: float) -> None:
        self.value = value

    def add(self, value: float) -> None:
        """A tenth of the new."""
        self.value += 0.1 * (value - self.value)

    def state_dict(self) -> dict[str, float]:
        """The mean."""
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from it."""
        self.value = float(state["value"])


class GridTrainee(FieldTrainee):
    """See `FieldTrainee` and `anyview.training.trainee.Trainee`."""

    name = "grid"
    version = VERSION
    _picture_width = 200
    _auto_is_random = True  # so that what is transparent is learnt

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`. One device only."""
        o, data = self._options.grid, self._options.data
        device = fabric.device
        self._read(device, o.validation_pixels)
        geometry = None if self._options.geometry is None else Path(self._options.geometry)
        bounds = grid_bounds(self._views, data, o.cells, geometry, o.contraction)
        self._among = self._candidates(bounds)
        inner = bounds.side / 2 if bounds.contracted else bounds.side
        occupancy = Occupancy(bounds.low, bounds.side, bounds.possible, 2.3 / inner, bounds.contracted)
        begin = self._generator if device.type == "cpu" else torch.Generator().manual_seed(self._options.loop.seed)
        self._field = GridField(o, occupancy, begin).to(device)
        network = [self._field.w1, self._field.w2, self._field.w3]
        self._field.table.grad = torch.zeros_like(self._field.table)  # gradients are added to it in place
        self._table_adam = TableAdam([self._field.table], o.rate)
        self._network_adam = torch.optim.Adam(network, o.rate, (0.9, 0.99), 1e-15)
        self._adams: list[torch.optim.Optimizer] = [self._table_adam, self._network_adam]
        self._exposure = Exposure(len(self._views.train)).to(device) if o.exposure else None
        if self._exposure is not None:
            self._adams.append(torch.optim.Adam(self._exposure.parameters(), _EXPOSURE_RATE))
        self._per_ray = RunningMean(o.first_steps / 8)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        more: dict[str, Stateful] = {}
        if self._exposure is not None:
            more = {"exposure": self._exposure, "exposure_adam": self._adams[-1]}
        return more | {
            "field": self._field, "table_adam": self._table_adam, "network_adam": self._network_adam,
            "generator": GeneratorState(self._generator), "per_ray": self._per_ray, "parts": self._parts,
        }  # fmt: skip

    def _step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`: the mean squared error of as many rays as have the wanted number of samples."""
        o, field = self._options.grid, self._field
        samples = o.samples / self._parts.count  # of the parts only one: the network needs no large batches
        count = min(max(64, int(samples / self._per_ray.value) // 64 * 64), o.samples)  # also where all is empty
        index = self._draw(count)
        rays, straight, alpha = self._pixels.at(index)
        rgb, behind = self._mixed(rays, straight, alpha)
        field.steps = o.first_steps * (o.steps / o.first_steps) ** min(moment.share, moment.step / _FINE_FROM)
        result, densities, packed = field(rays, self._generator)
        self._per_ray.add(len(packed.points) / count)
        self._set_rates(moment)
        colors = result[:, :3]
        if self._exposure is not None:
            colors = colors * self._exposure(self._pixels.views_of(index))
        error = (colors + (1 - result[:, 3:4]) * behind - rgb).square()
        loss = (rays.lossmult * error).sum() / (3 * rays.lossmult.sum().clamp_min(1e-12))
        if o.distortion > 0:
            # in all of space it has to wait: at first, all is fog, which it would gather right before the cameras
            weight = o.distortion * (moment.share**2 if field.occupancy.contracted else 1.0)
            loss = loss + weight * result[:, 5].mean() / float(field.occupancy.inner)
        for adam in self._adams[1:]:  # the table's gradient is zero already
            adam.zero_grad()
        loss.backward()
        for adam in self._adams:
            adam.step()
        field.occupancy.learn(packed, densities)
        if (moment.step + 1) % _UPDATE_EVERY == 0:
            if field.occupancy.contracted:
                field.ask(self._generator)
            field.occupancy.update(o.least_alpha / field.step, o.reopened, self._generator)
        psnr = -10 * torch.log10(error.detach().mean().clamp_min(1e-12))
        return {"loss": loss.detach(), "psnr": psnr, "items": float(count), "samples": float(len(packed.points))}

    def _give_up(self) -> None:
        if self._field.table.grad is not None:
            self._field.table.grad.zero_()

    @contextmanager
    def _renderer(self) -> Iterator[GridRenderer]:
        steps, self._field.steps = self._field.steps, self._options.grid.steps
        try:
            yield GridRenderer(self._field, self._background)
        finally:
            self._field.steps = steps

    def _draw(self, count: int) -> Int[Tensor, "B"]:
        """Rows of pixels."""
        most = self._pixels.count if self._among is None else self._among.count
        drawn = torch.randint(most, (count,), generator=self._generator, device=self._pixels.device)
        return drawn if self._among is None else self._among.at(drawn)

    def _set_rates(self, moment: Moment) -> None:
        o = self._options.grid
        rate = o.rate * min(1.0, (moment.step + 1) / _WARMUP) * o.last_rate ** max(0.0, 2 * moment.share - 1)
        self._table_adam.param_groups[0]["lr"] = rate
        self._network_adam.param_groups[0]["lr"] = _NETWORK_RATE * rate
        if self._exposure is not None:
            self._adams[-1].param_groups[0]["lr"] = _EXPOSURE_RATE * rate / o.rate

    def _candidates(self, bounds: GridBounds) -> PixelRuns | None:
        """Rows of pixels whose rays can meet something: with a hull, those around the object; None is all."""
        if not bounds.is_hull:
            return None
        radius = bounds.side / len(bounds.possible)
        reach = max(radius * v.camera.fx / max(float(v.near or 0), radius) for v in self._views.train)
        return self._pixels.near_the_object(max(1, round(reach / self._options.data.downscale)))
