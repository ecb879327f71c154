"""How seconds and memory grow with the number of views and with their size, on synthetic scenes and an idle machine.

usage: python benchmarks/scaling.py [--views 12 25 50 100] [--sizes 200 400 800] [--size 400] [--of 25] [--out FOLDER]

Two series: `--views` pictures of `--size` pixels, and `--of` pictures of `--sizes` pixels. Every stage (sparse, dense,
fuse) runs in a process of its own, so that its peak memory is its own. Writes scaling.json with machine, versions and
date, and scaling.png with the measured points, straight lines fitted to them, and the exponents of a log-log fit.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import anyview
from anyview.compute import cpu_count, machine
from anyview.reconstruction.options import preset
from anyview.reconstruction.prepare import prepare_scene
from anyview.reconstruction.summary import read_summary, update_summary
from anyview.scene.load import load_scene
from anyview.scene.synthetic import render_scene
from anyview.workspace import Workspace

STAGES = ("sparse", "dense", "fuse")


def measure(views: int, size: int, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of each stage."""
    render_scene(views, (size, size), seed=0).write(folder / "scene")
    workspace = Workspace(folder / "work")
    chosen = load_scene(folder / "scene").split("train")
    prepare_scene(workspace, chosen)
    update_summary(workspace, views=len(chosen), options=asdict(preset("medium")))
    for stage in STAGES:
        subprocess.run([sys.executable, "-m", "anyview", stage, str(workspace.root)], check=True, capture_output=True)
    summary = read_summary(workspace)
    return {
        "views": len(chosen),
        "size": size,
        "seconds": {stage: summary["stages"][stage] for stage in STAGES},
        "memory_bytes": {stage: summary["stage_memory_bytes"][stage] for stage in STAGES},
        "points": summary["dense"]["points"],
    }


def fit(x: list[float], y: list[float]) -> dict[str, float]:
    """A straight line by least squares, and the exponent p of y ~ x^p (the slope between the logarithms)."""
    slope, offset = np.polyfit(x, y, 1)
    exponent = np.polyfit(np.log(x), np.log(np.maximum(y, 1e-3)), 1)[0]
    return {"slope": float(slope), "offset": float(offset), "exponent": round(float(exponent), 3)}


def fits(series: list[dict[str, Any]], x: list[float]) -> dict[str, dict[str, dict[str, float]]]:
    kinds = ("seconds", "memory_bytes")
    return {kind: {s: fit(x, [row[kind][s] for row in series]) for s in STAGES} for kind in kinds}


def draw(record: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    columns = (
        ("by_views", f"views of {record['by_views'][0]['size']} x {record['by_views'][0]['size']} pixels", views_of),
        ("by_size", f"megapixels per view, {record['by_size'][0]['views']} views", megapixels_of),
    )
    for (name, label, along), pair in zip(columns, axes.T, strict=True):
        series = record[name]
        _panel(pair[0], series, along(series), record["fits"][name]["seconds"], "seconds", 1.0)
        _panel(pair[1], series, along(series), record["fits"][name]["memory_bytes"], "memory_bytes", float(1 << 20))
        pair[0].set_ylabel("seconds")
        pair[1].set_ylabel("peak memory, MiB")
        pair[1].set_xlabel(label)
    figure.suptitle(f"{record['machine']['cpu']}, {record['machine']['cores']} cores, {record['date']}", fontsize=10)
    figure.savefig(path, dpi=110)


def _panel(
    axes: Axes, series: list[dict[str, Any]], x: list[float], lines: dict[str, Any], kind: str, unit: float
) -> None:
    for color, stage in zip(("#3b6fb6", "#c4553b", "#4b9b62"), STAGES, strict=True):
        line = lines[stage]
        axes.plot(x, [row[kind][stage] / unit for row in series], "o", color=color)
        ends = np.array([0, max(x)])
        label = f"{stage}, exponent {line['exponent']:.2f}"
        axes.plot(ends, (line["slope"] * ends + line["offset"]) / unit, "-", color=color, alpha=0.6, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)


def views_of(series: list[dict[str, Any]]) -> list[float]:
    return [float(row["views"]) for row in series]


def megapixels_of(series: list[dict[str, Any]]) -> list[float]:
    return [row["size"] ** 2 / 1e6 for row in series]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, nargs="+", default=[12, 25, 50, 100])
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 400, 800])
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--of", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    done: dict[tuple[int, int], dict[str, Any]] = {}
    wanted = [(v, arguments.size) for v in arguments.views] + [(arguments.of, s) for s in arguments.sizes]
    with tempfile.TemporaryDirectory(prefix="anyview-scaling-") as folder:
        measure(4, 64, Path(folder) / "first")  # compiles
        for views, size in dict.fromkeys(wanted):
            done[views, size] = measure(views, size, Path(folder) / f"{views}_{size}")
            print(json.dumps(done[views, size]), flush=True)
    by_views = [done[v, arguments.size] for v in arguments.views]
    by_size = [done[arguments.of, s] for s in arguments.sizes]
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "by_views": by_views,
        "by_size": by_size,
        "fits": {"by_views": fits(by_views, views_of(by_views)), "by_size": fits(by_size, megapixels_of(by_size))},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scaling.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record, arguments.out / "scaling.png")
    for name, kinds in record["fits"].items():
        for kind, stages in kinds.items():
            print(name, kind, ", ".join(f"{stage}: exponent {line['exponent']:.2f}" for stage, line in stages.items()))
    print(arguments.out / "scaling.png")


if __name__ == "__main__":
    main()
