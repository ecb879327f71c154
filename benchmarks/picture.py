"""The README's picture: a photograph, its depth, the cloud and the mesh of a finished workspace, side by side.

usage: python benchmarks/picture.py WORK PICTURE.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from anyview.formats.colmap import read_array
from anyview.formats.ply import read_ply
from anyview.report.pictures import color_depth, contact_sheet
from anyview.report.sides import render_sides
from anyview.scene.snapshot import read_scene_json
from anyview.workspace import Workspace

CELL = (420, 310)


def main(work: Path, target: Path) -> None:
    workspace = Workspace(work, create=False)
    scene = read_scene_json(workspace.scene_file)
    view = scene.views[len(scene) // 3]
    mask = view.mask()
    alpha = np.ones(view.image().shape[:2], np.float32) if mask is None else mask.astype(np.float32)
    photograph = np.round(np.dstack([view.image(), alpha]) * 255).astype(np.uint8)
    depth = color_depth(read_array(workspace.depth_map(view.name)))
    if mask is not None:  # closer
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        photograph, depth = photograph[window], depth[window]
    poses = [v.world_from_cam for v in scene]
    cloud, mesh = read_ply(workspace.fused), read_ply(workspace.mesh)
    panels = [
        photograph,
        depth,
        render_sides(cloud.xyz, poses, rgb=cloud.rgb, normals=cloud.normals, size=CELL)[0].rgba(),
        render_sides(mesh.xyz, poses, faces=mesh.faces, size=CELL)[0].rgba(),
    ]
    labels = [f"one of {len(scene)} pictures", "its depth", f"cloud, {len(cloud.xyz):,} points", "mesh"]
    sheet = contact_sheet(panels, labels, len(panels), cell=CELL)
    PillowImage.fromarray(sheet).convert("RGB").quantize(192).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
