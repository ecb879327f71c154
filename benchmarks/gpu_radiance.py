"""Radiance fields on an NVIDIA GPU: whether it sees what the processor sees, steps of `mip`, time to quality of `grid`.

usage: python benchmarks/gpu_radiance.py SCENE OUT [--minutes 4] [--rays 4096] [--marks 33 35] [--results FILE]

1. `grid`, a short run: the same weights rendered on both devices, and the largest difference of a colour.
2. `mip`: rays per second of a training step in float32 and bfloat16, eager and compiled, and which share that is of the
   rate of large matrix products measured on the same device.
3. `grid` on SCENE for `--minutes`: validation against time, and when it passed each of `--marks` (dB).

Under 8 minutes. Writes benchmarks/results/gpu_radiance.json with device, versions and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import anyview
from anyview.compute import machine
from anyview.progress import SILENT
from anyview.radiance import MipNeRF
from anyview.radiance.fields.mip import mip_loss
from anyview.radiance.image import render_view
from anyview.radiance.ray_table import Shot
from anyview.radiance.rays import Rays
from anyview.radiance.run import open_run
from anyview.radiance.settings import settled
from anyview.radiance.train import train_field
from anyview.training.log import read_log
from mip_step import some_rays

WEIGHTS = 612_740  # of both levels' network; a sample costs two operations for each, three times over in a step
SAMPLES = 2 * 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--rays", type=int, default=4096)
    parser.add_argument("--marks", type=float, nargs="+", default=[33, 35])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "gpu_radiance.json")
    a = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no NVIDIA GPU that torch can use")
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": {"gpu": torch.cuda.get_device_name(), "cpu": machine.cpu_name()},
        "versions": {"anyview": anyview.__version__, "torch": torch.__version__},
        "scene": a.scene.resolve().name,
    }
    for name, part in (("same", same), ("mip", mip_steps), ("grid", grid_time)):
        found[name] = part(a)
        print(name, json.dumps(found[name]), flush=True)
        a.results.parent.mkdir(parents=True, exist_ok=True)
        a.results.write_text(json.dumps(found, indent=1) + "\n")


def train(a: argparse.Namespace, out: Path, *settings: str, **more: Any) -> None:
    options = settled(out, None, ("field=grid", "loop.device=cuda", *settings), more)
    train_field(a.scene, out, options, SILENT)


def same(a: argparse.Namespace) -> dict[str, float]:
    """Largest and mean difference of a view's colours."""
    out = a.out / "same"
    train(a, out, "data.downscale=4", **{"loop.steps": 200})
    pictures = []
    for device in ("cpu", "cuda"):
        run = open_run(out, "latest", device=device)
        view = run.views.val[0]
        pictures.append(
            render_view(run.renderer, Shot(view.camera, view.world_from_cam, view.near or 0, view.far or 0))
        )
    difference = abs(pictures[0].rgb - pictures[1].rgb)
    return {"largest": float(difference.max()), "mean": float(difference.mean())}


def mip_steps(a: argparse.Namespace) -> dict[str, Any]:
    """Rays per second of whole steps, and operations per second over those of a large product."""
    rays, rgb = some_rays(a.rays)
    rays, rgb = Rays(*(part.cuda() for part in rays)), rgb.cuda()
    found = {}
    for precision in (torch.float32, torch.bfloat16):
        peak = products_per_second(precision)
        for compiled in (False, True):
            model = MipNeRF().cuda()
            adam = torch.optim.Adam(model.parameters(), lr=5e-4)
            see = torch.compile(model) if compiled else model
            generator = torch.Generator("cuda").manual_seed(0)

            def step(
                see: Any = see, adam: Any = adam, generator: Any = generator, precision: torch.dtype = precision
            ) -> None:
                adam.zero_grad()
                with torch.autocast("cuda", precision, enabled=precision != torch.float32):
                    levels = see(rays, generator)
                mip_loss(levels, rgb, rays.lossmult).backward()
                adam.step()

            rate = a.rays / seconds_of(step)
            operations = rate * SAMPLES * WEIGHTS * 6
            name = f"{str(precision).removeprefix('torch.')}{'_compiled' if compiled else ''}"
            found[name] = {"rays_per_second": round(rate), "share_of_products": round(operations / peak, 3)}
    return found


def products_per_second(precision: torch.dtype, size: int = 8192) -> float:
    """Operations per second of a large matrix product."""
    a = torch.randn(size, size, device="cuda", dtype=precision)
    return 2 * size**3 / seconds_of(lambda: a @ a)


def seconds_of(work: Callable[[], object], repeats: int = 10) -> float:
    """The best of several, after three that are not counted."""
    times = []
    for k in range(repeats + 3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if k >= 3:
            times.append(time.perf_counter() - began)
    return min(times)


def grid_time(a: argparse.Namespace) -> dict[str, Any]:
    """Seconds and validation's dB, and the seconds at each mark."""
    out = a.out / "grid"
    train(
        a, out, "grid.samples=262144", "grid.log2_entries=19", "grid.finest=1024", "grid.steps=1024",
        "loop.validate_every=250",
        **{"loop.max_minutes": a.minutes},
    )  # fmt: skip
    log = read_log(out)
    curve = [
        (round(seconds, 1), round(psnr, 3))
        for seconds, psnr in zip(log["seconds"], log["validation/psnr"], strict=True)
        if psnr == psnr
    ]
    reached = {f"{mark:g}": next((s for s, psnr in curve if psnr >= mark), None) for mark in a.marks}
    return {"curve": curve, "seconds_to": reached, "minutes": a.minutes}


if __name__ == "__main__":
    main()
