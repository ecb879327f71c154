"""SIGKILL at random moments of a run, each followed by the same command: does it end with the same bytes every time?

usage: python benchmarks/faults.py [--kills 20] [--seed 0] [--views 8] [--size 96]

Each time a fresh workspace, a run that is killed at a moment drawn evenly from the length of an undisturbed run, and
the same command again. Compares the digests of cloud, visibility and mesh with those of the undisturbed run.
Writes benchmarks/results/faults.json with machine, versions and date; ends with code 1 where a digest differs.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyview
from anyview.compute import cpu_count, machine
from anyview.scene.synthetic import render_scene

RESULT = Path(__file__).parent / "results" / "faults.json"
COMPARED = ("fused.ply", "fused.ply.vis", "mesh.ply", "mesh.glb")


def run(scene: Path, out: Path, kill_after: float | None = None) -> tuple[int, float, str]:
    """Exit code, seconds, and the last thing that was said."""
    command = [sys.executable, "-m", "anyview", "reconstruct", str(scene), "--out", str(out), "--quality", "low"]
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.seek(0)
        lines = said.read().strip().splitlines()
    return process.returncode, time.monotonic() - begin, lines[-1] if lines else ""


def digests(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in COMPARED}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="anyview-faults-") as folder:
        scene = Path(folder) / "scene"
        render_scene(arguments.views, (arguments.size, arguments.size), seed=1).write(scene)
        run(scene, Path(folder) / "first")  # compiles
        code, length, said = run(scene, Path(folder) / "whole")
        if code:
            raise SystemExit(f"the undisturbed run failed: {said}")
        expected = digests(Path(folder) / "whole")
        rounds: list[dict[str, Any]] = []
        while sum(r["killed"] for r in rounds) < arguments.kills:  # a run may end before its moment comes
            out, moment = Path(folder) / f"{len(rounds)}", rng.uniform(0, length)
            code, _, said = run(scene, out, moment)
            killed = code == -signal.SIGKILL
            again, seconds, end = run(scene, out)
            same = again == 0 and digests(out) == expected
            rounds.append({"moment": round(moment, 2), "killed": killed, "said": said, "again": again, "same": same})
            print(f"{len(rounds):3}  {moment:6.2f} s  {'killed' if killed else 'ended'}  same: {same}  {said or end}")
            print(f"     again {seconds:.1f} s", flush=True)
    kills, same = sum(r["killed"] for r in rounds), sum(r["same"] for r in rounds)
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "options": vars(arguments),
        "seconds_undisturbed": round(length, 1),
        "sha256": expected,
        "kills": kills,
        "same_bytes": same,
        "rounds": rounds,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{same} of {len(rounds)} runs ended with the same bytes; {kills} were killed on the way; {RESULT}")
    return 0 if same == len(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
