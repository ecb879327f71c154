"""The scene that the stages work on: the chosen views, every one with its pixels in a file and a pinhole camera.

Distorted images are undistorted once, into `WORK/undistorted/`; pixels that exist only in memory become files in
`WORK/images/`. Views that are fine already are used where they lie. Every image is decoded once here, so that a damaged
one is found before hours of work and not after.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from anyview.compute import parallel_map
from anyview.errors import SceneError
from anyview.formats.images import write_image
from anyview.progress import SILENT, Progress
from anyview.scene.scene import Scene, View
from anyview.scene.snapshot import read_scene_json, write_scene_json
from anyview.workspace import Workspace, atomic_write

_VERSION = 1  # part of the key: raise it when the same scene gives other files


def prepare_scene(workspace: Workspace, scene: Scene, progress: Progress = SILENT) -> Scene:
    """Write `WORK/scene.json` and the images that it needs, once per content of the scene; gives it as it was written.

    Views in which the mask leaves nothing are dropped, with a note.

    Raises:
        FormatError: an image is missing or damaged.
        SceneError: an image contradicts its camera, or fewer than two views show anything.
        WorkspaceError: the folder cannot be written to.
    """
    task = workspace.task("scene", (_VERSION, [_view_key(view) for view in scene], scene.bounds, scene.points))
    if not task.fresh:
        with progress.stage("images", len(scene)) as advance:
            prepared = list(parallel_map(lambda view: _prepare(workspace.root, view), scene, advance=advance))
        empty = [view.name for view, ready in zip(scene, prepared, strict=True) if ready is None]
        views = [view for view in prepared if view is not None]
        if len(views) < 2:
            raise SceneError(
                "the masks leave nothing to reconstruct",
                where=scene.root or "the scene",
                expected="2 or more views with some pixel inside the mask",
                actual=len(views),
                hint="alpha and masks are white on the object: are they inverted, or empty?",
            )
        if empty:
            progress.note(f"nothing inside the mask of {len(empty)} views, which are left out: {', '.join(empty[:5])}")
        write_scene_json(replace(scene, views=tuple(views)), workspace.scene_file)
        made = [view.path for view in views if view.path and view.path.is_relative_to(workspace.root)]
        task.done([workspace.scene_file, *made])
    return read_scene_json(workspace.scene_file)


def _view_key(view: View) -> tuple[object, ...]:
    path = view.path and view.path.resolve()
    return (view.name, asdict(view.camera), view.world_from_cam, view.split, str(path), view.pixels.fingerprint())


def _prepare(root: Path, view: View) -> View | None:
    """The view with a pinhole camera and a file; None if its mask is empty."""
    rgb, mask = view.read()
    if mask is not None and not mask.any():
        return None
    if not view.camera.is_pinhole:
        from anyview.scene.undistort import undistort_view

        return undistort_view(view, root / "undistorted")
    if view.path is not None:
        return view
    path = root / "images" / view.name
    if path.suffix.lower() != ".png":
        path = path.with_name(path.name + ".png")
    with atomic_write(path) as temporary:
        write_image(temporary, rgb if mask is None else np.dstack([rgb, mask.astype(np.float32)]))
    return replace(view, path=path)
