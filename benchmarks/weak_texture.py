"""Weak texture and highlights: a table of ceramics, plaster and plastic, reconstructed from renders and scored.

usage: python benchmarks/weak_texture.py OUT [--textures 1 0] [--seeds 0 1 2] [--source CHECKOUT] [--record NAME]

Renders `render_scene(layout="ceramics")` at both ends of its dial: texture 1 (faint grain, drift of colour, printed
labels) and 0 (every thing of one colour: light, highlights, edges and noise are all there is). Runs `anyview
reconstruct` on them as a user would, and scores the clouds with anyview's accuracy module: precision, recall and F1 at
1, 2 and 4 pixel footprints, overall and by contrast. With --source, the reconstruction alone is that of another
checkout; pictures and scores stay those of this one, so that two versions are compared on the same work.

Writes benchmarks/results/NAME.json (default weak_texture); what stands there of the same source and pictures is kept,
so that textures and seeds can be run one by one.

A place of the true surface is weak if, in at least half of the views that see it, the luminance within 7 x 7 pixels
around it has a standard deviation below 2 grey levels of 255 (the camera's noise included); otherwise it is textured. A
point of the cloud belongs to the class of the nearest true place.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

import anyview
from anyview.compute import machine
from anyview.compute.memory import cpu_count
from anyview.formats.ply import read_ply
from anyview.reconstruction.accuracy import TruthCloud, evaluate_geometry, truth_cloud
from anyview.scene.load import load_scene
from anyview.scene.scene import Scene
from anyview.scene.synthetic import render_scene

RESULTS = Path(__file__).parent / "results"
RENDER: dict[str, Any] = {"views": 36, "size": (480, 480), "layout": "ceramics", "specular": 1.0, "noise": 1 / 255}
FOOTPRINTS = (1, 2, 4)
WINDOW, WEAK = 7, 2.0  # pixels, grey levels of 255
TABLE = 1  # its instance: more than half of the surface, so things are scored apart as well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--textures", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--record", default="weak_texture")
    arguments = parser.parse_args()
    fixed = {
        "source": source_version(arguments.source),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "render": RENDER,
        "weak": {"window": WINDOW, "below_grey_levels": WEAK},
    }
    path = RESULTS / f"{arguments.record}.json"
    path.parent.mkdir(exist_ok=True)
    for texture in arguments.textures:
        for seed in arguments.seeds:
            name, folder = f"texture {texture:g}, seed {seed}", arguments.out / f"texture_{texture:g}_seed_{seed}"
            result = kept_runs(path, fixed).get(name)
            if result is None or not (folder / "work" / "fused.ply").exists():
                result = run(folder, texture, seed, arguments.source)
            result |= score_run(folder)
            runs = {**kept_runs(path, fixed), name: result}
            path.write_text(json.dumps({**fixed, "runs": dict(sorted(runs.items()))}, indent=1) + "\n")
            seconds = f"{result['seconds']} s, {result['cpu_seconds']} s of CPU"
            print(f"{name}: {seconds}, {result['weak_share']:.0%} of the surface is weak")
            for kind, scores in result["score"].items():
                row = "  ".join(f"{k} {s['precision']:.3f} {s['recall']:.3f} {s['f1']:.3f}" for k, s in scores.items())
                print(f"  {kind:16} precision recall F1 at {row}", flush=True)
    print(path)


def kept_runs(path: Path, fixed: dict[str, Any]) -> dict[str, Any]:
    """The runs in a record of the same source, machine and pictures; none where there is no such record."""
    record = json.loads(path.read_text()) if path.exists() else {}
    same = {key: value for key, value in record.items() if key != "runs"} == json.loads(json.dumps(fixed))
    return record["runs"] if same else {}


def run(folder: Path, texture: float, seed: int, source: Path) -> dict[str, Any]:
    """Render and reconstruct one scene."""
    images, work = folder / "scene", folder / "work"
    if work.exists():
        sys.exit(f"{work} exists: what it holds would be taken over and not timed; give another OUT or remove it")
    if not (images / "transforms_train.json").exists():  # written last
        render_scene(seed=seed, texture=texture, **RENDER).write(images)
    begin, used = time.perf_counter(), children_cpu_seconds()
    command = [sys.executable, "-m", "anyview", "reconstruct", str(images), "--out", str(work)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(source / "src")})
    seconds, cpu = time.perf_counter() - begin, children_cpu_seconds() - used
    summary = json.loads((work / "summary.json").read_text())
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "images": digest(images),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "stages": summary["stages"],
        "peak_memory_bytes": summary["peak_memory_bytes"],
        "dense": summary["dense"],
    }


def score_run(folder: Path) -> dict[str, Any]:
    """Score one scene's cloud."""
    scene = load_scene(folder / "scene").split("train")
    truth = true_surface(scene)
    weak, table = classify(scene, truth)
    parts = {"all": np.ones_like(weak), "weak": weak, "textured": ~weak, "table": table}
    parts |= {"things": ~table, "things, weak": ~table & weak, "things, textured": ~table & ~weak}
    return {
        "footprint": truth.footprint,
        "weak_share": round(float(weak[truth.seen].mean()), 4),
        "things_share": round(float((~table)[truth.seen].mean()), 4),
        "score": score(read_ply(folder / "work" / "fused.ply").xyz, truth, parts),
    }


def score(cloud: Any, truth: TruthCloud, parts: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Precision, recall and F1 per threshold, for parts of the surface given by masks over its points."""
    thresholds = [n * truth.footprint for n in FOOTPRINTS]
    nearest = cKDTree(truth.surface).query(cloud, workers=-1)[1]
    out = {}
    for kind, part in parts.items():
        accuracy = evaluate_geometry(cloud, truth.surface, thresholds, reachable=truth.seen & part)
        distances = accuracy.distances[part[nearest]]
        out[kind] = {}
        for n, threshold, whole in zip(FOOTPRINTS, thresholds, accuracy.scores, strict=True):
            precision = float((distances < threshold).mean()) if len(distances) else 0.0
            f1 = 2 * precision * whole.recall / max(precision + whole.recall, 1e-12)
            values = {"precision": precision, "recall": whole.recall, "f1": f1}
            out[kind][f"{n}px"] = {name: round(value, 4) for name, value in values.items()}
    return out


def true_surface(scene: Scene) -> TruthCloud:
    """The true surface from the exact depth beside the pictures."""
    return truth_cloud(scene, {view.name: true_depth(view.path) for view in scene if view.path})


def true_depth(image: Path) -> Any:
    """(H, W) z in the camera frame, scene units, 0 where nothing is."""
    with np.load(image.with_suffix(".npz")) as arrays:
        depth = arrays["depth_z"]
    return np.where(np.isfinite(depth), depth, np.float32(0))


def local_contrast(rgb: Any, covered: Any) -> Any:
    """(H, W) standard deviation of luminance in a window, grey levels of 255; what is not covered takes no part."""
    grey, weight = 255 * (rgb @ np.array([0.299, 0.587, 0.114])), covered.astype(np.float64)
    share = np.maximum(uniform_filter(weight, WINDOW, mode="constant"), 1e-9)
    mean = uniform_filter(grey * weight, WINDOW, mode="constant") / share
    square = uniform_filter(grey * grey * weight, WINDOW, mode="constant") / share
    return np.sqrt(np.maximum(square - mean * mean, 0))


def classify(scene: Scene, truth: TruthCloud) -> tuple[Any, Any]:
    """(M,) whether at least half of the views that see a true point show little contrast there, and (M,) whether at
    least half show the table there.
    """
    seen, low, table = np.zeros((3, len(truth.surface)))
    for view in scene:
        assert view.path is not None
        depth, camera = true_depth(view.path), view.camera
        with np.load(view.path.with_suffix(".npz")) as arrays:
            instance = arrays["instance"]
        contrast = local_contrast(view.image(), depth > 0)
        x, y, z = (truth.surface @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]).T
        column = np.floor(x / z * camera.fx + camera.cx).astype(int)
        row = np.floor(y / z * camera.fy + camera.cy).astype(int)
        index = np.flatnonzero((column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height))
        pixel = row[index], column[index]
        visible = np.abs(depth[pixel] - z[index]) < 0.01 * z[index]
        seen[index] += visible
        low[index] += visible & (contrast[pixel] < WEAK)
        table[index] += visible & (instance[pixel] == TABLE)
    return low >= 0.5 * np.maximum(seen, 1), table >= 0.5 * np.maximum(seen, 1)


def children_cpu_seconds() -> float:
    """What finished subprocesses used: unlike seconds, hardly changed by other jobs on the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def digest(folder: Path) -> str:
    """SHA-256 of the pictures' pixels and poses: equal where two runs worked on the same."""
    h = hashlib.sha256()
    for view in load_scene(folder).split("train"):
        h.update(view.image().tobytes() + view.world_from_cam.tobytes())
    return h.hexdigest()


def source_version(checkout: Path) -> str:
    """The commit of a checkout, with "modified" where its `src` differs from it."""

    def git(*command: str) -> str:
        return subprocess.run(["git", "-C", str(checkout), *command], capture_output=True, text=True).stdout.strip()

    modified = ", modified" if git("status", "--porcelain", "--", "src") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + modified


if __name__ == "__main__":
    main()
