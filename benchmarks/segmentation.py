"""Mask R-CNN with a ResNet-50 and a feature pyramid: ours beside torchvision's, the same weights, images and run.

usage: python benchmarks/segmentation.py COCO_DIR [--parts inference training memory exactness noise] [--weights FILE]
                  [--images 6] [--rounds 4] [--objects 40] [--compile] [--trained RUN [--labelled COCO_DIR:val]]

| part | what |
|---|---|
| inference | photographs per second, one at a time as most users have them, and which step gives what |
| training | seconds of a step on two photographs |
| memory | peak above the loaded model at 100 detections in a photograph of 4000 x 3000 |
| exactness | AP of both programs on labelled images, with trained weights (--trained) |
| noise | AP in float32 and in bfloat16 of few labelled images, `--times` with other noise in them, and the difference |

Programs take turns, for other work on the machine comes and goes; `stolen` is what a virtual machine's host gave to
others. In the record `per_second` is that of the best turns and `ratio` the median of ratios within a turn; the
README's table has rates of the median turns and their quotients, both from `seconds`.

Without --weights (torchvision's checkpoint of COCO, say) they are random, made
to decide like trained ones and to find `--objects` in a photograph on the mean (segmentation_models.py): the work is a
trained network's, what is found means nothing. Each step's detections are scored with torchvision's taken for the
truth (`mask_ap_to_torchvision`); a random network's scores lie close together, so that in bfloat16 many change places.
What bfloat16 costs in AP is measured in `exactness`, on images labelled by people or rendered.

Under 12 minutes. Writes benchmarks/results/segmentation.json; parts that stand there of the same machine are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import anyview
from anyview.compute import cpu_count, machine
from anyview.segmentation.data.folder import open_data
from anyview.segmentation.data.subset import spread
from segmentation_exactness import exactness, noisy
from segmentation_inference import inference
from segmentation_memory import memory
from segmentation_models import pair
from segmentation_training import training

RESULTS = Path(__file__).parent / "results" / "segmentation.json"
MOST = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["inference", "training", "memory"])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--objects", type=float, default=40)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--side", type=int, default=800, help="shorter side of what the networks see, pixels")
    parser.add_argument("--large", type=int, nargs=2, default=[4000, 3000], help="of the photograph for `memory`")
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--labelled", help="COCO_DIR:SPLIT, or synthetic:val; by default COCO_DIR's val")
    parser.add_argument("--judged", type=int, default=40)
    parser.add_argument("--times", type=int, default=16)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    learning = {name: machine.version_of(name) for name in ("torch", "torchvision")}
    fixed: dict[str, Any] = {
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": {"anyview": anyview.__version__, **learning, **machine.versions()},
        "threads": a.threads,
    }
    before = json.loads(a.results.read_text()) if a.results.exists() else {}
    runs = before.get("runs", {}) if all(before.get(key) == value for key, value in fixed.items()) else {}
    for name in a.parts:
        dated = {"date": datetime.date.today().isoformat(), "weights": a.weights.name if a.weights else "random"}
        runs[name] = {**dated, **PARTS[name](a)}
        a.results.parent.mkdir(parents=True, exist_ok=True)
        a.results.write_text(json.dumps({**fixed, "runs": {k: runs[k] for k in PARTS if k in runs}}, indent=1) + "\n")
        print(name, json.dumps(runs[name]), flush=True)
    print(a.results)


def photographs(a: argparse.Namespace, split: str, count: int) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Some of a split, in [0, 1], with what is in them; labels are COCO's."""
    data = open_data(a.data, split, numbering="coco")
    if data is None:
        raise SystemExit(f"{a.data} has no images of the split {split}")
    chosen = spread(data, count)
    return [(image.float() / 255, target) for image, target in (chosen[i] for i in range(len(chosen)))]


def measure_inference(a: argparse.Namespace) -> dict[str, Any]:
    images = [image for image, _ in photographs(a, "val", a.images)]
    return inference(*pair(a.weights, images, a.objects, a.side), images, a.rounds, a.compile)


def measure_training(a: argparse.Namespace) -> dict[str, Any]:
    some = photographs(a, "train", 12)
    busy = sorted(some, key=lambda item: abs(len(item[1]["labels"]) - 10))[:2]  # ten objects, about COCO's usual
    images, targets = [image for image, _ in busy], [target for _, target in busy]
    return training(*pair(a.weights, images, a.objects, a.side), images, targets, a.rounds)


def measure_memory(a: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file, weights = Path(folder) / "large.png", Path(folder) / "weights.safetensors"
        (image, _), *_ = photographs(a, "val", 1)
        pixels = Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).resize(
            a.large, Image.Resampling.BICUBIC
        )
        pixels.save(file, compress_level=1)
        small = [torch.nn.functional.interpolate(image[None], (600, 800), mode="bilinear")[0]]
        save_file(pair(a.weights, small, MOST)[1].state_dict(), weights)
        found = memory(weights, file)
    ratios = {name: round(found["torchvision"]["above_mib"] / f["above_mib"], 2) for name, f in found.items()}
    return {"photograph": a.large, "programs": found, "ratio": ratios}


def measure_exactness(a: argparse.Namespace) -> dict[str, Any]:
    return exactness(*trained(a), a.judged)


def measure_noise(a: argparse.Namespace) -> dict[str, Any]:
    return noisy(*trained(a), a.judged, a.times)


def trained(a: argparse.Namespace) -> tuple[Path, str, str]:
    """Weights, folder and split."""
    if a.trained is None:
        raise SystemExit("AP wants trained weights: --trained RUN, or torchvision's checkpoint")
    data, _, split = (a.labelled or f"{a.data}:val").rpartition(":")
    return a.trained, data, split


PARTS = {
    "inference": measure_inference,
    "training": measure_training,
    "memory": measure_memory,
    "exactness": measure_exactness,
    "noise": measure_noise,
}


if __name__ == "__main__":
    main()
