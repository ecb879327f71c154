"""How near the surface of a trained field lies to the truth: its points, and the vertices of its mesh.

usage: python benchmarks/radiance_surface.py SCENE OUT --score SCORER.py [--minutes 5]

Trains the field `grid` on SCENE, exports points and a mesh, scores both. OUT is the run's folder; with a trained run in
it that run is scored, and what the machine's host took meanwhile (`stolen`) is not known.
SCORER.py SCENE CLOUD prints JSON with precision, recall and F1 per threshold (multiples of a pixel's footprint).
Writes benchmarks/results/radiance_surface_NAME.json with machine, versions and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyview
from anyview.compute import cpu_count, machine
from anyview.training.log import read_log
from turns import Stolen

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5)
    a = parser.parse_args()
    stolen = None
    if not (a.out / "report.html").exists():
        with Stolen() as host:
            radiance("train", str(a.scene), "--out", str(a.out), "--max-minutes", f"{a.minutes:g}")
        stolen = host.share
    log = read_log(a.out)
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, "torch": machine.version_of("torch"), **machine.versions()},
        "scene": a.scene.name,
        "minutes": round(max(log["seconds"]) / 60, 2),
        "stolen": stolen,
        "validation_psnr": round(max(x for x in log["validation/psnr"] if x == x), 2),
    }
    for kind, words in (("points", []), ("mesh", ["--to", "mesh"])):
        path = a.out / f"{kind}.ply"
        with Stolen() as host:
            radiance("export", str(a.out), *words, "--out", str(path))
        scorer = [sys.executable, str(a.score), str(a.scene), str(path)]
        score = json.loads(subprocess.run(scorer, check=True, capture_output=True, text=True).stdout)
        record[kind] = {"seconds": host.seconds, "stolen": host.share, **score}
        print(json.dumps({kind: record[kind]}), flush=True)
    path = RESULTS / f"radiance_surface_{a.scene.name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")


def radiance(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "anyview", "radiance", *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
