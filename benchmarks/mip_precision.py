"""What bfloat16 costs mip-NeRF: the same trainings in both precisions, from several seeds.

usage: python benchmarks/mip_precision.py [--seeds 4] [--steps 200 400]

Each pair of trainings begins with the same weights and learns the same 64 rays per step, of a striped ball before
white, on the processor. PSNR is that of 512 rays that are not learnt from, rendered in the training's own precision.
`difference` is the mean of bfloat16 minus float32 over the seeds, with its standard error: a training is a chaotic
thing, and one pair says little. Writes benchmarks/results/mip_precision.json; seeds that stand there of the same
machine, versions and steps are kept.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anyview.compute import cpu_count, machine
from anyview.radiance import MipNeRF
from mip_step import psnr, teach

RESULTS = Path(__file__).parent / "results" / "mip_precision.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 400])
    a = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {str(steps): {"float32": [], "bfloat16": []} for steps in a.steps}
    fixed: dict[str, Any] = {
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": machine.versions(),
    }
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if all(before.get(key) == value for key, value in fixed.items()) and before["psnr"].keys() == found.keys():
        found = before["psnr"]
    for seed in range(len(found[str(a.steps[0])]["float32"]), a.seeds):
        torch.manual_seed(seed)
        model = MipNeRF()
        for name, one in (("float32", model), ("bfloat16", copy.deepcopy(model))):
            for done, steps in zip([0, *a.steps], a.steps, strict=False):
                teach(one, steps - done, name == "bfloat16", seed=(seed + 1) * 10**5 + done)
                found[str(steps)][name].append(psnr(one, name == "bfloat16"))
                print(f"seed {seed}, {name}, {steps} steps: {found[str(steps)][name][-1]} dB", flush=True)
        record = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            **fixed,
            "psnr": found,
            "difference": {steps: difference(pair) for steps, pair in found.items()},
        }
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print({steps: difference(pair) for steps, pair in found.items()})


def difference(pair: dict[str, list[float]]) -> dict[str, float | None]:
    """Mean and standard error, dB; one pair has none."""
    apart = np.subtract(pair["bfloat16"], pair["float32"])
    error = round(float(apart.std(ddof=1) / len(apart) ** 0.5), 3) if len(apart) > 1 else None
    return {"mean": round(float(apart.mean()), 3), "standard_error": error}


if __name__ == "__main__":
    main()
