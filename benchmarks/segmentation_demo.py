"""What the small Mask R-CNN has learnt of rendered solids after a given time: `anyview segment demo`, as users run it.

usage: python benchmarks/segmentation_demo.py OUT [--minutes 15]

OUT is the demo's folder; with a finished demo in it only its figures are read, and what the machine's host took from it
meanwhile (`stolen`) is not known. AP is COCO's, of all held-back pictures, with the weights that validated best.
Writes benchmarks/results/segmentation_demo.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyview
from anyview.compute import cpu_count, machine
from turns import Stolen

RESULTS = Path(__file__).parent / "results" / "segmentation_demo.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--results", type=Path, default=RESULTS)
    a = parser.parse_args()
    stolen = None
    if not (a.out / "val.json").exists():
        words = ["segment", "demo", "--out", str(a.out), "--max-minutes", str(a.minutes)]
        with Stolen() as host:
            subprocess.run([sys.executable, "-m", "anyview", *words], check=True)
        stolen = host.share
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": {"anyview": anyview.__version__, "torch": machine.version_of("torch"), **machine.versions()},
        "stolen": stolen,
        **figures(a.out),
    }
    a.results.parent.mkdir(parents=True, exist_ok=True)
    a.results.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


def figures(run: Path) -> dict[str, Any]:
    """Of a finished demo: time, steps, validations on the way, AP at the end."""
    judged = json.loads((run / "val.json").read_text())
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = int(rows[-1]["step"])
    on_the_way = [
        {"step": int(row["step"]), "seconds": round(float(row["seconds"]), 1), "mask_ap": float(row[key])}
        for row in rows
        if row.get(key := "validation/mask_ap") and row["seconds"]
    ]
    return {
        "minutes": round(float(max((row["seconds"] for row in rows if row["seconds"]), key=float)) / 60, 2),
        "steps": steps,
        "images_seen": steps * int(float(rows[0]["items"])),
        "weights_of_step": judged["step"],
        "pictures": judged["images"],
        "ap": {kind: {k: v and round(v, 4) for k, v in judged[kind].items()} for kind in ("box", "mask")},
        "validations": on_the_way,
    }


if __name__ == "__main__":
    main()
