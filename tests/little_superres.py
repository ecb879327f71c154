"""Networks of super-resolution so small that a test can train them, and pictures for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.progress import SILENT, Progress
from anyview.superresolution.config import chosen
from anyview.superresolution.train import train_superresolution
from anyview.superresolution.train_options import SuperresOptions
from anyview.superresolution.trainee import PixelTrainee
from anyview.training.checkpoint import load_checkpoint
from anyview.training.log import TIME_COLUMNS, read_log
from anyview.training.loop import TrainingResult
from anyview.training.tree import flatten
from small_trainee import Killed

SETTINGS = (
    "model.num_blocks=1",
    "model.num_features=8",
    "data.crop=24",
    "optimiser.batch=2",
    "adversary.content=l1",
    "adversary.discriminator_features=4",
    "loop.precision=32-true",
    "loop.device=cpu",
    "loop.log_every=1",
)


def pictures(folder: Path, count: int = 3, size: tuple[int, int] = (48, 54)) -> Path:
    """Some with edges and gradients, of rising width."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        random = np.random.default_rng(number)
        rows, columns = np.mgrid[: size[0], : size[1] + 4 * number]
        image = np.zeros((*rows.shape, 3))
        for _ in range(12):
            (y, x), (top, left) = random.normal(size=2), random.uniform(0, 48, 2)
            across = y * (rows - top) + x * (columns - left)
            image += (across > 0)[:, :, None] * random.normal(size=3)
        image = 255 * (image - image.min()) / np.ptp(image)
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


def options(out: Path, *settings: str, arch: str | None = None, scale: int | None = None, **given: Any) -> Any:
    words = {"model.arch": arch, "model.scale": scale, **given}
    made: SuperresOptions = chosen(out, None, (*SETTINGS, *settings), words)
    return made


def run(
    folder: Path, out: Path, *settings: str, progress: Progress = SILENT, extractor: Any = None, **given: Any
) -> TrainingResult:
    made = options(out, *settings, **given)
    return train_superresolution(folder, out, made, progress, command="anyview superres train", extractor=extractor)


def killed_in(step: int, patch: pytest.MonkeyPatch, cls: type[PixelTrainee] = PixelTrainee) -> None:
    """The trainee ends the process after so many steps."""
    plain = cls.step

    def killed(self: Any, moment: Any) -> Any:
        if moment.step == step:
            raise Killed
        return plain(self, moment)

    patch.setattr(cls, "step", killed)


def assert_same_end(one: Path, other: Path, step: int) -> None:
    """The last checkpoints and the logs of two runs are the same, bit by bit."""
    last = f"checkpoints/step_{step:08d}.safetensors"
    (tree, tensors), (wanted_tree, wanted) = (flatten(load_checkpoint(place / last)[0]) for place in (one, other))
    assert tree == wanted_tree
    assert tensors.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(tensors[name], wanted[name])] == []
    first, second = read_log(one), read_log(other)
    assert first.keys() == second.keys()
    for name in first.keys() - set(TIME_COLUMNS):
        assert first[name].tobytes() == second[name].tobytes(), name
