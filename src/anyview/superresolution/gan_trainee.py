"""A network in training as a GAN's generator (SRGAN, arXiv 1609.04802): against a discriminator, in turns.

A step is one of the discriminator on photographs and generated images, then one of the generator on content and the
discriminator's judgement. Both networks, both optimisers and the step are the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from lightning.fabric import Fabric
from torch import Tensor, nn

from anyview.progress import SILENT, Progress
from anyview.superresolution.losses import ContentLoss, discriminator_loss, perceptual_loss, pixel_loss
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.network.srgan import Discriminator
from anyview.superresolution.optimiser import Learner
from anyview.superresolution.train_data import TrainingPictures
from anyview.superresolution.train_options import GanOptions, SuperresOptions
from anyview.superresolution.trainee import Export, PixelTrainee, no_export
from anyview.training.trainee import Moment, Stateful

Content: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Of images and the truth, a loss."""

_USUAL_CROP = 96


def content_loss(options: GanOptions, extractor: nn.Module | None = None) -> nn.Module | Content:
    """What the generator learns from beside the discriminator.

    Args:
        options: which.
        extractor: of features, in the place of VGG19.

    Raises:
        OptionError: VGG19's weights cannot be had.
    """
    kind = options.content
    if kind == "l1" or kind == "mse":
        return lambda images, truth: pixel_loss(images, truth, kind)
    return ContentLoss(kind, extractor)


class GanTrainee(PixelTrainee):
    """See `PixelTrainee`. What is exported are the weights of the last validation: PSNR falls as images get crisper.

    Args:
        options, data, first, export, progress: see `PixelTrainee`.
        content: of `content_loss`.
    """

    def __init__(
        self,
        options: SuperresOptions,
        data: TrainingPictures,
        content: nn.Module | Content,
        first: Callable[[], Upscaler] | None = None,
        export: Export = no_export,
        progress: Progress = SILENT,
    ) -> None:
        super().__init__(options, data, first, export, progress)
        self._content = content

    def setup(self, fabric: Fabric) -> None:
        """See `Trainee.setup`."""
        super().setup(fabric)
        o = self._options
        judge = Discriminator(o.adversary.discriminator_features, any_size=o.data.crop != _USUAL_CROP)
        self._judge = Learner(fabric, judge.to(fabric.device).train(), o.optimiser)
        if isinstance(self._content, nn.Module):
            self._content.to(fabric.device)

    def state(self) -> dict[str, Stateful]:
        """See `Trainee.state`."""
        return {
            **super().state(), "discriminator": self._judge.module, "discriminator_optimiser": self._judge.optimiser
        }  # fmt: skip

    def step(self, moment: Moment) -> dict[str, Tensor | float]:
        """See `Trainee.step`; "loss" is the generator's, with "content" as a part of it."""
        low, high = self._next(moment)
        images = self._generator.module(low)
        high = high.to(images.dtype)
        rate = self._rate(moment)
        judged, judged_real = self._judge.module(images.detach()), self._judge.module(high)
        losses = {"discriminator": self._judge.step(discriminator_loss(judged_real, judged), rate)}
        with _constant(self._judge.plain):
            with self._fabric.autocast():
                content = self._content(images, high)
            whole = perceptual_loss(content, self._judge.module(images), self._options.adversary.adversarial)
            losses["loss"] = self._generator.step(whole, rate)
        return self._done(rate, {**losses, "content": content.detach()})

    def export(self, moment: Moment, figures: Mapping[str, float], best: bool) -> None:
        """See `Exporting`: always."""
        self._export_now(moment, figures)


@contextmanager
def _constant(network: nn.Module) -> Iterator[None]:
    """Gradients go through the network, but none is computed for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
