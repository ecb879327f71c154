"""mip-NeRF in training (arXiv 2103.13415, section 4): Adam, its schedule, batches of pixels from all views."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning.fabric import Fabric
from torch import Tensor

from anyview.radiance.field_trainee import FieldTrainee
from anyview.radiance.fields.mip import VERSION, MipNeRF, learning_rate, mip_loss
from anyview.radiance.render_mip import MipRenderer
from anyview.training.trainee import GeneratorState, Moment, Stateful


class MipTrainee(FieldTrainee):
    """See `FieldTrainee` and `anyview.training.trainee.Trainee`."""

    name = "mip"
    version = VERSION
    _auto_is_random = False  # as published

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        mip = self._options.mip
        self._read(fabric.device, mip.validation_pixels, fabric.global_rank)
        # without one, colours come multiplied by opacity, and the background of the moment is added
        model = MipNeRF(mip.model, None if self._random else self._background)
        adam = torch.optim.Adam(model.parameters(), lr=mip.lr_first)
        self._fabric = fabric
        self._model, self._adam = fabric.setup(model.to(fabric.device), adam)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        return {"model": self._model, "adam": self._adam, "generator": GeneratorState(self._generator)}

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`."""
        mip = self._options.mip
        rays, straight, alpha = self._pixels.batch(self._generator, mip.batch)
        rgb, behind = self._mixed(rays, straight, alpha)
        lr = learning_rate(
            moment.step, mip.lr_first, mip.lr_last, delay=mip.delay, start=mip.delay_mult, share=moment.share
        )
        for group in self._adam.param_groups:
            group["lr"] = lr
        levels = self._model(rays, self._generator)
        if isinstance(behind, Tensor):
            levels = tuple(one._replace(rgb=one.rgb + (1 - one.opacity)[:, None] * behind) for one in levels)
        loss = mip_loss(levels, rgb, rays.lossmult, mip.coarse_weight)
        self._adam.zero_grad()
        self._fabric.backward(loss)
        self._adam.step()
        error = (levels[1].rgb.detach() - rgb).square().mean()
        return {"loss": loss.detach(), "psnr": -10 * torch.log10(error), "items": float(len(rgb)), "lr": lr}

    def validate(self, moment: Moment) -> Mapping[str, float]:
        """See `Trainee.validate`."""
        module = self._model.module
        random, module.background = module.background, self._background
        try:
            return self._validation.figures(MipRenderer(module))
        finally:
            module.background = random
