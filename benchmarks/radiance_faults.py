"""SIGKILL at random moments of a field's training, each followed by the same command: are the last weights the same?

usage: python benchmarks/radiance_faults.py [--fields grid mip] [--kills 5] [--seed 0] [--views 6] [--size 48]
       [--steps 200]

For each field one undisturbed run of `anyview radiance train` on a synthetic scene, on the processor, and one that is
killed again and again until it has been killed so often; then it goes on to its end. The moments are drawn evenly from
the length of the undisturbed run, from where its options are written (libraries are loaded then, images are not yet
read). A run that ends before its moment comes is begun again in another folder.
Compares everything in the last checkpoint (weights, optimisers, occupancy, random sequences) bit by bit.
Writes benchmarks/results/radiance_faults.json with machine, versions and date; ends with code 1 where a bit differs.
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

import torch

import anyview
from anyview.compute import cpu_count, machine
from anyview.scene.synthetic import render_scene
from anyview.training.checkpoint import load_checkpoint
from anyview.training.tree import flatten

RESULT = Path(__file__).parent / "results" / "radiance_faults.json"
# Small enough for some seconds per run; checkpoints at every second.
SETTINGS = (
    "loop.save_every_seconds=1", "loop.validate_every=50", "loop.device=cpu", "mip.batch=256", "mip.delay=0",
    "mip.model.intervals=16", "mip.model.width=64", "mip.model.depth=4", "mip.model.head_width=32", "grid.levels=8",
    "grid.log2_entries=14", "grid.cells=64", "grid.samples=8192",
)  # fmt: skip


def run(scene: Path, out: Path, field: str, steps: int, kill_after: float | None = None) -> tuple[int, float, str]:
    """Exit code, seconds since its options were written, and the last thing that was said."""
    words = ["radiance", "train", str(scene), "--out", str(out), "--field", field, "--steps", str(steps)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    begun = time.time_ns()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", "anyview", *words], stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None and not written(out / "config.yaml") > begun:
            time.sleep(0.02)
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.seek(0)
        lines = said.read().strip().splitlines()
    return process.returncode, (time.time_ns() - written(out / "config.yaml")) / 1e9, lines[-1].strip() if lines else ""


def written(path: Path) -> int:
    """When, in nanoseconds of the system's clock."""
    return path.stat().st_mtime_ns if path.exists() else 0


def step_reached(out: Path) -> int:
    """Of the newest checkpoint."""
    return max((int(path.stem[5:]) for path in (out / "checkpoints").glob("step_*.safetensors")), default=0)


def state_digest(out: Path, step: int) -> str:
    """Of all tensors and numbers in the last checkpoint; the times beside them differ between runs."""
    tree, tensors = flatten(load_checkpoint(out / "checkpoints" / f"step_{step:08d}.safetensors")[0])
    digest = hashlib.sha256(json.dumps(tree).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def kill_and_resume(scene: Path, folder: Path, field: str, a: argparse.Namespace, rng: random.Random) -> dict[str, Any]:
    """An undisturbed run and a killed one."""
    run(scene, folder / "first", field, 1)  # compiles
    code, length, said = run(scene, folder / "whole", field, a.steps)
    if code:
        raise SystemExit(f"the undisturbed run failed: {said}")
    expected, kills = state_digest(folder / "whole", a.steps), []
    out, ended = folder / "killed0", 0
    while len(kills) < a.kills:
        moment = rng.uniform(0, length)
        code, _, said = run(scene, out, field, a.steps, moment)
        if code != -signal.SIGKILL:
            if code or state_digest(out, a.steps) != expected:
                return {"seconds_undisturbed": round(length, 1), "kills": kills, "same_bits": False, "said": said}
            ended += 1
            out = folder / f"killed{ended}"
            continue
        kills.append({"moment": round(moment, 2), "step": step_reached(out), "folder": out.name})
        print(
            f"{field}: killed after {moment:.2f} of {length:.2f} s, a checkpoint of step {kills[-1]['step']}",
            flush=True,
        )
    code, _, said = run(scene, out, field, a.steps)
    same = code == 0 and state_digest(out, a.steps) == expected
    print(f"{field}: same bits: {same}  {said}", flush=True)
    return {"seconds_undisturbed": round(length, 1), "sha256": expected, "kills": kills, "same_bits": same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", nargs="+", default=["grid", "mip"])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--steps", type=int, default=200)
    a = parser.parse_args()
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory(prefix="anyview-faults-") as folder:
        scene = Path(folder) / "scene"
        render_scene(a.views, (a.size, a.size), seed=1).write(scene)
        fields = {field: kill_and_resume(scene, Path(folder) / field, field, a, rng) for field in a.fields}
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, "torch": torch.__version__, **machine.versions()},
        "options": {**vars(a), "set": SETTINGS},
        "fields": fields,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    same = all(field["same_bits"] for field in fields.values())
    print(f"{'the same bits' if same else 'OTHER BITS'} in {', '.join(fields)}; {RESULT}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
