"""mip-NeRF in training (arXiv 2103.13415, section 4): Adam, its schedule, batches of pixels from all views."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor

from anyview.progress import SILENT, Progress
from anyview.radiance.data import TrainingPixels, over
from anyview.radiance.fields.mip import VERSION, MipNeRF, learning_rate, mip_loss
from anyview.radiance.options import RadianceOptions
from anyview.radiance.pictures import BACKGROUNDS
from anyview.radiance.render_mip import MipRenderer
from anyview.radiance.validation import ValidationPixels
from anyview.radiance.views import FieldViews
from anyview.training.trainee import GeneratorState, Moment, Stateful


class MipTrainee:
    """See `anyview.training.trainee.Trainee`.

    Args:
        options: of the field `mip`, and of the data.
        views: to learn from and to validate on.
        folder: the run's, for pixels that do not fit the memory.
        progress: told of images that are read.
    """

    name = "mip"
    version = VERSION

    def __init__(
        self, options: RadianceOptions, views: FieldViews, folder: Path | None = None, progress: Progress = SILENT
    ) -> None:
        self._options, self._views, self._folder, self._progress = options, views, folder, progress
        self._batch: dict[str, Tensor] = {}

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        mip, data, seed = self._options.mip, self._options.data, self._options.loop.seed
        self._pixels = TrainingPixels(
            self._views.train, downscale=data.downscale, memory_gib=data.memory_gib, folder=self._folder,
            device=fabric.device, progress=self._progress,
        )  # fmt: skip
        self._validation = ValidationPixels(
            self._views.val, mip.validation_pixels, BACKGROUNDS[data.background], data.downscale, seed
        )
        # without one, colours come multiplied by opacity, and the background of the moment is added
        model = MipNeRF(mip.model, None if data.background == "random" else BACKGROUNDS[data.background])
        adam = torch.optim.Adam(model.parameters(), lr=mip.lr_first)
        self._fabric = fabric
        self._model, self._adam = fabric.setup(model.to(fabric.device), adam)
        self._generator = torch.Generator(fabric.device).manual_seed(seed + fabric.global_rank)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        return {"model": self._model, "adam": self._adam, "generator": GeneratorState(self._generator)}

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`."""
        mip = self._options.mip
        rays, straight, alpha = self._pixels.batch(self._generator, mip.batch)
        behind: Tensor | float = BACKGROUNDS[self._options.data.background]
        if self._options.data.background == "random":
            behind = torch.rand(straight.shape, generator=self._generator, device=straight.device)
        rgb = over(straight, alpha, behind)
        self._batch = {**rays._asdict(), "rgb": rgb}
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
        random, module.background = module.background, BACKGROUNDS[self._options.data.background]
        try:
            return self._validation.figures(MipRenderer(module))
        finally:
            module.background = random

    def batch(self) -> dict[str, Tensor]:
        """See `Trainee.batch`."""
        return self._batch
