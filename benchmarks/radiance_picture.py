"""The README's picture of a radiance field: PSNR against minutes, and a view that nobody has taken.

usage: python benchmarks/radiance_picture.py RUN [--results radiance_lego_half] [--out docs/pictures/radiance.png]

RUN is a trained run; a view on its orbit is rendered in colour and depth. The curve is that of
benchmarks/results/RESULTS.json: dots are trainings of so many minutes, over whole validation views; lines are what each
of them had on the way, on a few pixels of every view.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from anyview.radiance.colors import colored
from anyview.radiance.image import render_view
from anyview.radiance.paths import orbit
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import open_run, shot_depths

HERE = Path(__file__).parent
FRAME, FRAMES, SIZE = 11, 40, (480, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--results", default="radiance_lego_half")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "pictures" / "radiance.png")
    a = parser.parse_args()
    record = json.loads((HERE / "results" / f"{a.results}.json").read_text())
    run = open_run(a.run)
    camera, pose = orbit(run.views.scene, FRAMES, size=SIZE)[FRAME]
    seen = render_view(run.renderer, Shot(camera, pose, *shot_depths(run.views)))
    there = seen.opacity > 0.5
    low, high = np.quantile(seen.depth[there], (0.01, 0.99))

    figure = Figure(figsize=(13, 4), layout="constrained")
    curve, color, depth = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    for runs in record["runs"].values():
        seconds, psnr = np.transpose(runs["curve"])
        curve.plot(seconds / 60, psnr, "-", color="#9db7d8", lw=1)
    minutes = [float(m) for m in record["runs"]]
    reached = [runs["psnr"] for runs in record["runs"].values()]
    curve.plot(minutes, reached, "o", color="#3b6fb6")
    for x, y in zip(minutes, reached, strict=True):
        curve.annotate(f"{y:.1f}", (x, y), xytext=(0, -14), textcoords="offset points", ha="center", fontsize=9)
    curve.set_xscale("log")
    curve.set_xticks(minutes, [f"{m:g}" for m in minutes])
    curve.minorticks_off()
    curve.margins(y=0.12)
    curve.set_xlabel(f"minutes of training on {record['machine']['cores']} cores, no GPU")
    curve.set_ylabel("PSNR on views not learnt from, dB")
    curve.grid(alpha=0.3)
    color.imshow(seen.rgb.clip(0, 1))
    depth.imshow(colored(np.where(there, seen.depth, high), low, high, none=~there))
    for axes in (color, depth):
        axes.set_axis_off()
    a.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(a.out, dpi=100)
    print(a.out)


if __name__ == "__main__":
    main()
