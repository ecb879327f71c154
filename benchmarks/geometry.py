"""`anyview reconstruct` on a folder with posed images, timed as a user sees it, and scored where the truth is known.

usage: python benchmarks/geometry.py SCENE OUT [--score SCORER.py]

Prints how much the dense stage compares, and how fast: NCC evaluations (windows) per pixel that got a depth, and
nanoseconds of one core per evaluation. Writes benchmarks/results/geometry_NAME.json with machine, versions and date.
SCORER.py SCENE CLOUD prints JSON with precision, recall and F1 per threshold (multiples of a pixel's footprint).
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import anyview
from anyview.compute import machine
from anyview.compute.memory import cpu_count

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--score", type=Path)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    command = [sys.executable, "-m", "anyview", "reconstruct", str(arguments.scene), "--out", str(arguments.out)]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begin
    summary = json.loads((arguments.out / "summary.json").read_text())
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "scene": arguments.scene.name,
        "seconds": round(seconds, 1),
        "stages": summary["stages"],
        "peak_memory_bytes": summary["peak_memory_bytes"],
        "sparse": summary["sparse"],
        "dense": summary["dense"],
    }
    if arguments.score:
        scorer = [sys.executable, str(arguments.score), str(arguments.scene), str(arguments.out / "fused.ply")]
        record["score"] = json.loads(subprocess.run(scorer, check=True, capture_output=True, text=True).stdout)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"geometry_{arguments.scene.name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path.read_text())
    dense = summary["dense"]
    print(f"{dense['windows_per_pixel']} NCC evaluations per pixel, {dense['ns_per_window']} ns each")


if __name__ == "__main__":
    main()
