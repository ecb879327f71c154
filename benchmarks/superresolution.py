"""Super-resolution in use: speed beside plain float32, memory of a large photograph, scores of the shipped weights.

usage: python benchmarks/superresolution.py [--parts upscale memory scores] [--arch edsr wdsr-b]
                  [--weights NAME|PATH ...] [--dtype auto|float32] [--rounds 5] [--size 4000 3000]
                  [--sets ../shared/data/super_resolution]

| part | what |
|---|---|
| upscale | x4 of 400 x 400 pixels: `fast(network)`, as `superres upscale` has it, beside a plain eager float32 module |
| memory | peak of resident memory while a photograph of --size becomes a PNG four times as large, in an own process |
| scores | Set5 and Set14 x4 of all weights that come with the package (or --weights), and of bicubic |

Without --weights networks are random, in their usual sizes: speed and memory do not depend on numbers, but the PSNR
between both programs does. Programs take turns, for other work on the machine comes and goes; `stolen` is what a
virtual machine's host gave to others. `ratio` is the median of ratios within a turn. In `memory` the output is written
as it is made; `above_output_mib` is the peak of the whole process less the output's own size (8 bits, RGB), as if that
were kept.

Writes benchmarks/results/superresolution.json; parts that stand there of the same machine are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import anyview
from anyview.compute import cpu_count, machine
from anyview.superresolution.benchmark_sets import find_set
from anyview.superresolution.build import build
from anyview.superresolution.choice import open_network
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.evaluate import bicubic, by_network, evaluate
from anyview.superresolution.fast import best_dtype, fast
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.train_options import usual_network
from anyview.superresolution.weights import names, read_notes
from turns import Stolen, in_turns, ratio

RESULTS = Path(__file__).parent / "results" / "superresolution.json"
SETS = Path(__file__).parents[1] / ".." / "shared" / "data" / "super_resolution"
SCALE, SIDE = 4, 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--arch", nargs="+", default=["edsr", "wdsr-b"])
    parser.add_argument("--weights", nargs="+", default=[])
    parser.add_argument("--dtype", choices=["auto", "float32"], default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=[4000, 3000], help="width and height, for `memory`")
    parser.add_argument("--sets", type=Path, default=SETS)
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
    for part in a.parts:
        name = part if a.dtype == "auto" or part == "scores" else f"{part}_{a.dtype}"
        found = PARTS[part](a)
        kept = runs[name]["networks"] if name in runs else {}  # other networks of earlier runs
        runs[name] = {"date": datetime.date.today().isoformat(), "networks": {**kept, **found}}
        a.results.parent.mkdir(parents=True, exist_ok=True)
        a.results.write_text(json.dumps({**fixed, "runs": runs}, indent=1) + "\n")
        print(name, json.dumps(found, indent=1), flush=True)
    print(a.results)


def networks(a: argparse.Namespace) -> dict[str, Upscaler]:
    """Those that are named, or random ones."""
    if a.weights:
        return {Path(name).name: open_network(name, SCALE) for name in a.weights}
    torch.manual_seed(0)
    return {f"{arch}-x{SCALE}": build(usual_network(arch, SCALE)).eval() for arch in a.arch}


def measure_upscale(a: argparse.Namespace) -> dict[str, Any]:
    """Seconds of both programs in turns."""
    image, found = photograph(a.sets), {}
    for name, network in networks(a).items():
        ready = fast(network, torch.float32 if a.dtype == "float32" else None)
        programs = {"plain": once(network, image), "fast": once(ready, image)}
        outputs = {program: run() for program, run in programs.items()}  # and what is made once is made
        with Stolen() as host:
            times = in_turns(programs, a.rounds)
        error = (outputs["plain"].clamp(0, 1) - outputs["fast"].clamp(0, 1)).square().mean()
        found[name] = {
            "network": str(network.options), "random": not a.weights, "stolen": host.share, "rounds": a.rounds,
            "dtype": "float32" if a.dtype == "float32" else str(best_dtype()).removeprefix("torch."),
            "seconds": {program: [round(s, 3) for s in seconds] for program, seconds in times.items()},
            "ratio": ratio(times, "fast", "plain"), "psnr_between": round(-10 * float(error.log10()), 2),
        }  # fmt: skip
    return found


def once(network: Upscaler, image: Tensor) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return network(image)

    return run


def photograph(sets: Path) -> Tensor:
    """(1, 3, 400, 400) of Set14's first picture, in [0, 1]; noise where it is not there."""
    from anyview.formats.images import read_rgb

    files = sorted(sets.glob("Set14/*/*_HR.png"))
    if not files:
        return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(read_rgb(files[0])).permute(2, 0, 1)[None].float() / 255
    return pixels[:, :, :SIDE, :SIDE].contiguous()


def measure_memory(a: argparse.Namespace) -> dict[str, Any]:
    """Peaks of processes that each enlarge one photograph."""
    found = {}
    width, height = a.size
    own = width * height * SCALE**2 * 3
    for name in a.weights or a.arch:
        words = [name, a.dtype, str(width), str(height), str(a.threads), str(a.sets)]
        with Stolen() as host:
            done = subprocess.run([sys.executable, __file__, "peak", *words], stdout=subprocess.PIPE, check=True)
        peak = json.loads(done.stdout.splitlines()[-1])
        found[Path(name).name] = {
            "size": a.size, "output_mib": own >> 20, **peak, "above_output_mib": peak["peak_mib"] - (own >> 20),
            "seconds": host.seconds, "stolen": host.share,
        }  # fmt: skip
    return found


def peak(name: str, dtype: str, width: int, height: int, threads: int, sets: Path) -> None:
    """Of this process: print what resident memory was at most, before and while an image is enlarged."""
    from PIL import Image

    from anyview.superresolution.upscale_file import upscale_image
    from segmentation_memory import resident_bytes

    torch.set_num_threads(threads)
    known = ("edsr", "wdsr-a", "wdsr-b", "srresnet")
    network = build(usual_network(name, SCALE)) if name in known else open_network(name, SCALE)  # type: ignore[arg-type]
    enlarger = Enlarger([network], precision="float32" if dtype == "float32" else "auto", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.png"
        pixels = (photograph(sets)[0] * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(source, compress_level=1)
        before = resident_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the mark of the highest begins anew
        upscale_image(source, Path(folder) / "out.png", enlarger)
        most = resident_bytes("VmHWM")
    print(json.dumps({"tile": enlarger.tile.size, "before_mib": before >> 20, "peak_mib": most >> 20}))


def measure_scores(a: argparse.Namespace) -> dict[str, Any]:
    """By weights and set."""
    found: dict[str, Any] = {}
    for name in ["bicubic", *(a.weights or [name for name in names() if name.endswith(f"-x{SCALE}")])]:
        method = bicubic(SCALE)
        notes: dict[str, str] = {}
        if name != "bicubic":
            method = by_network(Enlarger([open_network(name, SCALE)], precision="float32", device="cpu"))
            notes = {key: value for key, value in read_notes(name).items() if key in ("steps", "minutes")}
        sets = {one: evaluate(find_set(one, SCALE, a.sets), method, SCALE).mean for one in ("Set5", "Set14")}
        figures = {one: {k: round(v, 4) for k, v in mean.labelled().items()} for one, mean in sets.items()}
        found[Path(name).name] = {**notes, **figures}
    return found


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "upscale": measure_upscale,
    "memory": measure_memory,
    "scores": measure_scores,
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        peak(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7]), Path(sys.argv[7]))
    else:
        main()
