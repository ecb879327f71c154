"""Any supported folder to a scene: NeRF-synthetic, instant-ngp, nerfstudio, COLMAP, mip-NeRF's multi-scale layout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, check_pose, compose, inverse, rotation_from_quaternion
from anyview.errors import AnyviewError, SceneError
from anyview.formats.colmap import is_model, read_model
from anyview.formats.images import image_size
from anyview.formats.multiscale import read_metadata
from anyview.formats.transforms import Frame, read_transforms
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import Scene, View

_SPLITS = ("train", "val", "test")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp", ".tif", ".tiff")
_FISHEYE = ("OPENCV_FISHEYE", "fisheye", "FISHEYE")


def load_scene(path: str | Path) -> Scene:
    """Read a folder (or its pose file) of any supported layout; images are decoded later, one at a time.

    Args:
        path: a folder with `transforms_{train,val,test}.json`, `transforms.json`, `metadata.json`, or a COLMAP model in
            it, in `sparse/` or in `sparse/0/`, with `images/` beside; or one of these files.

    Raises:
        FormatError: a file is missing, damaged or not of its format.
        SceneError: nothing recognisable, bad poses, contradicting sizes, duplicate names.
    """
    path = Path(path)
    if not path.exists():
        raise SceneError("no such scene", where=path, hint="check the path")
    if path.is_file():
        if path.name == "metadata.json":
            return _multiscale(path)
        return _transforms(path.parent, [(path.stem.removeprefix("transforms_"), path)])
    splits = [(split, path / f"transforms_{split}.json") for split in _SPLITS]
    if present := [(split, file) for split, file in splits if file.is_file()]:
        return _transforms(path, present, "blender")
    if (path / "transforms.json").is_file():
        return _transforms(path, [("train", path / "transforms.json")])
    if (path / "metadata.json").is_file():
        return _multiscale(path / "metadata.json")
    for folder in (path / "sparse" / "0", path / "sparse", path):
        if is_model(folder):
            return _colmap(path, folder)
    raise SceneError(
        "no posed images recognised",
        where=path,
        expected="transforms_train.json, transforms.json, metadata.json, or a COLMAP model (cameras, images and "
        "points3D as .bin or .txt) in sparse/0, sparse or here",
    )


def _transforms(root: Path, files: list[tuple[str, Path]], layout: str = "nerfstudio") -> Scene:
    views = []
    for split, file in files:
        split = split if split in _SPLITS else "train"
        for frame in read_transforms(file):
            image = find_image(root, frame.file_path, file)
            name = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name
            camera = camera_from_values(frame.values, image_size(image), f"{file} ({frame.file_path})")
            pose = check_pose(frame.matrix, f"{file} ({frame.file_path})") @ CV_FROM_GL
            pixels = FilePixels(image, _mask_of(root, name, frame))
            views.append(View(name, camera, pose, pixels, split, image))
    return Scene(tuple(views), root, layout)


def _multiscale(file: Path) -> Scene:
    root, views = file.parent, []
    for entry in read_metadata(file):
        image = find_image(root, entry.file_path, file)
        name = image.relative_to(root).as_posix()
        camera = Camera.pinhole(entry.width, entry.height, entry.focal, entry.focal, entry.width / 2, entry.height / 2)
        _check_size(camera, image)
        pose = check_pose(entry.matrix, f"{file} ({entry.file_path})") @ CV_FROM_GL
        views.append(View(name, camera, pose, FilePixels(image), entry.split, image))
    return Scene(tuple(views), root, "multiscale")


def _colmap(root: Path, folder: Path) -> Scene:
    model = read_model(folder)
    candidates = [root / "images", folder / "images", folder.parent / "images", folder.parent.parent / "images", root]
    images = next((c for c in candidates if c.is_dir()), root)
    cameras = {}
    for camera in model.cameras.values():
        try:
            cameras[camera.id] = Camera(camera.model, camera.width, camera.height, camera.params)
        except SceneError as error:
            raise _located(error, f"{folder} (camera {camera.id})") from error
    views = []
    for entry in sorted(model.images.values(), key=lambda image: image.id):
        if entry.camera_id not in cameras:
            raise SceneError("image without its camera", where=f"{folder} ({entry.name})", actual=entry.camera_id)
        image = find_image(images, entry.name, folder)
        _check_size(cameras[entry.camera_id], image)
        if not (np.isfinite(entry.quaternion).all() and np.linalg.norm(entry.quaternion) > 0):
            raise SceneError("pose is not finite", where=f"{folder} ({entry.name})", hint="remove this image")
        pose = compose(rotation_from_quaternion(entry.quaternion), entry.translation)
        pixels = FilePixels(image, _mask_of(images.parent, entry.name))
        views.append(View(entry.name, cameras[entry.camera_id], inverse(pose), pixels, "train", image))
    points = model.points.xyz if len(model.points) else None
    return Scene(tuple(views), root, "colmap", points=points)


def find_image(root: Path, name: str, source: Path) -> Path:
    """The image file of that name, with the extension that it has or that is found.

    Raises:
        SceneError: there is none.
    """
    path = root / name
    if path.is_file():
        return path
    for suffix in _SUFFIXES:
        if (found := path.with_name(path.name + suffix)).is_file():
            return found
    raise SceneError("image is missing", where=source, expected=path, hint="copy it there, or remove its entry")


def camera_from_values(values: Mapping[str, Any], size: tuple[int, int], where: str) -> Camera:
    """The camera of a frame of `transforms.json`.

    Args:
        values: fl_x, fl_y, cx, cy, w, h, k1..k4, p1, p2 (OpenCV's meaning), camera_angle_x, camera_angle_y (radians),
            camera_model; what is missing comes from the image.
        size: the image's width and height, pixels.
        where: named in errors.

    Raises:
        SceneError: no focal length, unknown model, values that are not numbers, or a size that is not the image's.
    """
    try:
        number = {k: float(v) for k, v in values.items() if k in _NUMBERS and v is not None}
    except (TypeError, ValueError) as error:
        raise SceneError("camera values are not numbers", where=where) from error
    width, height = int(number.get("w", size[0])), int(number.get("h", size[1]))
    if (width, height) != size:
        raise SceneError(
            "image size contradicts the camera",
            where=where,
            expected=f"{width}x{height}",
            actual=f"{size[0]}x{size[1]}",
            hint="resize the image, or fix w and h",
        )
    fx = number.get("fl_x") or _focal(number.get("camera_angle_x"), width)
    fy = number.get("fl_y") or _focal(number.get("camera_angle_y"), height) or fx
    fx = fx or fy
    if not fx or not fy:
        raise SceneError("camera without a focal length", where=where, expected="fl_x or camera_angle_x")
    cx, cy = number.get("cx", width / 2), number.get("cy", height / 2)
    k1, k2, k3, k4, p1, p2 = (number.get(k, 0.0) for k in ("k1", "k2", "k3", "k4", "p1", "p2"))
    name = str(values.get("camera_model", "OPENCV"))
    model: str
    params: tuple[float, ...]
    if name in _FISHEYE or values.get("is_fisheye"):
        model, params = "OPENCV_FISHEYE", (fx, fy, cx, cy, k1, k2, k3, k4)
    elif name in ("SIMPLE_PINHOLE", "PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "perspective"):
        if k3 or k4:
            model, params = "FULL_OPENCV", (fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, 0.0, 0.0)
        elif k1 or k2 or p1 or p2:
            model, params = "OPENCV", (fx, fy, cx, cy, k1, k2, p1, p2)
        else:
            model, params = "PINHOLE", (fx, fy, cx, cy)
    else:
        raise SceneError(
            "unknown camera model", where=where,
            expected="PINHOLE, SIMPLE_PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV or OPENCV_FISHEYE",
            actual=name,
        )  # fmt: skip
    try:
        return Camera(model, width, height, params)
    except SceneError as error:
        raise _located(error, where) from error


_NUMBERS = (
    "fl_x",
    "fl_y",
    "cx",
    "cy",
    "w",
    "h",
    "k1",
    "k2",
    "k3",
    "k4",
    "p1",
    "p2",
    "camera_angle_x",
    "camera_angle_y",
)


def _focal(angle: float | None, side: int) -> float:
    return 0.0 if not angle else 0.5 * side / math.tan(0.5 * angle)


def _mask_of(root: Path, name: str, frame: Frame | None = None) -> Path | None:
    """The frame's own mask file, or one in `masks/` named like the image with .png appended or as its extension."""
    if frame is not None and isinstance(named := frame.values.get("mask_path"), str):
        return find_image(root, named, root)
    relative = Path(name)
    if relative.parts[0] == "images":
        relative = relative.relative_to("images")
    beside = root / "masks" / relative
    candidates = (beside.with_name(beside.name + ".png"), beside.with_suffix(".png"))
    return next((path for path in candidates if path.is_file()), None)


def _check_size(camera: Camera, image: Path) -> None:
    if image_size(image) != (camera.width, camera.height):
        width, height = image_size(image)
        raise SceneError(
            "image size contradicts the camera",
            where=image,
            expected=f"{camera.width}x{camera.height}",
            actual=f"{width}x{height}",
            hint="resize the image, or fix the camera's size",
        )


def _located(error: AnyviewError, where: str) -> SceneError:
    """The same error, saying where."""
    return SceneError(error.what, where=where, expected=error.expected, actual=error.actual, hint=error.hint)
