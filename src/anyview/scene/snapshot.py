"""The scene that a run works on, as one JSON file: views with their cameras, poses and files, bounds and points."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.cameras.models import Camera
from anyview.errors import FormatError, SceneError
from anyview.formats.files import atomic_write
from anyview.formats.transforms import read_json
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import Scene, View

_UNTOLD: dict[str, Any] = {"near": None, "far": None, "weight": 1.0}
"""What most sources do not tell of a view; left out of the file then."""


def write_scene_json(scene: Scene, path: Path) -> None:
    """Everything but the pixels, of which the absolute paths are kept; every number comes back the same.

    Raises:
        SceneError: a view whose pixels lie in no file.
        WorkspaceError: the file cannot be written.
    """
    content = {
        "version": 1,
        "root": None if scene.root is None else str(scene.root.resolve()),
        "format": scene.format,
        "bounds": None if scene.bounds is None else scene.bounds.tolist(),
        "points": None if scene.points is None else base64.b64encode(scene.points.astype("<f8").tobytes()).decode(),
        "views": [_entry(view) for view in scene],
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_scene_json(path: Path) -> Scene:
    """The scene of a snapshot.

    Raises:
        FormatError: missing, damaged, or not a snapshot.
    """
    content = read_json(path)
    try:
        return Scene(
            tuple(_view(entry) for entry in content["views"]),
            None if content["root"] is None else Path(content["root"]),
            content["format"],
            None if content["bounds"] is None else np.array(content["bounds"], np.float64).reshape(2, 3),
            _points(content.get("points")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("not a scene snapshot", where=path, hint="run `anyview reconstruct` again") from error


def _entry(view: View) -> dict[str, Any]:
    if view.path is None:
        raise SceneError("view without a file", where=f"view {view.name}", hint="write its image first")
    mask = view.pixels.mask_path if isinstance(view.pixels, FilePixels) else None
    told = {"near": view.near, "far": view.far, "weight": view.weight}
    return {
        "name": view.name,
        "split": view.split,
        "image": str(view.path.resolve()),
        "mask": None if mask is None else str(mask.resolve()),
        "camera": {
            "model": view.camera.model,
            "size": [view.camera.width, view.camera.height],
            "params": view.camera.params,
        },
        "world_from_cam": view.world_from_cam.tolist(),
        **(told if told != _UNTOLD else {}),
    }


def _view(entry: dict[str, Any]) -> View:
    camera, image, mask = entry["camera"], Path(entry["image"]), entry["mask"]
    width, height = camera["size"]
    return View(
        entry["name"],
        Camera(camera["model"], width, height, tuple(camera["params"])),
        np.array(entry["world_from_cam"], np.float64),
        FilePixels(image, None if mask is None else Path(mask)),
        entry["split"],
        image,
        **{name: entry.get(name, value) for name, value in _UNTOLD.items()},
    )


def _points(text: str | None) -> Float64[np.ndarray, "N 3"] | None:
    return None if text is None else np.frombuffer(base64.b64decode(text), "<f8").reshape(-1, 3).astype(np.float64)
