"""Peak memory of 100 detections in a photograph of 4000 x 3000 pixels: torchvision's Mask R-CNN and ours.

usage: python benchmarks/segmentation_memory.py PROGRAM WEIGHTS PHOTOGRAPH    (segmentation.py calls it)

Each program reads the file and finds its objects in a process of its own. What counts is the peak of resident memory
above that before the file was read, with the model loaded. PROGRAM is

| | |
|---|---|
| torchvision | `maskrcnn_resnet50_fpn`: masks are probabilities at full size |
| floats | our model called in the same way, with the same result |
| anyview | `find_objects`, which `anyview segment predict` uses: masks in their boxes |
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

PROGRAMS = ("torchvision", "floats", "anyview")


def memory(weights: Path, photograph: Path) -> dict[str, dict[str, float]]:
    """By program objects, and MiB before and above that."""
    found = {}
    for name in PROGRAMS:
        command = [sys.executable, __file__, name, str(weights), str(photograph)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, found[name], flush=True)
    return found


def main() -> None:
    name, weights, photograph = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    run = finder(name, weights)
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the mark of the highest begins anew
    objects = run(photograph)
    above = resident_bytes("VmHWM") - before
    print(json.dumps({"objects": objects, "before_mib": before >> 20, "above_mib": above >> 20}))


def finder(name: str, weights: Path) -> Callable[[Path], int]:
    """From a file to the number of objects; the model is loaded."""
    import torch

    from anyview.segmentation.data.classes import named_classes
    from anyview.segmentation.pretrained import open_pretrained
    from segmentation_models import photograph, twin

    pretrained = open_pretrained(weights)
    names = [f"class {label}" for label in range(1, pretrained.model.options.num_classes)]
    pretrained = replace(
        pretrained, classes=named_classes(names)
    )  # of 90 labels COCO names 80, and the rest is dropped
    if name == "anyview":
        from anyview.segmentation.detector import Detector
        from anyview.segmentation.predict import find_objects
        from anyview.segmentation.tiles import TileOptions

        detector = Detector(pretrained.model, min_score=0, device="cpu")
        return lambda path: len(find_objects(path, pretrained, detector, TileOptions())[1])
    model: torch.nn.Module = pretrained.model
    if name == "torchvision":
        model = twin(pretrained.model.options)
        model.load_state_dict(pretrained.model.state_dict())
        del pretrained

    def run(path: Path) -> int:
        with torch.no_grad():
            return len(model([photograph(path)])[0]["masks"])

    return run


def resident_bytes(which: str) -> int:
    """VmRSS: now; VmHWM: the most since the mark was set."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(which))


if __name__ == "__main__":
    main()
