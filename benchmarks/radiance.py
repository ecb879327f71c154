"""How good the field `grid` is after so many minutes of training, as a user trains it, and how fast it renders.

usage: python benchmarks/radiance.py SCENE OUT [--minutes 1 2 5 10] [--geometry WORK] [--set KEY=VALUE ...]

For each number of minutes one run of `anyview radiance train --max-minutes M` in a folder of its own (schedules end
with the time), then `anyview radiance eval --split val`. Wall-clock times are of whole commands, imports included.
Kernels must be compiled: run `anyview doctor` first. `stolen` is what a virtual machine's host gave to others in the
meantime. With --geometry the seconds of that reconstruction's stages come from its own `summary.json`.
Writes benchmarks/results/radiance_SCENE[_geometry].json; what stands there of other minutes, made with the same options
and source, is kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import anyview
from anyview.compute import machine
from anyview.compute.memory import cpu_count
from anyview.jit import source_digest
from anyview.radiance.image import render_view
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import open_run
from anyview.training.log import read_log
from turns import stolen_seconds

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--geometry", type=Path)
    parser.add_argument("--set", nargs="*", default=[])
    a = parser.parse_args()
    name = f"radiance_{a.scene.resolve().name}" + ("_geometry" if a.geometry else "")
    path = RESULTS / f"{name}.json"
    fixed: dict[str, Any] = {
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, "torch": torch.__version__, **machine.versions()},
        "kernels": source_digest()[:16],
        "set": a.set,
    }
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(key) == value for key, value in fixed.items())
    runs = before.get("runs", {}) if same else {}
    for minutes in a.minutes:
        runs[f"{minutes:g}"] = run(a, minutes)
        ordered = dict(sorted(runs.items(), key=lambda item: float(item[0])))
        path.write_text(json.dumps({**fixed, "runs": ordered}, indent=1) + "\n")
        print(f"{minutes:g} minutes: {json.dumps(runs[f'{minutes:g}'])}", flush=True)


def run(a: argparse.Namespace, minutes: float) -> dict[str, Any]:
    folder = a.out / f"{minutes:g}"
    if folder.exists():
        raise SystemExit(f"{folder} is there already: a run that goes on is not what is measured")
    command = ["train", str(a.scene), "--out", str(folder), "--field", "grid", "--max-minutes", f"{minutes:g}"]
    command += ["--steps", "1000000"] + (["--geometry", str(a.geometry)] if a.geometry else [])
    for setting in a.set:
        command += ["--set", setting]
    began, stolen = time.perf_counter(), stolen_seconds()
    anyview_radiance(*command)
    seconds, stolen = time.perf_counter() - began, stolen_seconds() - stolen
    figures = folder / "val.json"
    anyview_radiance("eval", str(folder), "--split", "val", "--json", str(figures))
    result = json.loads(figures.read_text())
    known = None if a.geometry is None else reconstruction_seconds(a.geometry)
    return {
        "date": datetime.date.today().isoformat(),
        "psnr": round(result["psnr"], 3),
        "ssim": round(result["ssim"], 4),
        "views": len(result["views"]),
        "step": result["step"],
        "command_seconds": round(seconds, 1),
        "stolen": round(stolen / seconds / (os.cpu_count() or 1), 3),  # share of the processors that others had
        "render_seconds": round(render_seconds(folder), 2),
        **({} if known is None else {"reconstruction_seconds": known}),
        "curve": curve(folder),
    }


def reconstruction_seconds(work: Path) -> float | None:
    """Of all stages, as the workspace itself has noted; None where it has not (COLMAP's do not)."""
    summary = work / "summary.json"
    stages = json.loads(summary.read_text()).get("stages", {}) if summary.is_file() else {}
    return round(sum(stages.values()), 1) if stages else None


def curve(folder: Path) -> list[tuple[float, float]]:
    """Seconds of training, and PSNR on a few pixels of every validation view, dB."""
    log = read_log(folder)
    points = zip(log["seconds"], log["validation/psnr"], strict=True)
    return [(round(float(seconds), 1), round(float(psnr), 2)) for seconds, psnr in points if psnr == psnr]


def anyview_radiance(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "anyview", "radiance", *words], check=True, stdout=subprocess.DEVNULL)


def render_seconds(folder: Path) -> float:
    """One validation view, the best of three, kernels warm."""
    opened = open_run(folder)
    view = opened.views.val[0]
    shot = Shot(view.camera, view.world_from_cam, view.near or 0, view.far or 0)
    times = []
    for _ in range(4):
        began = time.perf_counter()
        render_view(opened.renderer, shot)
        times.append(time.perf_counter() - began)
    return min(times[1:])


if __name__ == "__main__":
    main()
