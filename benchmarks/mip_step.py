"""mip-NeRF's training step on a processor: a plain port in eager PyTorch beside ours, in turns, in one run.

usage: python benchmarks/mip_step.py [--rays 1024] [--repeats 3] [--taught 200] [--threads N] [--results FILE]

A step is both levels' forward pass, the loss, the backward pass and Adam, of the paper's network with 128 intervals
per ray at each level. The port, `PlainMip`, is written here as the paper's formulas read, as users' ports are; it gets
our weights, and the first losses are compared. Between steps the machine's rate of float32 matrix products is
measured. Ours runs in float32 and, on processors that have instructions for it, in bfloat16; the port in float32, and
under PyTorch's bfloat16 autocast. `ratio` is to the float32 port: the median over steps that followed each other, since
other work on the machine comes and goes; rays per second are those of the best steps.

Measured twice: with random weights, and with those that `--taught` steps of 64 rays give for a ball before white, all
programs the same. Once the field has empty places, ours spares samples that get next to no gradient. `psnr` is that of
rays that were not learnt from, the same weights rendered in either precision; `mip_precision.py` compares trainings.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import anyview
from anyview.compute import cpu_count, machine
from anyview.radiance import MipNeRF
from anyview.radiance.fields.mip import mip_loss
from anyview.radiance.rays import Rays

INTERVALS, LEVELS = 128, 2
NAMES = ("float32", "bfloat16", "plain_float32", "plain_bfloat16")


class PlainMip(nn.Module):
    """The paper's model, plainly."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(nn.Linear(n, 256) for n in (96, 256, 256, 256, 256, 352, 256, 256))
        self.density, self.bottleneck = nn.Linear(256, 1), nn.Linear(256, 256)
        self.head, self.color = nn.Linear(283, 128), nn.Linear(128, 3)

    def network(self, places: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        x = places
        for i, layer in enumerate(self.trunk):
            x = torch.relu(layer(x))
            if i == 4:
                x = torch.cat([x, places], -1)
        density = self.density(x)
        seen = directions[:, None].expand(-1, x.shape[1], -1)
        hidden = torch.relu(self.head(torch.cat([self.bottleneck(x), seen], -1)))
        return density[..., 0], self.color(hidden)

    def level(self, rays: Rays, t: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Colours and weights."""
        middle, half = (t[:, :-1] + t[:, 1:]) / 2, (t[:, 1:] - t[:, :-1]) / 2
        common = 3 * middle**2 + half**2
        mean = middle + 2 * middle * half**2 / common
        along = half**2 / 3 - 4 / 15 * half**4 * (12 * middle**2 - half**2) / common**2
        across = rays.radii**2 * (middle**2 / 4 + 5 / 12 * half**2 - 4 / 15 * half**4 / common)
        square = rays.directions**2
        place = rays.origins[:, None] + rays.directions[:, None] * mean[..., None]
        outside = 1 - square / square.sum(-1, keepdim=True)
        variance = along[..., None] * square[:, None] + across[..., None] * outside[:, None]
        scales = 2.0 ** torch.arange(16)[:, None]
        phase = (place[..., None, :] * scales).flatten(-2)
        fade = torch.exp(-0.5 * (variance[..., None, :] * scales**2).flatten(-2))
        places = torch.cat([fade * torch.sin(phase), fade * torch.sin(phase + math.pi / 2)], -1)

        density, rgb = self.network(places, directions)
        density, rgb = functional.softplus(density - 1), torch.sigmoid(rgb) * 1.002 - 0.001
        optical = density * (t[:, 1:] - t[:, :-1]) * rays.directions.norm(dim=-1, keepdim=True)
        before = torch.cat([torch.zeros_like(optical[:, :1]), optical[:, :-1].cumsum(-1)], -1)
        weights = (1 - torch.exp(-optical)) * torch.exp(-before)
        return (weights[..., None] * rgb).sum(1) + 1 - weights.sum(-1, keepdim=True), weights

    def forward(self, rays: Rays, random: bool) -> tuple[Tensor, Tensor]:
        phase = (rays.viewdirs[..., None, :] * 2.0 ** torch.arange(4)[:, None]).flatten(-2)
        directions = torch.cat([rays.viewdirs, torch.sin(phase), torch.sin(phase + math.pi / 2)], -1)
        steps = torch.linspace(0, 1, INTERVALS + 1)
        t = rays.near * (1 - steps) + rays.far * steps
        if random:
            middle = (t[:, 1:] + t[:, :-1]) / 2
            low, high = torch.cat([t[:, :1], middle], -1), torch.cat([middle, t[:, -1:]], -1)
            t = low + (high - low) * torch.rand(t.shape)
        coarse, weights = self.level(rays, t, directions)
        with torch.no_grad():
            edged = torch.cat([weights[:, :1], weights, weights[:, -1:]], -1)
            larger = torch.maximum(edged[:, :-1], edged[:, 1:])
            share = (larger[:, :-1] + larger[:, 1:]) / 2 + 0.01
            cdf = (share / share.sum(-1, keepdim=True))[:, :-1].cumsum(-1).clamp_max(1)
            cdf = torch.cat([torch.zeros(len(t), 1), cdf, torch.ones(len(t), 1)], -1)
            u = torch.linspace(0, 1 - torch.finfo(torch.float32).eps, INTERVALS + 1).expand(len(t), -1)
            if random:
                u = (torch.arange(INTERVALS + 1) + torch.rand(t.shape)) / (INTERVALS + 1)
            above = torch.searchsorted(cdf, u.contiguous(), right=True).clamp(1, INTERVALS)
            c0, c1, t0, t1 = (x.gather(-1, i) for x in (cdf, t) for i in (above - 1, above))
            t = t0 + ((u - c0) / (c1 - c0).clamp_min(1e-38)).clamp(0, 1) * (t1 - t0)
        return coarse, self.level(rays, t, directions)[0]


def some_rays(count: int, seed: int = 0) -> tuple[Rays, Tensor]:
    """Rays from all around towards the middle, and their colours: a striped ball of radius 1 before white."""
    g, one = torch.Generator().manual_seed(seed), torch.ones(count, 1)
    origins = 4 * functional.normalize(torch.randn(count, 3, generator=g), dim=-1)
    directions = -origins / 4 + 0.3 * torch.randn(count, 3, generator=g)
    unit = functional.normalize(directions, dim=-1)
    along = (origins * unit).sum(-1, keepdim=True)
    inside = along**2 - (origins**2).sum(-1, keepdim=True) + 1
    place = origins + unit * (-along - inside.clamp_min(0).sqrt())
    color = (place / 2 + 0.5) * (0.7 + 0.3 * torch.sin(8 * place))
    rays = Rays(origins, directions, 1e-3 * one, 2 * one, 6 * one, one)
    return rays, torch.where(inside > 0, color, torch.ones(count, 3))


def teach(model: MipNeRF, steps: int, reduced: bool, seed: int = 1) -> None:
    optimizer, g = torch.optim.Adam(model.parameters(), 5e-4), torch.Generator().manual_seed(seed + 1)
    for step in range(steps):
        rays, rgb = some_rays(64, seed=seed + step)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            error = mip_loss(model(rays, g), rgb, rays.lossmult)
        error.backward()
        optimizer.step()


@torch.no_grad()
def psnr(model: MipNeRF, reduced: bool) -> float:
    """Of rays that were not learnt from."""
    rays, rgb = some_rays(512, seed=10**6)
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        seen = model(rays)[1].rgb
    return round(-10 * math.log10(float((seen - rgb).square().mean())), 3)


def plain_weights(model: MipNeRF) -> dict[str, Tensor]:
    state = {k: v.clone() for k, v in model.state_dict().items()}
    return {k.removeprefix("mlp."): v for k, v in state.items()}


def ours(rays: Rays, rgb: Tensor, model: MipNeRF) -> Callable[[bool], Tensor]:
    g = torch.Generator().manual_seed(1)
    return lambda random: mip_loss(model(rays, g if random else None), rgb, rays.lossmult)


def theirs(rays: Rays, rgb: Tensor, model: PlainMip) -> Callable[[bool], Tensor]:
    def loss(random: bool) -> Tensor:
        coarse, fine = model(rays, random)
        return 0.1 * ((coarse - rgb) ** 2).mean() + ((fine - rgb) ** 2).mean()

    return loss


def in_bfloat16(loss: Callable[[bool], Tensor]) -> Callable[[bool], Tensor]:
    def reduced(random: bool) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss(random)

    return reduced


def seconds_of_step(loss: Callable[[bool], Tensor], optimizer: torch.optim.Optimizer) -> float:
    begin = time.perf_counter()
    optimizer.zero_grad()
    loss(True).backward()
    optimizer.step()
    return time.perf_counter() - begin


def product_rate() -> float:
    """float32 FLOP/s of the trunk's products."""
    a, b, c = torch.randn(8192, 256), torch.randn(256, 256), torch.empty(8192, 256)
    best = math.inf
    for _ in range(10):
        begin = time.perf_counter()
        torch.mm(a, b, out=c)
        best = min(best, time.perf_counter() - begin)
    return 2 * a.numel() * 256 / best


def operations_per_ray() -> float:
    """Of the plain port's products: forward, and backward for weights and inputs; places need no gradient."""
    model = PlainMip()
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    products = 3 * sum(m.weight.numel() for m in layers) - model.trunk[0].weight.numel()
    return 2.0 * products * INTERVALS * LEVELS


def measure(model: MipNeRF, count: int, repeats: int) -> dict[str, Any]:
    rays, rgb = some_rays(count)
    losses, optimizers = {}, {}
    for name in NAMES:
        one: MipNeRF | PlainMip = copy.deepcopy(model) if "plain" not in name else PlainMip()
        if isinstance(one, MipNeRF):
            loss = ours(rays, rgb, one)
        else:
            one.load_state_dict(plain_weights(model))
            loss = theirs(rays, rgb, one)
        losses[name] = in_bfloat16(loss) if "bfloat16" in name else loss
        optimizers[name] = torch.optim.Adam(one.parameters(), 5e-4)
    with torch.no_grad():
        first = {name: float(loss(False)) for name, loss in losses.items()}
    steps: dict[str, list[float]] = {name: [] for name in losses}
    rates = [product_rate()]
    for repeat in range(repeats + 1):  # the first compiles and takes memory
        for name, loss in losses.items():
            seconds = seconds_of_step(loss, optimizers[name])
            rates.append(product_rate())
            steps[name] += [seconds] if repeat else []
            print(f"{name}: {seconds:.3f} s; products at {rates[-1] / 1e9:.0f} GFLOP/s", flush=True)
    best = {name: min(s) for name, s in steps.items()}
    flops = {name: operations_per_ray() * count / s for name, s in best.items()}
    ratios = {
        name: [p / o for o, p in zip(steps[name], steps["plain_float32"], strict=True)]
        for name in NAMES
        if name != "plain_float32"
    }
    return {
        "first_loss": first,
        "seconds": {name: [round(x, 3) for x in s] for name, s in steps.items()},
        "rays_per_second": {name: round(count / s, 1) for name, s in best.items()},
        "ratio": {name: round(median(r), 3) for name, r in ratios.items()},
        "ratios": {name: [round(x, 3) for x in r] for name, r in ratios.items()},
        "gflop_per_ray": round(operations_per_ray() / 1e9, 3),  # the plain port's; ours needs 11 % fewer
        "gflops": {name: round(x / 1e9, 1) for name, x in flops.items()},
        "float32_product_gflops": round(max(rates) / 1e9, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rays", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--taught", type=int, default=200)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "mip_step.json")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    torch.manual_seed(0)
    model = MipNeRF()
    begin = measure(model, words.rays, words.repeats)
    teach(model, words.taught, reduced=False)
    exactness = {"float32": psnr(model, reduced=False), "bfloat16": psnr(model, reduced=True)}
    taught = measure(model, words.rays, words.repeats)
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": {"anyview": anyview.__version__, "torch": torch.__version__, **machine.versions()},
        "rays": words.rays,
        "threads": words.threads,
        "random_weights": begin,
        "taught": {"steps": words.taught, "psnr": exactness, **taught},
    }
    words.results.parent.mkdir(parents=True, exist_ok=True)
    words.results.write_text(json.dumps(found, indent=1) + "\n")
    for name, part in (("random weights", begin), (f"after {words.taught} steps", taught)):
        print(f"{name}: rays per second {part['rays_per_second']}, to the float32 port {part['ratio']}")
    print("PSNR", exactness)
    print(words.results)


if __name__ == "__main__":
    main()
