"""The dense stage on an NVIDIA GPU: seconds per pass over all views, and whether it finds what the processor finds.

usage: python benchmarks/gpu.py SCENE OUT [--sparse DIR] [--views N] [--size PIXELS] [--compare N] [--results FILE]
                                [--block COLUMNS ROWS] [--registers N]

SCENE is a folder with posed pinhole images; DIR holds a sparse COLMAP model of it (without one, the cameras alone tell
sources and depth ranges). First the passes with all planes in memory, then `dense` itself with its files under OUT.
`--block` and `--registers` try other launches of the kernels.
`--compare` views are matched on the processor too, each pass from the GPU's planes of the pass before.

Needs numpy, scipy, numba, numba-cuda, pillow, jaxtyping and psutil, and nothing else; from a bare checkout, with
PYTHONPATH=src. Writes benchmarks/results/gpu.json with device, versions and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anyview.compute import cpu_count, machine, parallel_map
from anyview.compute.device import cuda_name, resolve
from anyview.errors import AnyviewError
from anyview.formats.colmap import is_model, read_model
from anyview.reconstruction.dense import dense
from anyview.reconstruction.dense_tasks import passes
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo.images import dense_camera, load_grey
from anyview.reconstruction.stereo.patch_match import Pass, Planes, StereoView, match_view
from anyview.reconstruction.views import ViewPlan, plan_views
from anyview.scene.load import load_scene
from anyview.scene.scene import Scene
from anyview.workspace import Workspace

LIBRARIES = ("numpy", "scipy", "numba", "numba-cuda", "llvmlite", "pillow")
SAME = 0.5  # pixels of displacement


class Bench:
    """The views of a scene, and the planes after each pass."""

    def __init__(self, scene: Scene, plans: list[ViewPlan], options: DenseOptions) -> None:
        self.options, self.plans = options, plans
        self.cameras = {v.name: dense_camera(v.camera, options.max_image_size) for v in scene}
        self.passes = passes(options, max(max(c.width, c.height) for c in self.cameras.values()))
        self.poses = {v.name: v.world_from_cam for v in scene}
        self.step = {
            p.name: p.rho_step * scene.views[i].camera.fx / self.cameras[p.name].fx
            for p in plans
            for i in [next(i for i, v in enumerate(scene) if v.name == p.name)]
        }
        greys = parallel_map(lambda v: load_grey(v, self.cameras[v.name]), list(scene))
        self.greys = dict(zip([v.name for v in scene], greys, strict=True))
        self.planes: dict[str, Planes] = {}

    def match(self, engine: Any, plan: Pass, view: ViewPlan) -> tuple[Planes, int]:
        """One pass over one view, from the planes that are there."""

        def stereo(name: str, depth: bool) -> StereoView:
            known = self.planes[name].depth if depth and name in self.planes else None
            return StereoView(self.greys[name], self.cameras[name].matrix, self.poses[name], known, name)

        found: tuple[Planes, int] = engine(
            stereo(view.name, False),
            [stereo(n, plan.geometric > 0) for n in view.sources],
            plan,
            self.planes.get(view.name),
            rho_range=(1 / view.depth_max, 1 / view.depth_min),
            rho_step=self.step[view.name],
            radius=self.options.window_radius,
            color_sigma=self.options.color_sigma,
            most=self.options.views_per_pixel,
            seed=self.plans.index(view),
        )
        return found


def compare(bench: Bench, plan: Pass, view: ViewPlan, theirs: Planes) -> dict[str, Any]:
    """The processor's planes of the same pass, against the GPU's."""
    begin = time.thread_time()
    mine, compared = bench.match(match_view, plan, view)
    seconds = time.thread_time() - begin
    inside = mine.rho > 0
    same = np.abs(mine.rho - theirs.rho)[inside] < SAME * bench.step[view.name] * 2**plan.scale
    return {
        "view": view.name,
        "within_half_a_pixel": round(float(same.mean()), 5),
        "median_cost": [round(float(np.median(p.cost[inside])), 5) for p in (mine, theirs)],
        "ns_per_window_of_a_core": round(1e9 * seconds / max(compared, 1), 1),
    }


def compile_for_the_processor(schedule: list[Pass]) -> None:
    """By passes over a few grey pixels, so that `compare` does not measure it."""
    view, planes = StereoView(np.full((8, 8), 9, np.uint8), np.eye(3), np.eye(4)), None
    for plan in schedule:
        planes, _ = match_view(view, [view], plan, planes, rho_range=(0.5, 1.0), rho_step=0.1)


def run_passes(bench: Bench, matcher: Any, count: int) -> list[dict[str, Any]]:
    """Every pass over all views."""
    rows = []
    for plan in bench.passes:
        begin, busy = time.perf_counter(), matcher.seconds
        found = list(parallel_map(partial(bench.match, matcher.match_view, plan), bench.plans))
        seconds = time.perf_counter() - begin
        windows = sum(n for _, n in found)
        after = {view.name: planes for view, (planes, _) in zip(bench.plans, found, strict=True)}
        row: dict[str, Any] = {
            "scale": plan.scale,
            "geometric": plan.geometric > 0,
            "seconds": round(seconds, 3),
            "seconds_on_device": round(matcher.seconds - busy, 3),  # with transfers and packing
            "windows_per_pixel": round(windows / max(sum(int((p.rho > 0).sum()) for p in after.values()), 1), 2),
            "ns_per_window": round(1e9 * seconds / max(windows, 1), 3),
        }
        row["processor"] = [compare(bench, plan, view, after[view.name]) for view in bench.plans[:count]]
        bench.planes = after
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def measure(words: argparse.Namespace) -> dict[str, Any]:
    """Everything that is written to the results.

    Raises:
        AnyviewError: no GPU, or a scene that cannot be read or used.
    """
    options = replace(DenseOptions(max_image_size=words.size), device=resolve("cuda"))
    from anyview.reconstruction.stereo import cuda, cuda_kernels
    from anyview.reconstruction.stereo.cuda import CudaMatcher

    cuda_kernels.REGISTERS = words.registers
    cuda.BLOCK = tuple(words.block or cuda.BLOCK)
    loaded = load_scene(words.scene)
    scene = loaded.split("train") if any(v.split == "train" for v in loaded) else loaded
    scene = replace(scene, views=scene.views[: words.views])
    workspace = Workspace(words.out)
    if words.sparse is not None:
        shutil.copytree(words.sparse, workspace.sparse, dirs_exist_ok=True)
    model = read_model(workspace.sparse) if is_model(workspace.sparse) else None
    bench = Bench(scene, plan_views(scene, model, options.sources), options)

    compile_for_the_processor(bench.passes)
    begin = time.perf_counter()
    for plan in bench.passes:  # all kernels, once
        bench.planes[bench.plans[0].name], _ = bench.match(CudaMatcher().match_view, plan, bench.plans[0])
    first = time.perf_counter() - begin
    bench.planes = {}
    rows = run_passes(bench, CudaMatcher(), words.compare)

    begin = time.perf_counter()
    result = dense(workspace, scene, options)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": cuda_name(),
        "drivers": sorted({card.driver for card in machine.gpus()}),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"python": platform.python_version(), **{n: machine.version_of(n) or "?" for n in LIBRARIES}},
        "scene": words.scene.name,
        "views": len(bench.plans),
        "size": list(next(iter(bench.greys.values())).shape[::-1]),
        "sparse_points": 0 if model is None else len(model.points.ids),
        "block": list(cuda.BLOCK),
        "registers": words.registers,
        "first_view_seconds": round(first, 2),  # compiles, or finds what was compiled
        "passes_seconds": round(sum(row["seconds"] for row in rows), 2),
        "passes": rows,
        "dense_seconds": round(time.perf_counter() - begin, 2),  # the same and all files: planes, maps, records
        "dense_pixels": result.pixels,
        "done_before": result.compared == 0,  # OUT held the maps already, so that `dense_seconds` says nothing
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sparse", type=Path)
    parser.add_argument("--views", type=int)
    parser.add_argument("--size", type=int, default=DenseOptions.max_image_size)
    parser.add_argument("--compare", type=int, default=3)
    parser.add_argument("--block", type=int, nargs=2)
    parser.add_argument("--registers", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    words = parser.parse_args()
    try:
        record = measure(words)
    except AnyviewError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        sys.exit(2)
    words.results.parent.mkdir(parents=True, exist_ok=True)
    words.results.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['device']}: {record['views']} views in {record['passes_seconds']} s, with files in "
          f"{record['dense_seconds']} s; {words.results}")  # fmt: skip


if __name__ == "__main__":
    main()
