"""A scene to any supported layout, and the snapshot that the stages of a run work on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal, TypeAlias

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, quaternion_from_rotation
from anyview.errors import FormatError, SceneError
from anyview.formats.colmap import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, write_model
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.formats.transforms import Frame, read_json, write_transforms
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import Scene, View

Layout: TypeAlias = Literal["blender", "nerfstudio", "colmap-txt", "colmap-bin"]


def convert_scene(scene: Scene, out: str | Path, to: Layout) -> None:
    """Write the scene's poses, cameras and images in another layout; poses and intrinsics keep every digit.

    Raises:
        SceneError: a camera that the layout cannot describe, or a layout that is unknown.
        WorkspaceError: the folder cannot be written to.
    """
    out = Path(out)
    if to not in ("blender", "nerfstudio", "colmap-txt", "colmap-bin"):
        raise SceneError("unknown layout", where=to, expected="blender, nerfstudio, colmap-txt or colmap-bin")
    if to.startswith("colmap"):
        names = {view.name: _copy(view, out / "images" / view.name).relative_to(out / "images") for view in scene}
        write_model(_colmap_model(scene, names), out / "sparse", binary=to == "colmap-bin")
        return
    frames: dict[str, list[Frame]] = {}
    for view in scene:
        values = _values(view.camera, view.name)
        inside = Path("images") / view.name if to == "nerfstudio" else Path(view.name)
        copied = _copy(view, out / inside).relative_to(out)
        mask = getattr(view.pixels, "mask_path", None)
        if mask is not None:
            target = out / "masks" / (view.name + ".png")
            _copy_file(mask, target)
            values["mask_path"] = target.relative_to(out).as_posix()
        frame = Frame(copied.as_posix(), view.world_from_cam @ CV_FROM_GL, values)
        frames.setdefault(view.split if to == "blender" else "", []).append(frame)
    for split, entries in frames.items():
        first = entries[0].values
        shared: dict[str, Any] = {"camera_angle_x": 2 * math.atan(0.5 * first["w"] / first["fl_x"])}
        write_transforms(out / (f"transforms_{split}.json" if split else "transforms.json"), entries, shared)


def write_scene_json(scene: Scene, path: Path) -> None:
    """The snapshot: every view's name, camera, pose, split and files (absolute), and the scene's bounds.

    Raises:
        SceneError: a view whose pixels lie in no file.
    """
    views = []
    for view in scene:
        if view.path is None:
            raise SceneError("view without a file", where=f"view {view.name}", hint="write its image first")
        mask = getattr(view.pixels, "mask_path", None)
        camera = view.camera
        views.append(
            {
                "name": view.name,
                "split": view.split,
                "image": str(view.path.resolve()),
                "mask": None if mask is None else str(mask.resolve()),
                "camera": {"model": camera.model, "size": [camera.width, camera.height], "params": camera.params},
                "world_from_cam": view.world_from_cam.tolist(),
            }
        )
    content = {
        "version": 1,
        "root": None if scene.root is None else str(scene.root.resolve()),
        "format": scene.format,
        "bounds": None if scene.bounds is None else scene.bounds.tolist(),
        "views": views,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def read_scene_json(path: Path) -> Scene:
    """The scene of a snapshot.

    Raises:
        FormatError: not a snapshot.
    """
    content = read_json(path)
    try:
        views = []
        for entry in content["views"]:
            camera = entry["camera"]
            image, mask = Path(entry["image"]), entry["mask"]
            views.append(
                View(
                    entry["name"],
                    Camera(camera["model"], camera["size"][0], camera["size"][1], tuple(camera["params"])),
                    np.array(entry["world_from_cam"], np.float64),
                    FilePixels(image, None if mask is None else Path(mask)),
                    entry["split"],
                    image,
                )
            )
        bounds = None if content["bounds"] is None else np.array(content["bounds"], np.float64)
        return Scene(tuple(views), content["root"] and Path(content["root"]), content["format"], bounds)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("not a scene snapshot", where=path, hint="run `anyview reconstruct` again") from error


def _colmap_model(scene: Scene, names: dict[str, Path]) -> ColmapModel:
    cameras: dict[Camera, int] = {}
    images = {}
    for number, view in enumerate(scene, start=1):
        camera_id = cameras.setdefault(view.camera, len(cameras) + 1)
        pose = view.cam_from_world
        quaternion = quaternion_from_rotation(pose[:3, :3])
        images[number] = ColmapImage(number, camera_id, names[view.name].as_posix(), quaternion, pose[:3, 3].copy())
    written = {i: ColmapCamera(i, c.model, c.width, c.height, c.params) for c, i in cameras.items()}
    return ColmapModel(written, images, ColmapPoints.empty())


def _values(camera: Camera, name: str) -> dict[str, Any]:
    """The camera in the words of `transforms.json`."""
    parameters = {
        "SIMPLE_PINHOLE": "",
        "PINHOLE": "",
        "SIMPLE_RADIAL": "k1",
        "RADIAL": "k1 k2",
        "OPENCV": "k1 k2 p1 p2",
        "OPENCV_FISHEYE": "k1 k2 k3 k4",
    }
    if camera.model not in parameters:
        raise SceneError(
            "camera model has no counterpart in transforms.json",
            where=f"view {name}",
            expected=", ".join(parameters),
            actual=camera.model,
            hint="convert to colmap-txt or colmap-bin",
        )
    keys = parameters[camera.model].split()
    values: dict[str, Any] = {
        "camera_model": "OPENCV" if camera.model in ("SIMPLE_RADIAL", "RADIAL") else camera.model,
        "w": camera.width, "h": camera.height, "fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx, "cy": camera.cy,
    }  # fmt: skip
    return values | dict(zip(keys, camera.params[len(camera.params) - len(keys) :], strict=True))


def _copy(view: View, target: Path) -> Path:
    """The view's image at `target`, byte for byte; pixels in memory become a PNG."""
    if view.path is not None:
        _copy_file(view.path, target)
        return target
    target = target if target.suffix.lower() == ".png" else target.with_name(target.name + ".png")
    rgb, mask = view.read()
    with atomic_write(target) as temporary:
        write_image(temporary, rgb if mask is None else np.dstack([rgb, mask.astype(np.float32)]))
    return target


def _copy_file(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise SceneError("input and output are the same folder", where=target.parent, hint="choose another output")
    with atomic_write(target) as temporary:
        copyfile(source, temporary)
