"""The chain train, eval, predict on a few photographs with COCO's annotations, learnt by heart from random weights.

usage: python benchmarks/segmentation_overfit.py COCO_DIR OUT [--images 8] [--steps 400] [--batch 4] [--side 320]

Photographs and annotations of COCO_DIR's training split are copied into OUT/data, where the same ones are learnt from
and judged by: a model whose losses, coding of boxes or masks were wrong anywhere could not learn them. Every command is
the user's. Run again, it goes on. Writes benchmarks/results/segmentation_overfit.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyview
from anyview.compute import cpu_count, machine
from turns import Stolen

RESULTS = Path(__file__).parent / "results" / "segmentation_overfit.json"


def some_of(coco: Path, out: Path, count: int) -> dict[str, int]:
    """The first training images that have objects, as both splits of a folder of their own; how much there is."""
    told = json.loads((coco / "annotations" / "instances_train2017.json").read_text())
    annotated = {a["image_id"] for a in told["annotations"] if not a["iscrowd"]}
    images = [image for image in told["images"] if image["id"] in annotated][:count]
    chosen = {image["id"] for image in images}
    annotations = [a for a in told["annotations"] if a["image_id"] in chosen]
    kinds = {a["category_id"] for a in annotations}
    categories = [c for c in told["categories"] if c["id"] in kinds]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        (out / split).mkdir(exist_ok=True)
        for image in images:
            shutil.copy(coco / "train2017" / image["file_name"], out / split)
        (out / "annotations" / f"instances_{split}.json").write_text(text)
    return {"images": len(images), "objects": len(annotations), "classes": len(kinds)}


def segment(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "anyview", "segment", *words], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=4, help="photographs in a step")
    parser.add_argument("--side", type=int, default=320, help="shorter side of what the network sees, pixels")
    a = parser.parse_args()
    content = some_of(a.data, a.out / "data", a.images)
    settings = (
        f"model.images.min_size=[{a.side}]", f"model.images.max_size={2 * a.side}", f"optimiser.batch={a.batch}",
        f"loop.steps={a.steps}", f"loop.validate_every={a.steps // 4}",
        "model.anchors.sizes=[[16],[32],[64],[128],[256]]",
        "model.detections.samples=64", "model.detections.most=100", "optimiser.ema=0.98", "optimiser.weight_decay=0",
        "augment.flip=0",
    )  # fmt: skip
    options = [word for setting in settings for word in ("--set", setting)]
    run, data = a.out / "run", a.out / "data"
    with Stolen() as host:
        segment("train", str(data), "--out", str(run), "--preset", "small", *options)
    segment("eval", str(run), str(data), "--json", str(a.out / "eval.json"))
    segment("predict", str(data / "val"), "--weights", str(run), "--out", str(a.out / "found"))
    judged = json.loads((a.out / "eval.json").read_text())
    found = json.loads((a.out / "found" / "predictions.json").read_text())
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count(), "has": machine.cpu_features()},
        "versions": {"anyview": anyview.__version__, "torch": machine.version_of("torch"), **machine.versions()},
        "settings": list(settings),
        **content,
        "steps": judged["step"],
        "seconds": host.seconds,
        "stolen": host.share,
        "ap": {kind: {k: v and round(v, 4) for k, v in judged[kind].items()} for kind in ("box", "mask")},
        "predicted": len(found["annotations"]),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
