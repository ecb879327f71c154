"""Fields that two processes train, and the same in one process with the rays of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from anyview.progress import Progress
from anyview.radiance import occupancy, train_grid
from anyview.radiance.data import TrainingPixels
from anyview.radiance.fields.grid import GridField
from anyview.radiance.fields.mip import MipNeRF
from anyview.radiance.rays import Rays
from anyview.radiance.train import make_trainee, train_field
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.training.group import Group, current
from anyview.training.loop import train
from small_trainee import Notes
from soft_run import small_options, soft_trainee

STEPS = 3
MORE = (
    "data.background=random", f"loop.steps={STEPS}", "loop.validate_every=100", "loop.save_every_seconds=0",
    "loop.log_every=1", "loop.keep=9",
)  # fmt: skip
RAYS = 64  # of `mip`, in each process
FITS = {"mip": 32, "grid": 250}  # rays, where memory is little


@contextmanager
def weighted(field: str) -> Iterator[None]:
    """The pixels that `mip` learns from weigh 1, 2 or 3; of `grid` the distortion loss does not know weights."""
    plain = TrainingPixels.at

    def at(self: TrainingPixels, index: Tensor) -> Any:
        rays, rgb, alpha = plain(self, index)
        return rays._replace(lossmult=1 + (index % 3)[:, None].float()), rgb, alpha

    with patch.object(TrainingPixels, "at", at if field == "mip" else plain):
        yield


@contextmanager
def little_memory(field: str) -> Iterator[None]:
    """In the second process."""
    kind = MipNeRF if field == "mip" else GridField
    plain = kind.forward

    def forward(self: Any, rays: Rays, *more: Any) -> Any:
        if current().rank == 1 and len(rays.origins) > FITS[field]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: Error code 12 (Cannot allocate memory)")
        return plain(self, rays, *more)

    with patch.object(kind, "forward", forward):
        yield


def scenario(progress: Progress, field: str, scene: Path, folder: Path) -> list[dict[str, Any]]:
    """A run to be compared; one whose second process has too little memory, and pixels in a file; cells that close."""
    found: dict[str, Any] = {}
    common = (f"field={field}", *MORE, f"mip.batch={RAYS}", "loop.devices=2")
    notes = Notes()
    with weighted(field):
        train_field(scene, folder / "plain", small_options(*common), progress)
    with weighted(field), little_memory(field):
        train_field(scene, folder / "little", small_options(*common, "grid.samples=1500", "data.memory_gib=0"), notes)
    found["notes"] = [said for said in notes.said if said.startswith("out of memory")]
    if field == "grid":
        with patch.object(train_grid, "_UPDATE_EVERY", 1), patch.object(occupancy, "_PRUNE_FROM", 2):
            for contraction in ("none", "cube"):
                options = small_options(
                    *common, f"grid.contraction={contraction}", "grid.reopened=0.2", "grid.least_alpha=0.15"
                )
                trainee = make_trainee(options, field_views(load_scene(scene), options.data), folder)
                train(trainee, folder / contraction, options.loop, {})
                found[contraction] = {
                    name: value.clone() for name, value in trainee.state()["field"].state_dict().items()
                }
                found[contraction] |= trainee.state()["per_ray"].state_dict()
    return current().gathered(found)


class Pair(torch.Generator):
    """Draws the first half of every batch from one generator, the second from another."""

    members: tuple[torch.Generator, torch.Generator]


def halves(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`torch.rand` or `torch.randint` with a pair, too."""

    def drawn(*given: Any, generator: torch.Generator | None = None, **more: Any) -> Tensor:
        if not isinstance(generator, Pair):
            return draw(*given, generator=generator, **more)
        *first, shape = given
        half = (shape[0] // 2, *shape[1:])
        return torch.cat([draw(*first, half, generator=one, **more) for one in generator.members])

    return drawn


@contextmanager
def with_both_batches(field: str) -> Iterator[MipTrainee | GridTrainee]:
    """One process's trainee, whose batches are those of the two of `scenario`."""
    plain = GridTrainee._ray_count
    with (
        weighted(field),
        patch.object(torch, "rand", halves(torch.rand)),
        patch.object(torch, "randint", halves(torch.randint)),
        patch.object(GridTrainee, "_ray_count", lambda self: 2 * plain(self)),
    ):
        made = soft_trainee(field, *MORE, f"mip.batch={2 * RAYS}")
        pair = Pair()
        pair.members = made._generator, torch.Generator().manual_seed(Group(1, 2).seed(0))
        made._generator = pair
        yield made
