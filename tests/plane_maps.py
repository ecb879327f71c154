"""A workspace with exact maps of the plane z = 0, seen by a ring of cameras above it: fusion's input in closed form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.formats.colmap import write_array
from anyview.formats.colmap_dense import write_patch_match_config
from anyview.scene import ArrayPixels, Scene, View
from anyview.workspace import Workspace

SIZE, FOCAL, HEIGHT = 48, 60.0, 2.5


def plane_depth(view: View) -> np.ndarray:
    """Of each pixel's centre."""
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    camera = view.camera
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)
    return -view.center[2] / (rays @ view.world_from_cam[2, :3])


def plane_workspace(
    folder: Path,
    views: int = 6,
    sources: int = 4,
    *,
    cost: Callable[[int], np.ndarray | float] = lambda index: 0.1,
    noise: Callable[[int], np.ndarray | float] = lambda index: 0.0,
    mask: Callable[[int], np.ndarray | None] = lambda index: None,
) -> tuple[Workspace, Scene]:
    """Maps of every view, whose sources are its nearest on the ring.

    Args:
        folder: of the workspace.
        views: cameras on a ring of radius 1, all looking at the origin from a height of 2.5.
        sources: of each view.
        cost: matching cost by view, 0 to 2.
        noise: relative error of depth by view.
        mask: of a view, True on the object.
    """
    workspace = Workspace(folder)
    camera = Camera.pinhole(SIZE, SIZE, FOCAL, FOCAL, SIZE / 2, SIZE / 2)
    made = []
    for i in range(views):
        angle = 2 * np.pi * i / views
        pose = look_at(np.array([np.cos(angle), np.sin(angle), HEIGHT]), np.zeros(3), np.array([0.0, 1, 0]))
        pixels = ArrayPixels(np.full((SIZE, SIZE, 3), (i % 5) / 5, np.float32), mask(i))
        view = View(f"{i}.png", camera, pose, pixels)
        normal = np.broadcast_to(view.cam_from_world[:3, :3] @ [0, 0, 1.0], (SIZE, SIZE, 3))
        maps = {
            workspace.depth_map(view.name): plane_depth(view) * (1 + noise(i)),
            workspace.normal_map(view.name): normal,
            workspace.confidence_map(view.name): np.broadcast_to(cost(i), (SIZE, SIZE)),
        }
        for path, array in maps.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_array(path, array.astype(np.float32))
        made.append(view)
    near = [k for step in range(1, sources) for k in (step, -step)][:sources]
    names = {v.name: tuple(dict.fromkeys(made[(i + k) % views].name for k in near)) for i, v in enumerate(made)}
    write_patch_match_config(workspace.dense / "stereo" / "patch-match.cfg", names)
    return workspace, Scene(tuple(made))
