"""The grid field in training: rays through pixels that can hold something, a fixed number of samples per step.

Letters: R rays, N samples of all rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning.fabric import Fabric
from torch import Tensor

from anyview.radiance.bounds import GridBounds, grid_bounds
from anyview.radiance.exposure import Exposure
from anyview.radiance.field_trainee import FieldTrainee, Scalars
from anyview.radiance.fields.grid import VERSION, GridField
from anyview.radiance.grid.optimizer import TableAdam
from anyview.radiance.occupancy import Occupancy
from anyview.radiance.pixel_runs import PixelRuns
from anyview.radiance.render_grid import GridRenderer
from anyview.radiance.sight import tell_beside
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
        """See `Trainee.setup`."""
        o, data = self._options.grid, self._options.data
        device = fabric.device
        self._read(device, o.validation_pixels)
        geometry = None if self._options.geometry is None else Path(self._options.geometry)
        bounds = grid_bounds(self._views, data, o.cells, geometry, o.contraction, self._pixels.alpha_of)
        if not bounds.contracted:  # which has no end
            box = np.stack([bounds.low, bounds.low + bounds.side])
            tell_beside(self._views.train, box, self._progress.note)
        self._among = self._candidates(bounds)
        inner = bounds.side / 2 if bounds.contracted else bounds.side
        occupancy = Occupancy(bounds.low, bounds.side, bounds.possible, 2.3 / inner, bounds.contracted)
        begin = torch.Generator().manual_seed(self._options.loop.seed)  # the same weights in all processes
        if device.type == "cpu" and self._group.is_first:
            begin = self._generator  # which goes on behind them
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

    def _learn(self, moment: Moment) -> Scalars:
        """See `FieldTrainee._learn`: the mean squared error of as many rays as have the wanted number of samples."""
        o, field = self._options.grid, self._field
        count = self._ray_count()
        index = self._draw(count)
        rays, straight, alpha = self._pixels.at(index)
        rgb, behind = self._mixed(rays, straight, alpha)
        field.steps = o.first_steps * (o.steps / o.first_steps) ** min(moment.share, moment.step / _FINE_FROM)
        result, densities, packed = field(rays, self._generator)
        colors = result[:, :3]
        if self._exposure is not None:
            colors = colors * self._exposure(self._pixels.views_of(index))
        error = (colors + (1 - result[:, 3:4]) * behind - rgb).square()
        weight = rays.lossmult.sum()
        loss = (rays.lossmult * error).sum() / (3 * weight.clamp_min(1e-12))
        if o.distortion > 0:
            # in all of space it has to wait: at first, all is fog, which it would gather right before the cameras
            share = o.distortion * (moment.share**2 if field.occupancy.contracted else 1.0)
            loss = loss + share * result[:, 5].mean() / float(field.occupancy.inner)
        for adam in self._adams[1:]:  # the table's gradient is zero already
            adam.zero_grad()
        loss.backward()
        found = torch.stack([loss.detach(), error.detach().mean()])
        return lambda: self._change(moment, found, weight, packed.points, densities, count * self._group.size)

    def _change(
        self, moment: Moment, found: Float[Tensor, "2"], weight: Float[Tensor, ""], points: Float[Tensor, "N 3"],
        densities: Float[Tensor, "N"], count: int,
    ) -> dict[str, Tensor | float]:  # fmt: skip
        """Take the step, and note how dense it is at samples; loss and `count` are of all processes' rays."""
        o, occupancy = self._options.grid, self._field.occupancy
        found = self._group.average((p for adam in self._adams for p in adam.param_groups[0]["params"]), found, weight)
        points, densities = self._group.joined(points, densities)
        self._per_ray.add(len(points) / count)
        self._set_rates(moment)
        for adam in self._adams:
            adam.step()
        occupancy.learn(points, densities)
        if (moment.step + 1) % _UPDATE_EVERY == 0:
            generator = self._common(moment)
            if occupancy.contracted:
                self._field.ask(generator)
            occupancy.update(o.least_alpha / self._field.step, o.reopened, generator)
        psnr = -10 * torch.log10(found[1].clamp_min(1e-12))
        return {"loss": found[0], "psnr": psnr, "items": float(count), "samples": float(len(points))}

    def _ray_count(self) -> int:
        """Rays of a step: those that are expected to have the wanted number of samples; in all processes as many."""
        o = self._options.grid
        samples = o.samples / self._parts.count  # of the parts only one: the network needs no large batches
        return min(max(64, int(samples / self._per_ray.value) // 16 * 16), o.samples)  # also where all is empty

    def _common(self, moment: Moment) -> torch.Generator:
        """Draws the same in all processes."""
        if self._group.size == 1:
            return self._generator
        seeds = np.random.SeedSequence([self._options.loop.seed, moment.step])
        return torch.Generator(self._pixels.device).manual_seed(int(seeds.generate_state(1)[0]))

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
