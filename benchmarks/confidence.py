"""What the confidence of fused points is worth, on a finished `anyview demo` whose true surface is known.

usage: python benchmarks/confidence.py WORK

Sorts the points of `fused.ply` into classes of confidence and compares the error that each class is expected to have
with the one it has (pixel footprints); then makes the mesh with and without the points of little confidence and scores
both. Writes benchmarks/results/confidence.json with machine, versions and date.
"""

from __future__ import annotations

import datetime
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import anyview
from anyview.compute import cpu_count, machine
from anyview.formats.ply import read_ply
from anyview.reconstruction.accuracy import TruthCloud, score_cloud, truth_cloud
from anyview.reconstruction.meshing import mesh
from anyview.reconstruction.options import MeshOptions
from anyview.scene.load import load_scene
from anyview.workspace import Workspace

RESULT = Path(__file__).parent / "results" / "confidence.json"
CLASSES = (0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1)
LARGEST = 10.0  # footprints: what is further off counts as this
SHARES = (0.0, MeshOptions().min_confidence, 0.1, 0.3)


def main(work: Path) -> None:
    scene = load_scene(work / "scene").split("train")
    depths = {}
    for view in scene:
        assert view.path is not None
        depth = np.load(view.path.with_suffix(".npz"))["depth_z"]
        depths[view.name] = np.where(np.isfinite(depth), depth, np.float32(0))
    truth = truth_cloud(scene, depths)
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "views": len(scene),
        "size": [scene.views[0].camera.width, scene.views[0].camera.height],
        "classes": classes(work / "fused.ply", truth),
        "mesh": [surface(work / "fused.ply", truth, share) for share in SHARES],
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(RESULT.read_text())


def classes(path: Path, truth: TruthCloud) -> list[dict[str, float]]:
    """Per class of confidence c: the expected error sqrt(1 / c - 1) and the measured one, root mean squares."""
    cloud = read_ply(path)
    accuracy = score_cloud(cloud.xyz, truth)
    error = np.minimum(accuracy.distances / accuracy.scores[0].threshold, LARGEST)
    confidence = cloud.vertices["confidence"].astype(np.float64)
    expected = np.minimum(np.sqrt(1 / np.maximum(confidence, 1e-9) - 1), LARGEST)
    out = []
    for low, high in pairwise(CLASSES):
        rows = (confidence >= low) & ((confidence < high) | (high == 1))
        if rows.any():
            facts = {
                "from": low,
                "to": high,
                "share": rows.mean(),
                "expected": np.sqrt(np.mean(expected[rows] ** 2)),
                "measured": np.sqrt(np.mean(error[rows] ** 2)),
                "off_by_more_than_2": np.mean(error[rows] > 2),
            }
            out.append({name: round(float(value), 4) for name, value in facts.items()})
    return out


def surface(cloud: Path, truth: TruthCloud, share: float) -> dict[str, Any]:
    """The scores of the mesh without the points of less confidence, from points drawn evenly from its surface."""
    import trimesh

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        shutil.copyfile(cloud, workspace.fused)
        result = mesh(workspace, MeshOptions(min_confidence=share))
        made = read_ply(workspace.mesh)
    whole = trimesh.Trimesh(made.xyz, made.faces, process=False)
    points = trimesh.sample.sample_surface(whole, 500_000, seed=0)[0]
    accuracy = score_cloud(np.asarray(points, np.float64), truth)
    error = np.minimum(accuracy.distances / accuracy.scores[0].threshold, LARGEST)
    scores = [{name: round(value, 5) for name, value in asdict(score).items()} for score in accuracy.scores]
    facts = {"min_confidence": share, **vars(result), "rms": round(float(np.sqrt(np.mean(error**2))), 4)}
    return {**facts, "scores": scores}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
