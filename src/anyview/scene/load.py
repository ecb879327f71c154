"""Any supported folder to a scene: NeRF-synthetic, instant-ngp, nerfstudio, COLMAP, mip-NeRF's multi-scale layout.

Only headers of images are read here. Blender's and OpenGL's camera axes become OpenCV's here and nowhere later.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from posixpath import normpath

import numpy as np
from jaxtyping import Float64

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, check_pose, compose, inverse, rotation_from_quaternion
from anyview.errors import SceneError
from anyview.formats.colmap import is_model, read_model
from anyview.formats.multiscale import read_metadata
from anyview.formats.ply import read_ply
from anyview.formats.transforms import Frame, read_transforms
from anyview.scene.intrinsics import camera_from_values
from anyview.scene.pixels import FilePixels, find_image, find_mask
from anyview.scene.scene import Scene, View
from anyview.typing import Points

SPLITS = ("train", "val", "test")


def load_scene(path: str | Path) -> Scene:
    """Read a folder (or its pose file) of any supported layout; images are decoded later, one at a time.

    Args:
        path: a folder with `transforms_{train,val,test}.json`, `transforms.json`, `metadata.json`, or a COLMAP model in
            it, in `sparse/` or in `sparse/0/`, with `images/` beside; or one of these JSON files.

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
        split = path.stem.removeprefix("transforms_")
        return _transforms(path.parent, {split if split in SPLITS else "train": path}, "nerfstudio")
    files = {split: path / f"transforms_{split}.json" for split in SPLITS}
    if present := {split: file for split, file in files.items() if file.is_file()}:
        return _transforms(path, present, "blender")
    if (path / "transforms.json").is_file():
        return _transforms(path, {"train": path / "transforms.json"}, "nerfstudio")
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


def _transforms(root: Path, files: dict[str, Path], layout: str) -> Scene:
    views: list[View] = []
    points = None
    for split, file in files.items():
        for frame in read_transforms(file):
            where = f"{file} ({frame.file_path})"
            image = find_image(root, frame.file_path, file)
            name = _name(root, image)
            mask = frame.values.get("mask_path")
            pixels = FilePixels(image, find_image(root, mask, file) if mask else find_mask(root, name))
            size = pixels.check()
            camera = camera_from_values(frame.values, size, where)
            pose = check_pose(frame.matrix, where) @ CV_FROM_GL
            views.append(_view(name, camera, pose, pixels, _listed_split(frame) or split, size))
            if points is None and (cloud := frame.values.get("ply_file_path")) and (root / cloud).is_file():
                points = read_ply(root / cloud).xyz
    return Scene(tuple(views), root, layout, points=points)


def _multiscale(file: Path) -> Scene:
    root, views = file.parent, []
    for entry in read_metadata(file):
        if entry.split not in SPLITS:
            raise SceneError("unknown split", where=file, expected="train, val or test", actual=entry.split)
        pixels = FilePixels(find_image(root, entry.file_path, file))
        camera = Camera.pinhole(entry.width, entry.height, entry.focal, entry.focal, *entry.center)
        pose = check_pose(entry.matrix, f"{file} ({entry.file_path})") @ CV_FROM_GL
        view = _view(_name(root, pixels.path), camera, pose, pixels, entry.split, pixels.check())
        views.append(replace(view, near=entry.near, far=entry.far, weight=entry.lossmult))
    return Scene(tuple(views), root, "multiscale")


def _colmap(root: Path, folder: Path) -> Scene:
    model = read_model(folder)
    cameras = {}
    for camera in model.cameras.values():
        try:
            cameras[camera.id] = Camera(camera.model, camera.width, camera.height, camera.params)
        except SceneError as error:
            where = f"{folder} (camera {camera.id})"
            raise SceneError(error.what, where=where, expected=error.expected, actual=error.actual) from error
    images = _images_folder(root, folder, [image.name for image in model.images.values()])
    masks = images.parent if images.name == "images" else images
    splits = {name: split for split in ("val", "test") for name in _listed_names(folder / f"{split}.txt")}
    views = []
    for entry in sorted(model.images.values(), key=lambda image: image.id):
        if PurePosixPath(entry.name).is_absolute() or ".." in PurePosixPath(entry.name).parts:
            raise SceneError("image lies outside the images' folder", where=folder, actual=entry.name)
        pixels = FilePixels(find_image(images, entry.name, folder), find_mask(masks, entry.name))
        length = float(np.linalg.norm(entry.quaternion))
        if not 0 < length < np.inf:
            where = f"{folder} ({entry.name})"
            raise SceneError("pose is not finite", where=where, hint="remove this view, or fix its quaternion")
        pose = compose(rotation_from_quaternion(entry.quaternion), entry.translation)
        check_pose(pose, f"{folder} ({entry.name})")
        split = splits.get(entry.name, "train")
        views.append(_view(entry.name, cameras[entry.camera_id], inverse(pose), pixels, split, pixels.check()))
    points: Points | None = model.points.xyz if len(model.points) else None
    return Scene(tuple(views), root, "colmap", points=points)


def _view(
    name: str,
    camera: Camera,
    world_from_cam: Float64[np.ndarray, "4 4"],
    pixels: FilePixels,
    split: str,
    size: tuple[int, int],
) -> View:
    if size != (camera.width, camera.height):
        raise SceneError(
            "image size contradicts the camera",
            where=pixels.path,
            expected=f"{camera.width}x{camera.height}",
            actual=f"{size[0]}x{size[1]}",
            hint="resize the image, or fix the camera's size",
        )
    return View(name, camera, world_from_cam, pixels, split, pixels.path)


def _name(root: Path, image: Path) -> str:
    """The image's path relative to the scene; of an image elsewhere, what is left without the way up."""
    relative = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.as_posix()
    parts = [part for part in normpath(relative).split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def _listed_split(frame: Frame) -> str | None:
    """The split whose list in nerfstudio's file names this image."""
    for split in SPLITS:
        if frame.file_path in (frame.values.get(f"{split}_filenames") or ()):
            return split
    return None


def _listed_names(file: Path) -> list[str]:
    """Image names, one a line, as several tools keep beside a COLMAP model to tell its test views."""
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _images_folder(root: Path, model: Path, names: list[str]) -> Path:
    """Where a COLMAP model's images lie."""
    above = (root, model, *model.resolve().parents[:2])
    candidates = [*(folder / "images" for folder in above), root]
    for folder in candidates:
        if names and (folder / names[0]).is_file():
            return folder
    return next((folder for folder in candidates if folder.is_dir()), root)
