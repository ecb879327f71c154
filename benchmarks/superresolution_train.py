"""Patches per second of a training step of ours, beside a plain eager float32 loop that decodes PNG for each patch.

usage: python benchmarks/superresolution_train.py FOLDER [--arch edsr wdsr-b] [--scale 4] [--batch 16] [--rounds 5]

FOLDER has pictures (`../shared/data/bsds500/train`, say); they are stored as PNG first, the small ones too, and both
programs learn from these. The same network, batch of 96x96 crops, loss and optimiser (Adam), in turns:

| program | what |
|---|---|
| plain | each patch: two PNG files decoded, a crop of both, turned and mirrored; float32, no other tricks |
| float32 | ours in float32: decoded pictures in a memory-mapped file |
| bfloat16 | ours as `anyview superres train` has it where the processor has instructions for bfloat16 |

Writes benchmarks/results/superresolution_train.json; other networks that stand there of the same machine are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch.nn import functional

import anyview
from anyview.compute import cpu_count, machine
from anyview.superresolution.bicubic import shrunk
from anyview.superresolution.build import build
from anyview.superresolution.data.pairs import image_files
from anyview.superresolution.train_data import TrainingPictures, training_pictures
from anyview.superresolution.train_options import DataOptions, OptimiserOptions, SuperresOptions, usual_network
from anyview.superresolution.trainee import PixelTrainee
from anyview.training.options import LoopOptions
from anyview.training.trainee import Moment
from turns import Stolen, in_turns, ratio

RESULTS = Path(__file__).parent / "results" / "superresolution_train.json"
PLAIN = "plain"
CROP = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", nargs="+", default=["edsr", "wdsr-b"])
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    fixed: dict[str, Any] = {
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": {"anyview": anyview.__version__, "torch": machine.version_of("torch")},
        "threads": a.threads,
    }
    before = json.loads(a.results.read_text()) if a.results.exists() else {}
    runs = before.get("runs", {}) if all(before.get(key) == value for key, value in fixed.items()) else {}
    with tempfile.TemporaryDirectory() as work:
        os.environ["XDG_CACHE_HOME"] = work
        files = as_png(image_files(a.folder)[: a.images], Path(work), a.scale)
        data = training_pictures(Path(work) / "HR", a.scale, low=Path(work) / "LR")
        for arch in a.arch:
            found = measure(arch, a.scale, a.batch, a.rounds, files, data)
            runs[f"{arch}-x{a.scale}"] = {"date": str(datetime.date.today()), **found}
            print(json.dumps({arch: found}, indent=1))
    a.results.write_text(json.dumps({**fixed, "runs": runs}, indent=1) + "\n")


def as_png(files: list[Path], work: Path, scale: int) -> list[tuple[Path, Path]]:
    """The pictures and their small ones, as pairs of PNG files."""
    pairs = []
    for side in ("HR", "LR"):
        (work / side).mkdir()
    for number, file in enumerate(files):
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"))
        pixels = pixels[: pixels.shape[0] // scale * scale, : pixels.shape[1] // scale * scale]
        high, low = (work / side / f"{number:03}.png" for side in ("HR", "LR"))
        Image.fromarray(pixels).save(high)
        Image.fromarray(shrunk(pixels, scale)).save(low)
        pairs.append((high, low))
    return pairs


def measure(
    arch: Any, scale: int, batch: int, rounds: int, files: list[tuple[Path, Path]], data: TrainingPictures
) -> dict[str, Any]:
    """Times of all programs."""
    options = SuperresOptions(
        model=usual_network(arch, scale), data=DataOptions(crop=CROP), optimiser=OptimiserOptions(batch=batch, ema=0.0),
        loop=LoopOptions(steps=1000, device="cpu"),
    )  # fmt: skip
    programs: dict[str, Callable[[], float]] = {PLAIN: plain(options, files)}
    for name, precision in (("float32", "32-true"), ("bfloat16", "bf16-mixed")):
        programs[name] = ours(options, precision, data)
    losses = {name: [round(step(), 4) for _ in range(2)] for name, step in programs.items()}
    with Stolen() as host:
        times = in_turns(programs, rounds)
    return {
        "network": str(options.model), "batch": batch, "crop": CROP, "rounds": rounds, "stolen": host.share,
        "first_losses": losses,
        "seconds": {name: [round(s, 3) for s in t] for name, t in times.items()},
        "patches_per_second": {name: round(batch / min(t), 2) for name, t in times.items()},
        "ratio": {name: ratio(times, name, PLAIN) for name in times},
    }  # fmt: skip


def plain(options: SuperresOptions, files: list[tuple[Path, Path]]) -> Callable[[], float]:
    """A step as most people write it first."""
    torch.manual_seed(0)
    network, scale, random = build(options.model), options.model.scale, np.random.default_rng(0)
    adam = torch.optim.Adam(network.parameters(), options.rate)

    def patch() -> tuple[torch.Tensor, torch.Tensor]:
        high, low = (np.asarray(Image.open(file)) for file in files[random.integers(len(files))])
        side, way = CROP // scale, random.integers(0, 2, 3)
        y, x = random.integers(low.shape[0] - side + 1), random.integers(low.shape[1] - side + 1)
        crops = low[y : y + side, x : x + side], high[y * scale :, x * scale :][:CROP, :CROP]
        tensors = []
        for crop in crops:
            turned = crop.swapaxes(0, 1) if way[0] else crop
            turned = turned[:: -1 if way[1] else 1, :: -1 if way[2] else 1]
            tensors.append(torch.from_numpy(turned.copy()).permute(2, 0, 1).contiguous().float() / 255)
        return tensors[0], tensors[1]

    def step() -> float:
        pairs = [patch() for _ in range(options.optimiser.batch)]
        low, high = (torch.stack(side) for side in zip(*pairs, strict=True))
        loss = functional.l1_loss(network(low), high)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    return step


def ours(options: SuperresOptions, precision: Any, data: TrainingPictures) -> Callable[[], float]:
    """A step of the shared loop's trainee."""
    torch.manual_seed(0)
    trainee = PixelTrainee(replace(options, loop=replace(options.loop, precision=precision)), data)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    trainee.setup(fabric)
    steps = iter(range(1_000_000))

    def step() -> float:
        return float(trainee.step(Moment(next(steps), 0.0))["loss"])

    return step


if __name__ == "__main__":
    main()
