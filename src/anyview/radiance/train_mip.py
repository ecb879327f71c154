"""mip-NeRF in training (arXiv 2103.13415, section 4): Adam, its schedule, batches of pixels from all views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from torch import Tensor

from anyview.radiance.field_trainee import FieldTrainee, Scalars
from anyview.radiance.fields.mip import VERSION, MipNeRF, learning_rate, mip_loss
from anyview.radiance.options import MipOptions
from anyview.radiance.rays import Rays
from anyview.radiance.render_mip import MipRenderer
from anyview.training.trainee import GeneratorState, Moment, Stateful

_FEATURE_BYTES = 2 << 30  # of a step's features, both levels, until the backward pass; gradients of such parts add up


def _rays_at_once(model: MipOptions) -> int:
    """Rays whose features a processor's memory is asked to hold."""
    per_sample = model.depth * model.width + model.head_width + 12 * model.degrees
    return max(_FEATURE_BYTES // (2 * model.intervals * per_sample * 4), 1)


class MipTrainee(FieldTrainee):
    """See `FieldTrainee` and `anyview.training.trainee.Trainee`."""

    name = "mip"
    version = VERSION
    _picture_width = 64  # a picture of these takes one core about half a minute
    _auto_is_random = False  # as published

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        mip = self._options.mip
        self._read(fabric.device, mip.validation_pixels)
        # without one, colours come multiplied by opacity, and the background of the moment is added
        model = MipNeRF(mip.model, None if self._random else self._background)
        adam = torch.optim.Adam(model.parameters(), lr=mip.lr_first)
        self._fabric = fabric
        self._most = _rays_at_once(mip.model) if fabric.device.type == "cpu" else mip.batch
        self._model, self._adam = fabric.setup(model.to(fabric.device), adam)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        return {
            "model": self._model, "adam": self._adam, "generator": GeneratorState(self._generator),
            "parts": self._parts,
        }  # fmt: skip

    def _learn(self, moment: Moment) -> Scalars:
        """See `FieldTrainee._learn`."""
        rays, straight, alpha = self._pixels.batch(self._generator, self._options.mip.batch)
        rgb, behind = self._mixed(rays, straight, alpha)
        self._adam.zero_grad()
        size = min(-(-len(rgb) // self._parts.count), self._most)
        parts = [slice(start, start + size) for start in range(0, len(rgb), size)]
        found = torch.stack([self._learn_some(rays, rgb, behind, rows) for rows in parts]).sum(0)
        return lambda: self._change(moment, found, rays.lossmult.sum(), len(rgb))

    def _change(
        self, moment: Moment, found: Float[Tensor, "2"], weight: Float[Tensor, ""], count: int
    ) -> dict[str, Tensor | float]:
        """Take the step; the loss is that of all processes' rays."""
        mip = self._options.mip
        found = self._group.average(self._model.parameters(), found, weight)
        lr = learning_rate(
            moment.step, mip.lr_first, mip.lr_last, delay=mip.delay, start=mip.delay_mult, share=moment.share
        )
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        psnr = -10 * torch.log10(found[1] / count)
        return {"loss": found[0], "psnr": psnr, "items": float(count * self._group.size), "lr": lr}

    def _learn_some(
        self, rays: Rays, rgb: Float[Tensor, "B 3"], behind: Tensor | float, rows: slice
    ) -> Float[Tensor, "2"]:
        """Add the gradients of some of the batch's rays; their part of the loss, and the sum of their errors."""
        some, truth = Rays(*(values[rows] for values in rays)), rgb[rows]
        levels = self._model(some, self._generator)
        if isinstance(behind, Tensor):
            levels = tuple(one._replace(rgb=one.rgb + (1 - one.opacity)[:, None] * behind[rows]) for one in levels)
        loss = mip_loss(levels, truth, some.lossmult, self._options.mip.coarse_weight, rays.lossmult.sum())
        self._fabric.backward(loss)
        error = (levels[1].rgb.detach() - truth).square().mean() * len(truth)
        return torch.stack([loss.detach(), error.float()])

    @contextmanager
    def _renderer(self) -> Iterator[MipRenderer]:
        module = self._model.module
        random, module.background = module.background, self._background
        try:
            yield MipRenderer(module, precision=self._options.loop.precision)
        finally:
            module.background = random
