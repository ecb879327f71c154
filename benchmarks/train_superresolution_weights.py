"""Trains the weights that come with the package; run again, it goes on from where it was.

usage: python benchmarks/train_superresolution_weights.py NAME --out RUNS [--steps N] [--data ../shared/data]

NAME is one of `wdsr-b-x4`, `wdsr-b-x2`, `edsr-x4`. Steps are about what three hours allow on one otherwise idle core
with AVX-512 bf16 (OMP_NUM_THREADS=1, two trainings at a time on two cores); the result does not depend on how long they
take. The command is printed, and noted in the weights with the data, its digest, steps, minutes, seed and scores: of
`anyview superres train` on the 300 photographs of bsds500 (train and test), validated on ten of COCO's, so that Set5,
Set14 and BSD100 take part in no choice. At the end the weights are copied to
src/anyview/weights/superresolution/NAME.safetensors, with their PSNR and SSIM of the luma on Set5 and Set14 (x4: the
shipped pairs; else small pictures of our own bicubic).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Final

import numpy as np
import tyro

from anyview.cli.superres_train import Train
from anyview.superresolution.bicubic import shrunk
from anyview.superresolution.config import WEIGHTS
from anyview.superresolution.data.pairs import find_pairs, read_pair
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.scores import mean_scores, scores
from anyview.superresolution.validation import upscaled
from anyview.superresolution.weights import SHIPPED, load_weights, read_notes, save_weights

RECIPES: Final = {
    "wdsr-b-x4": ("--arch wdsr-b --scale 4 --set data.crop=96", 14_000),
    "wdsr-b-x2": ("--arch wdsr-b --scale 2 --set data.crop=64", 8_000),
    "edsr-x4": ("--arch edsr --scale 4 --set data.crop=96 --set optimiser.rate=0.0004", 15_000),
}
"""The words and steps of each training; all have 16 crops in a step, Adam, a cosine, and an average of the weights."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="another number, to try it")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    a = parser.parse_args()
    run = a.out / a.name
    recipe, steps = RECIPES[a.name]
    words = [str(a.data / "bsds500"), *recipe.split(), "--val", str(a.data / "coco_tiny" / "val2017")]
    words += ["--steps", str(a.steps or steps), "--out", str(run)]
    sys.argv = ["anyview", "superres", "train", *words]  # what the weights say made them
    print(shlex.join(sys.argv), flush=True)
    code = tyro.cli(Train, args=words).run()
    if code:
        sys.exit(code)
    network, notes = load_weights(run / WEIGHTS), read_notes(run / WEIGHTS)
    del notes["network"]
    for name in ("Set5", "Set14"):
        notes[name] = set_score(network, a.data / "super_resolution" / name)
        print(name, notes[name])
    SHIPPED.mkdir(parents=True, exist_ok=True)
    save_weights(network, SHIPPED / f"{a.name}.safetensors", notes)
    print(SHIPPED / f"{a.name}.safetensors")


def set_score(network: Upscaler, folder: Path) -> str:
    """PSNR and SSIM of the luma, border cropped, in words."""
    scale, each = network.options.scale, []
    for pair in find_pairs(folder, folder, 4):  # the large ones serve all scales
        low, high = read_pair(pair, 4)
        if scale != 4:
            high = high[: high.shape[0] // scale * scale, : high.shape[1] // scale * scale]
            low = shrunk(high if high.ndim == 3 else np.repeat(high[:, :, None], 3, 2), scale)
        each.append(scores(upscaled(network, low), high, scale))
    mean = mean_scores(each)
    return f"psnr_y {mean.psnr_y:.3f}, ssim_y {mean.ssim_y:.4f}"


if __name__ == "__main__":
    main()
