"""What the training of every field begins with: pixels to learn from, pixels to be judged by, what is behind them.

Of several processes each draws its own rays. Letters: B rays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from anyview.errors import OutOfMemoryError
from anyview.progress import SILENT, Progress
from anyview.radiance.data import TrainingPixels, over
from anyview.radiance.options import RadianceOptions
from anyview.radiance.pictures import BACKGROUNDS
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Renderer
from anyview.radiance.validation import ValidationPixels
from anyview.radiance.validation_picture import Drawn, ValidationPicture
from anyview.radiance.views import FieldViews
from anyview.training.group import current
from anyview.training.memory import free_memory, ran_out
from anyview.training.trainee import Moment

_MOST_PARTS = 1 << 10


Scalars: TypeAlias = Callable[[], dict[str, Tensor | float]]


class Parts:
    """In how many parts a step's rays are worked on: more once memory has run out; kept with a run's state."""

    def __init__(self) -> None:
        self.count = 1

    def state_dict(self) -> dict[str, int]:
        """How many."""
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with as many."""
        self.count = int(state["count"])


class FieldTrainee:
    """The common part of trainees, see `anyview.training.trainee.Trainee` and `Illustrated`.

    Args:
        options: of the field, and of the data.
        views: to learn from and to validate on.
        folder: the run's, for pixels that do not fit the memory.
        progress: told of images that are read.
    """

    items = "rays"
    _picture_width: ClassVar[int]
    """Most pixels across a view that is rendered at a validation."""
    _auto_is_random: ClassVar[bool]
    """Whether `data.background` = auto means another colour for each ray."""

    def __init__(
        self, options: RadianceOptions, views: FieldViews, folder: Path | None = None, progress: Progress = SILENT
    ) -> None:
        self._options, self._views, self._folder, self._progress = options, views, folder, progress
        self._background = BACKGROUNDS[options.data.background]
        self._batch: dict[str, Tensor] = {}
        self._parts = Parts()
        self._drawn: Drawn | None = None
        self._group = current()

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`. One that does not fit the memory is done again, in twice as many parts.

        Raises:
            OutOfMemoryError: not even the smallest part fits.
        """
        while True:
            drawn = self._generator.get_state()
            rest: Scalars | None = None
            try:
                rest = self._learn(moment)
            except Exception as error:
                if not ran_out(error):
                    raise
                if self._parts.count >= _MOST_PARTS:
                    raise OutOfMemoryError(
                        "out of memory", where=f"step {moment.step + 1}",
                        actual=f"not even a part in {self._parts.count} of its rays fits",
                        hint="close other programs that use this device, or choose a smaller model and another --out",
                    ) from error  # fmt: skip
            if not self._group.any(rest is None):
                assert rest is not None
                return rest()
            # here the failed step's arrays are gone with its exception
            del rest
            self._give_up()
            self._parts.count *= 2
            self._generator.set_state(drawn)
            free_memory()
            self._progress.note(f"out of memory: a step's rays are {self._parts.count} parts from here on")

    def _learn(self, moment: Moment) -> Scalars:
        """What this process does by itself, and again where memory runs out in any: draw rays, make gradients.

        Returns:
            the rest of the step, which all processes do together.
        """
        raise NotImplementedError

    def _give_up(self) -> None:
        """Take back what half a step has left."""

    def validate(self, moment: Moment) -> dict[str, float]:
        """See `Trainee.validate`: "psnr" from pixels of all views, "picture_ssim" from the picture of the first."""
        with self._renderer() as renderer:
            figures = self._validation.figures(renderer)
            self._drawn = None if self._shown is None else self._shown.of(renderer)
        if self._drawn is not None and self._drawn.ssim is not None:
            figures["picture_ssim"] = self._drawn.ssim
        return figures

    def picture(self, moment: Moment) -> UInt8[np.ndarray, "H W 3"] | None:
        """See `Illustrated.picture`: the first validation view, its truth, render and depth side by side.

        The one that `validate` has just made, if it has.
        """
        drawn, self._drawn = self._drawn, None
        if drawn is None and self._shown is not None:
            with self._renderer() as renderer:
                drawn = self._shown.of(renderer)
        return None if drawn is None else drawn.picture

    def _renderer(self) -> AbstractContextManager[Renderer]:
        """The present weights as a renderer, over the background of validations."""
        raise NotImplementedError

    def batch(self) -> dict[str, Tensor]:
        """See `Trainee.batch`."""
        return self._batch

    def _read(self, device: torch.device, validation_pixels: int) -> None:
        """Decode the views; pixels, the generator and batches are on the device."""
        data, seed = self._options.data, self._options.loop.seed
        self._pixels = TrainingPixels(
            self._views.train, downscale=data.downscale, memory_gib=data.memory_gib, folder=self._folder,
            device=device, progress=self._progress, group=self._group,
        )  # fmt: skip
        val = self._views.val if self._group.is_first else []  # nobody else is asked for figures
        self._validation = ValidationPixels(
            val, validation_pixels, self._background, data.downscale, seed, self._progress.note
        )
        self._shown: ValidationPicture | None = None
        if val:
            self._shown = ValidationPicture(
                val[0], self._picture_width, self._background, data.downscale, self._progress.note
            )
        random = data.background == "random" or (data.background == "auto" and self._auto_is_random)
        self._random = random and self._pixels.has_alpha  # what is opaque everywhere shows no background
        self._generator = torch.Generator(device).manual_seed(self._group.seed(seed))

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
