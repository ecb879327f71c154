"""A Mask R-CNN in training: what the shared loop asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from lightning.fabric import Fabric
from torch import Tensor

from anyview.compute import cpu_count
from anyview.formats.coco import CocoData
from anyview.progress import SILENT, Progress
from anyview.segmentation.data.augment import augmented
from anyview.segmentation.data.batches import Batch, Batches
from anyview.segmentation.data.items import InstanceData, Item
from anyview.segmentation.data.subset import spread
from anyview.segmentation.evaluate import score
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.optimiser import StepWeights, learning_rate, make_optimiser
from anyview.segmentation.train_data import TrainingData
from anyview.segmentation.train_options import SegmentationOptions
from anyview.segmentation.trained import NAME, VERSION, NormEpsilon
from anyview.training.ema import EMA
from anyview.training.group import current
from anyview.training.trainee import GeneratorState, Moment, Stateful


class MaskRCNNTrainee:
    """See `anyview.training.trainee.Trainee`; a context that owns the threads which make batches.

    Args:
        options: of the run; the model's number of classes is the data's.
        data: to learn from and to validate on.
        load: puts the first weights into the model, where the run begins.
        progress: told of validations.
    """

    name = NAME
    version = VERSION
    items = "images"

    def __init__(
        self,
        options: SegmentationOptions,
        data: TrainingData,
        load: Callable[[MaskRCNN], None] = lambda model: None,
        progress: Progress = SILENT,
    ) -> None:
        self._options, self._data, self._load, self._progress = options, data, load, progress
        self._batches: Batches | None = None
        self._batch: Batch | None = None
        self._truth: CocoData | None = None

    def __enter__(self) -> MaskRCNNTrainee:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._batches is not None:
            self._batches.close()

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        o, seed = self._options, self._options.loop.seed
        self._group = group = current()
        model = MaskRCNN(o.model)
        self._load(model)
        model.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._fabric = fabric
        self._weights = StepWeights(model)
        self._model, self._optimiser = fabric.setup(model, make_optimiser(self._weights, o.optimiser))
        self._plain = model
        self._ema = EMA(model, o.optimiser.ema, warmup=True) if o.optimiser.ema else None
        self._generator = torch.Generator(fabric.device).manual_seed(group.seed(seed))
        threads = max(cpu_count() // group.size, 1) if o.data.threads is None else o.data.threads
        ahead = 0 if fabric.device.type == "cpu" else None  # threads beside a step slow it by more than they save
        self._batches = Batches(
            self._data.train, o.optimiser.batch, seed, vary=self._varied, bins=o.data.bins,
            threads=threads, ahead=ahead, part=(group.rank, group.size),
        )  # fmt: skip

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        assert self._batches is not None
        average: dict[str, Stateful] = {} if self._ema is None else {"ema": self._ema}
        return {
            "model": self._model, "optimiser": self._optimiser, "generator": GeneratorState(self._generator),
            "batches": self._batches, "norms": NormEpsilon(self._plain), **average,
        }  # fmt: skip

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`."""
        assert self._batches is not None
        o = self._options.optimiser
        self._batch = next(self._batches)
        images, targets = self._batch.to(self._fabric.device)
        rate = learning_rate(o, moment.step, moment.share)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._model.train()
        losses: dict[str, Tensor] = self._model(images, targets, self._generator)
        loss = torch.stack(list(losses.values())).sum()
        self._model.zero_grad()
        self._optimiser.zero_grad()
        self._fabric.backward(loss)
        # norms that are not frozen see their own process's images only; the first process's statistics are kept
        found = torch.stack([loss.detach(), *(part.detach() for part in losses.values())])
        total, *means = self._group.average(self._model.parameters(), found).unbind()
        self._weights.take_gradients()
        if o.clip:  # what is not finite is the loop's to report
            self._fabric.clip_gradients(self._model, self._optimiser, max_norm=o.clip, error_if_nonfinite=False)
        self._optimiser.step()
        if self._ema is not None:
            self._ema.update()
        parts = dict(zip(losses, means, strict=True))
        return {"loss": total, **parts, "items": float(len(images) * self._group.size), "lr": rate}

    def validate(self, moment: Moment) -> dict[str, float]:
        """See `Trainee.validate`: AP of boxes and masks."""
        if self._data.val is None:
            return {}
        data: InstanceData = spread(self._data.val, self._options.data.validation_images)
        if self._truth is None:
            self._truth = data.ground_truth()
        with self._averaged() as model:
            scores = score(model, data, self._options.loop.precision, self._progress, self._truth)
        figures = scores.figures()
        if "mask_ap" in figures:
            words = ", ".join(f"{name.replace('_ap', ' AP')} {figures[name]:.3f}" for name in ("box_ap", "mask_ap"))
            self._progress.note(f"step {moment.step}: {words} on {len(data)} images")
        return figures

    def batch(self) -> dict[str, Tensor]:
        """See `Trainee.batch`."""
        if self._batch is None:
            return {}
        images = {f"images/{i}": image for i, image in enumerate(self._batch.images)}
        return images | {f"targets/{i}/{k}": v for i, t in enumerate(self._batch.targets) for k, v in t.items()}

    def _varied(self, data: InstanceData, index: int, generator: torch.Generator) -> Item:
        return augmented(data, index, self._options.augment, generator)

    @contextmanager
    def _averaged(self) -> Iterator[MaskRCNN]:
        """The model with the weights that are judged and used, in eval mode."""
        self._plain.eval()
        try:
            if self._ema is None:
                yield self._plain
            else:
                with self._ema.applied():
                    yield self._plain
        finally:
            self._plain.train()
