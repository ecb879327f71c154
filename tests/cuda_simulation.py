"""Runs the CUDA kernels in numba's simulator beside the processor's, and prints what came out of both as JSON.

A process of its own, because numba chooses between GPU and simulator when it is imported. Each GPU thread is then a
thread of the interpreter, so the pictures are tiny. Without LLVM's optimisation both must agree to the bit; with it, a
part that is called alone and one that is inlined add in different orders (measured: slopes that differ by 1e-10).

usage: NUMBA_ENABLE_CUDASIM=1 NUMBA_OPT=0 python tests/cuda_simulation.py SCENE WORK
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from anyview.compute.device import cuda_name, resolve
from anyview.formats.colmap import read_array
from anyview.reconstruction.dense import dense
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo import cuda as engine
from anyview.reconstruction.stereo.patch_match import Pass, Planes, StereoView, match_view
from anyview.scene.load import load_scene
from anyview.workspace import Workspace
from stereo_scene import MATRIX, POSES, RHO_STEP, TexturedPlane

LEFT, TOP, WIDTH, HEIGHT = 34, 36, 24, 20
RANGE = (0.15, 0.7)
PASSES = (
    Pass(1, joint=2, alignments=1),
    Pass(0, light=1, alignments=2),
    Pass(0, light=1, alignments=1, geometric=0.1),
    Pass(0, joint=1, alignments=1, geometric=0.1),
)


def views() -> list[StereoView]:
    """A reference and three sources, cut out of the textured plane's pictures, a corner masked out."""
    surface, matrix = TexturedPlane(), MATRIX - [[0, 0, LEFT], [0, 0, TOP], [0, 0, 0]]
    rows, columns = slice(TOP, TOP + HEIGHT), slice(LEFT, LEFT + WIDTH)
    made = []
    for number, pose in enumerate(POSES[:4]):
        grey, depth = surface.grey(pose)[rows, columns].copy(), surface.depth(pose)[rows, columns]
        grey[:5, :4] = 0
        made.append(StereoView(grey, matrix, pose, (1.002 * depth).astype(np.float32), f"view {number}"))
    return made


def differences(one: Planes, other: Planes) -> dict[str, float]:
    """Largest difference of each field."""
    pairs = {name: (value, getattr(other, name)) for name, value in vars(one).items() if name != "scale"}
    return {name: float(np.abs(a.astype(np.float64) - b).max()) for name, (a, b) in pairs.items()}


def compare_passes() -> Iterator[dict[str, Any]]:
    """Pass by pass, each engine going on from its own planes."""
    pictures, matcher = views(), engine.CudaMatcher()
    mine: Planes | None = None
    theirs: Planes | None = None
    settings: dict[str, Any] = {"rho_range": RANGE, "rho_step": RHO_STEP, "most": 2, "seed": 3}
    for plan in PASSES:
        before = mine
        mine, compared = match_view(pictures[0], pictures[1:], plan, mine, **settings)
        theirs, counted = matcher.match_view(pictures[0], pictures[1:], plan, theirs, **settings)
        same = before is not None and before.rho.shape == mine.rho.shape
        yield {
            "compared": [compared, counted], "differences": differences(mine, theirs),
            "planes": int((mine.rho > 0).sum()), "inside": int((pictures[0].grey > 0).sum()),
            "moved": int((before.rho != mine.rho).sum()) if same and before is not None else None,
        }  # fmt: skip


def compare_dense(scene: Path, work: Path) -> dict[str, Any]:
    """The dense stage on both devices, through workspaces."""
    maps, compared = {}, {}
    loaded = load_scene(scene)
    for device in ("cpu", "cuda"):
        workspace = Workspace(work / device)
        options = replace(DenseOptions(max_image_size=16, sources=3, search_iterations=1), device=device)  # type: ignore[arg-type]
        compared[device] = dense(workspace, loaded, options).compared
        maps[device] = [read_array(workspace.depth_map(view.name)) for view in loaded]
    return {
        "compared": compared,
        "pixels": sum(int((m > 0).sum()) for m in maps["cpu"]),
        "largest": max(float(np.abs(a - b).max()) for a, b in zip(*maps.values(), strict=True)),
    }


def kept_images() -> dict[str, Any]:
    """What a matcher with room for two images keeps, and how often it packs."""
    pictures, packed = views(), []
    whole = engine.pack_view
    engine.pack_view = lambda view, scale: (packed.append(view.name), whole(view, scale))[1]  # type: ignore[func-returns-value]
    matcher = engine.CudaMatcher(keep_bytes=2 * (WIDTH + 1) * (HEIGHT + 1) * 4)
    for i in (1, 2, 1, 3, 1, 2):
        matcher._packed(pictures[i], 0)
    matcher._packed(replace(pictures[1], name=""), 0)
    engine.pack_view = whole
    return {"packed": packed, "kept": [name for name, _ in matcher._kept]}


def main() -> None:
    scene, work = Path(sys.argv[1]), Path(sys.argv[2])
    print(json.dumps({
        "device": cuda_name(), "auto": resolve("auto"), "passes": list(compare_passes()), "kept": kept_images(),
        "schedule": [asdict(p) for p in PASSES], "dense": compare_dense(scene, work),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
