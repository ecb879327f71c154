"""Peak memory of radiance's commands as images and their number grow: it should be the pixels', and then stay there.

usage: python benchmarks/radiance_memory.py SCENE OUT [--sizes 400 800 1600 3200] [--views 8 [32 98]] [--steps 60]

SCENE is NeRF-synthetic. For each size a scene is made from some of its views (the first number), resized, and for each
further number of views one of the first size; `train` of each field over a few steps, `eval` of two views and `render`
of one frame of that size run as commands of their own, each with 256 MiB for pixels (`data.memory_gib`; what needs more
lies in a file). Peaks are the commands' resident memory, by the system; what of a file is in memory counts, though the
system may drop it at will.
Writes benchmarks/results/radiance_memory.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import anyview
from anyview.compute import cpu_count, machine

RESULTS = Path(__file__).parent / "results" / "radiance_memory.json"
FEW = ("mip.validation_pixels=64",)  # steps of 4096 rays take seconds enough


def resized(scene: Path, out: Path, size: int, views: int) -> Path:
    """The first views of a scene, pictures of `size` pixels per side; two of them to be judged by."""
    told = json.loads((scene / "transforms_train.json").read_text())
    for split, frames in (("train", told["frames"][:views]), ("val", told["frames"][views : views + 2])):
        (out / split).mkdir(parents=True)
        for number, frame in enumerate(frames):
            with Image.open((scene / frame["file_path"]).with_suffix(".png")) as picture:
                picture.resize((size, size), Image.Resampling.BILINEAR).save(out / split / f"r_{number}.png")
        frames = [{**frame, "file_path": f"./{split}/r_{number}"} for number, frame in enumerate(frames)]
        (out / f"transforms_{split}.json").write_text(json.dumps({**told, "frames": frames}))
    return out


def peak_mib(*words: str) -> int:
    """Of a command, MiB."""
    command = [sys.executable, "-m", "anyview", "radiance", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: {said}")
    return usage.ru_maxrss >> 10


def measure(a: argparse.Namespace, size: int, views: int) -> dict[str, Any]:
    scene = resized(a.scene, a.out / f"scene_{size}_{views}", size, views)
    pixels = 4 * views * size * size
    found: dict[str, Any] = {"pixels_mib": round(pixels / 2**20, 1)}
    for field in ("grid", "mip"):
        run = a.out / f"{field}_{size}_{views}"
        settings = ["data.memory_gib=0.25", *(FEW if field == "mip" else ())]
        options = [word for setting in settings for word in ("--set", setting)]
        steps = a.steps if field == "grid" else 2
        train = ["train", str(scene), "--out", str(run), "--field", field, "--steps", str(steps), *options]
        found[field] = {"train": peak_mib(*train)}
        if field == "grid":  # mip's pictures take minutes each, and go through the same loop
            found[field]["eval"] = peak_mib("eval", str(run), "--split", "val")
            picture = ["--path", "interpolate", "--frames", "2", "--size", str(size), str(size)]
            found[field]["render"] = peak_mib("render", str(run), *picture)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[400, 800, 1600, 3200])
    parser.add_argument("--views", type=int, nargs="+", default=[8])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--results", type=Path, default=RESULTS)
    a = parser.parse_args()
    record: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "views": a.views[0],
        "sizes": {},
        "more_views": {},  # at the first size
    }
    cases = [("sizes", size, size, a.views[0]) for size in a.sizes]
    cases += [("more_views", views, a.sizes[0], views) for views in a.views[1:]]
    for group, name, size, views in cases:
        record[group][str(name)] = found = measure(a, size, views)
        a.results.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{views} views of {size} x {size}: {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
