"""The sparse stage against pycolmap's own known-pose flow (extract, match exhaustively, triangulate), in one run.

usage: python benchmarks/sparse.py SCENE

Each flow works in a process of its own, one after the other, on the same views with the same cameras and all cores.
The kernels are compiled beforehand: that happens once per installation. Where a view's image has its rendered depth
beside it (`NAME.npz` with `depth_z`), the points of both are compared with it.
Writes benchmarks/results/sparse_NAME.json with machine, versions and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

import anyview
from anyview.compute import cpu_count, machine, peak_memory_bytes
from anyview.formats.colmap import read_model
from anyview.reconstruction.options import SparseOptions
from anyview.reconstruction.pipeline import choose_split
from anyview.reconstruction.sparse import sparse
from anyview.scene import Scene, View
from anyview.workspace import Workspace

RESULTS = Path(__file__).parent / "results"


def run_anyview(scene: Scene, out: Path) -> dict[str, Any]:
    warm_up = Scene(scene.views[:3])
    sparse(Workspace(out / "warm-up"), warm_up, SparseOptions())
    begin = time.perf_counter(), time.process_time()
    sparse(Workspace(out), scene, SparseOptions())
    return {"seconds": time.perf_counter() - begin[0], "cpu_seconds": time.process_time() - begin[1]}


def run_pycolmap(scene: Scene, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    database, sparse_folder = out / "database.db", out / "sparse"
    sparse_folder.mkdir()
    camera = scene.views[0].camera
    reader = pycolmap.ImageReaderOptions(
        camera_model=camera.model, camera_params=",".join(repr(value) for value in camera.params)
    )
    root, named = relative_names(scene)
    begin = time.perf_counter(), time.process_time()
    pycolmap.extract_features(
        database,
        root,
        image_names=sorted(named),
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        device=pycolmap.Device.cpu,
    )
    extracted = time.perf_counter()
    pycolmap.match_exhaustive(database, device=pycolmap.Device.cpu)
    matched = time.perf_counter()
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as stored:
        for entry in stored.read_all_cameras():
            model.add_camera_with_trivial_rig(entry)
        for image in stored.read_all_images():
            pose = pycolmap.Rigid3d(named[image.name].cam_from_world[:3])
            bare = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
            model.add_image_with_trivial_frame(bare, pose)
    pycolmap.triangulate_points(model, database, root, sparse_folder)
    end = time.perf_counter()
    return {
        "seconds": end - begin[0],
        "cpu_seconds": time.process_time() - begin[1],
        "stages": {"extract": extracted - begin[0], "match": matched - extracted, "triangulate": end - matched},
    }


def relative_names(scene: Scene) -> tuple[Path, dict[str, View]]:
    """The images' common folder and their names in it."""
    paths = {view.path: view for view in scene if view.path is not None}
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return root, {path.relative_to(root).as_posix(): view for path, view in paths.items()}


def judge(scene: Scene, out: Path) -> dict[str, Any]:
    """Points, error and track length of a model, and how far its points are from the rendered surface."""
    model = pycolmap.Reconstruction(out / "sparse")
    facts: dict[str, Any] = {
        "points": model.num_points3D(),
        "mean_reprojection_error": round(model.compute_mean_reprojection_error(), 4),
        "mean_track_length": round(model.compute_mean_track_length(), 2),
    }
    truths = {name: view.path.with_suffix(".npz") for name, view in relative_names(scene)[1].items() if view.path}
    if all(path.exists() for path in truths.values()):
        off = footprints_off(scene, out, truths)
        facts["share_of_points_off"] = {f"{n} footprints": round(float((off > n).mean()), 4) for n in (1, 2, 4, 10)}
    return facts


def footprints_off(scene: Scene, out: Path, truths: dict[str, Path]) -> np.ndarray:
    """Median over its views of each point's distance in depth from the nearest of 3x3 pixels, in pixel footprints."""
    model, views = read_model(out / "sparse"), relative_names(scene)[1]
    points = model.points
    positions = np.repeat(points.xyz, points.track_lengths, axis=0)
    gaps = np.empty(len(positions))
    for image in model.images.values():
        name = next(n for n in views if n.endswith(image.name) or image.name.endswith(n))
        view, mine = views[name], points.image_ids == image.id
        with np.load(truths[name]) as stored:
            depth = stored["depth_z"]
        x, y, z = (positions[mine] @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]).T
        column = (x / z * view.camera.fx + view.camera.cx).astype(int)
        row = (y / z * view.camera.fy + view.camera.cy).astype(int)
        shifts = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        height, width = depth.shape
        around = [depth[(row + a).clip(0, height - 1), (column + b).clip(0, width - 1)] for a, b in shifts]
        gaps[mine] = np.abs(np.stack(around) - z).min(0) * view.camera.fx / z
    starts = np.cumsum(points.track_lengths) - points.track_lengths
    return np.array([np.median(gaps[s : s + n]) for s, n in zip(starts, points.track_lengths, strict=True)])


FLOWS = {"anyview": run_anyview, "pycolmap": run_pycolmap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--flow", choices=FLOWS, help="run only this one, print its facts")
    parser.add_argument("--out", type=Path, help="where that flow works")
    arguments = parser.parse_args()
    if arguments.flow:
        scene = choose_split(anyview.load_scene(arguments.scene), None)
        facts = FLOWS[arguments.flow](scene, arguments.out)
        facts["peak_memory_bytes"] = peak_memory_bytes()
        (arguments.out / "facts.json").write_text(json.dumps({**judge(scene, arguments.out), **facts}))
        return

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for flow in FLOWS:
            out = Path(folder) / flow
            command = [sys.executable, __file__, str(arguments.scene), "--flow", flow, "--out", str(out)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            found[flow] = json.loads((out / "facts.json").read_text())
            print(flow, found[flow], flush=True)
    ours, peer = found["anyview"], found["pycolmap"]
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_name(), "cores": cpu_count()},
        "versions": {"anyview": anyview.__version__, **machine.versions()},
        "scene": arguments.scene.name,
        **found,
        "ratios": {
            "seconds": round(ours["seconds"] / peer["seconds"], 3),
            "cpu_seconds": round(ours["cpu_seconds"] / peer["cpu_seconds"], 3),
            "points": round(ours["points"] / peer["points"], 3),
        },
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"sparse_{arguments.scene.name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
