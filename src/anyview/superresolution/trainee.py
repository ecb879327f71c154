"""A network in training on pixels: what the shared loop asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Self, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8
from lightning.fabric import Fabric
from torch import Tensor

from anyview.progress import SILENT, Progress
from anyview.superresolution.build import build
from anyview.superresolution.data.ahead import Ahead
from anyview.superresolution.data.batches import CropBatch, Crops
from anyview.superresolution.losses import pixel_loss
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.network.wdsr import WDSR, add_weight_norm
from anyview.superresolution.optimiser import Learner, learning_rate
from anyview.superresolution.train_data import TrainingPictures
from anyview.superresolution.train_options import SuperresOptions
from anyview.superresolution.validation import Validation
from anyview.training.ema import EMA
from anyview.training.group import current
from anyview.training.trainee import Moment, Stateful

NAME: Final = "super-resolution"
VERSION: Final = 1
"""Of what a checkpoint's state means."""

_GPU_THREADS = 4


Export: TypeAlias = Callable[[Upscaler, int, Mapping[str, float]], None]
"""Writes weights for use without the run: the network as it is judged, the steps it has seen, its validation."""


def no_export(network: Upscaler, step: int, figures: Mapping[str, float]) -> None:
    """Writes nothing."""


class PixelTrainee:
    """See `anyview.training.trainee.Trainee`; a context that owns the threads which make batches.

    Args:
        options: of the run.
        data: to learn from and to validate on.
        first: gives the network that training begins with; None is one with random weights.
        export: told of weights that are worth keeping.
        progress: told of validations.
    """

    name = NAME
    version = VERSION
    items = "patches"

    def __init__(
        self,
        options: SuperresOptions,
        data: TrainingPictures,
        first: Callable[[], Upscaler] | None = None,
        export: Export = no_export,
        progress: Progress = SILENT,
    ) -> None:
        self._options, self._progress, self._export = options, progress, export
        self._first = first if first is not None else lambda: build(options.model)
        o, group = options.data, current()
        degradation = options.degradation if o.blind else None
        self._crops = Crops(
            data.train, options.optimiser.batch, options.loop.seed, crop=o.crop, turn=o.turn, degradation=degradation,
            part=(group.rank, group.size), progress=progress,
        )  # fmt: skip
        self._validation = Validation(data.val, o.validation_side, progress)
        self._batches: Ahead | None = None
        self._batch: CropBatch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._batches is not None:
            self._batches.close()

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        o = self._options
        network = self._first()
        if isinstance(network, WDSR):
            add_weight_norm(network)
        network.to(fabric.device).train()
        self._fabric = fabric
        self._generator = Learner(fabric, network, o.optimiser)
        self._network = network
        self._ema = EMA(network, o.optimiser.ema, warmup=True) if o.optimiser.ema else None
        usual = 0 if fabric.device.type == "cpu" else _GPU_THREADS  # beside a step on a processor they only disturb
        self._batches = Ahead(self._crops, usual if o.data.threads is None else o.data.threads)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`; the place in the data is the step."""
        average: dict[str, Stateful] = {} if self._ema is None else {"ema": self._ema}
        return {"network": self._generator.module, "optimiser": self._generator.optimiser, **average}

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`."""
        low, high = self._next(moment)
        images = self._generator.module(low)
        rate = self._rate(moment)
        loss = self._generator.step(pixel_loss(images, high.to(images.dtype), self._options.optimiser.loss), rate)
        return self._done(rate, {"loss": loss})

    def validate(self, moment: Moment) -> dict[str, float]:
        """See `Trainee.validate`: scores, and `gain_y`, decibels above bicubic."""
        if not len(self._validation):
            return {}
        with self._averaged() as network:
            found, gain = self._validation.scores(network, self._options.loop.precision)
        self._progress.note(
            f"step {moment.step}: PSNR-Y {found.psnr_y:.2f} dB ({gain:+.2f} to bicubic), SSIM-Y {found.ssim_y:.4f} "
            f"on {len(self._validation)} images"
        )
        return {**found.labelled(), "gain_y": gain}

    def picture(self, moment: Moment) -> UInt8[np.ndarray, "H W 3"] | None:
        """See `Illustrated`: bicubic, output, truth."""
        with self._averaged() as network:
            return self._validation.picture(network, self._options.loop.precision)

    def export(self, moment: Moment, figures: Mapping[str, float], best: bool) -> None:
        """See `Exporting`: the best weights."""
        if best:
            self._export_now(moment, figures)

    def batch(self) -> dict[str, Tensor]:
        """See `Trainee.batch`."""
        return {} if self._batch is None else {"low": self._batch.low, "high": self._batch.high}

    def _next(self, moment: Moment) -> tuple[Float32[Tensor, "B 3 S S"], Float32[Tensor, "B 3 sS sS"]]:
        """The step's crops, on the device."""
        assert self._batches is not None
        self._batch = self._batches.batch(moment.step)
        return self._batch.to(self._fabric.device)

    def _rate(self, moment: Moment) -> float:
        return learning_rate(self._options.optimiser, self._options.rate, moment.share)

    def _done(self, rate: float, losses: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """The end of a step: the average, and what is logged."""
        if self._ema is not None:
            self._ema.update()
        return {**losses, "items": float(self._options.optimiser.batch * current().size), "lr": rate}

    def _export_now(self, moment: Moment, figures: Mapping[str, float]) -> None:
        with self._averaged() as network:
            self._export(network, moment.step, figures)

    @contextmanager
    def _averaged(self) -> Iterator[Upscaler]:
        """The network with the weights that are judged and used."""
        if self._ema is None:
            yield self._network
        else:
            with self._ema.applied():
                yield self._network
