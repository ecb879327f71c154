"""What the training of every field begins with: pixels to learn from, pixels to be judged by, what is behind them.

Letters: B rays.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.progress import SILENT, Progress
from anyview.radiance.data import TrainingPixels, over
from anyview.radiance.options import RadianceOptions
from anyview.radiance.pictures import BACKGROUNDS
from anyview.radiance.rays import Rays
from anyview.radiance.validation import ValidationPixels
from anyview.radiance.views import FieldViews


class FieldTrainee:
    """The common part of trainees, see `anyview.training.trainee.Trainee`.

    Args:
        options: of the field, and of the data.
        views: to learn from and to validate on.
        folder: the run's, for pixels that do not fit the memory.
        progress: told of images that are read.
    """

    _auto_is_random: ClassVar[bool]
    """Whether `data.background` = auto means another colour for each ray."""

    def __init__(
        self, options: RadianceOptions, views: FieldViews, folder: Path | None = None, progress: Progress = SILENT
    ) -> None:
        self._options, self._views, self._folder, self._progress = options, views, folder, progress
        self._background = BACKGROUNDS[options.data.background]
        self._batch: dict[str, Tensor] = {}

    def batch(self) -> dict[str, Tensor]:
        """See `Trainee.batch`."""
        return self._batch

    def _read(self, device: torch.device, validation_pixels: int, rank: int = 0) -> None:
        """Decode the views; pixels, the generator and batches are on the device."""
        data, seed = self._options.data, self._options.loop.seed
        self._pixels = TrainingPixels(
            self._views.train, downscale=data.downscale, memory_gib=data.memory_gib, folder=self._folder,
            device=device, progress=self._progress,
        )  # fmt: skip
        self._validation = ValidationPixels(
            self._views.val, validation_pixels, self._background, data.downscale, seed
        )  # fmt: skip
        random = data.background == "random" or (data.background == "auto" and self._auto_is_random)
        self._random = random and self._pixels.has_alpha  # what is opaque everywhere shows no background
        self._generator = torch.Generator(device).manual_seed(seed + rank)

    def _mixed(
        self, rays: Rays, straight: Float[Tensor, "B 3"], alpha: Float[Tensor, "B 1"] | None
    ) -> tuple[Float[Tensor, "B 3"], Tensor | float]:
        """Colours to learn and what is behind them: a grey level, or a colour for each ray; noted as the batch."""
        behind: Tensor | float = self._background
        if self._random:
            behind = torch.rand(straight.shape, generator=self._generator, device=straight.device)
        rgb = over(straight, alpha, behind)
        self._batch = {**rays._asdict(), "rgb": rgb}
        return rgb, behind
