"""A scene to any supported layout: poses and intrinsics keep every digit, copied image files every byte.

Where files go (NAME is a view's name without a leading "images/"): Blender has OUT/NAME, nerfstudio OUT/images/NAME
and COLMAP OUT/images/NAME with its model in OUT/sparse/; mask files are OUT/masks/NAME.png in all of them. Multi-scale
scenes have names of their own (see `anyview.scene.multiscale`). What tells the layout is written last: a folder that a
kill left half-filled is not taken for a scene.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Literal, TypeAlias, get_args

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, quaternion_from_rotation
from anyview.errors import OptionError, SceneError
from anyview.formats.colmap import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, is_model, write_model
from anyview.formats.files import atomic_write
from anyview.formats.images import image_size, read_image, write_image
from anyview.formats.ply import write_ply
from anyview.formats.transforms import Frame, write_transforms
from anyview.scene.intrinsics import values_from_camera
from anyview.scene.load import SPLITS
from anyview.scene.multiscale import write_multiscale
from anyview.scene.pixels import FilePixels
from anyview.scene.scene import Scene, View
from anyview.typing import Points

Layout: TypeAlias = Literal["blender", "nerfstudio", "colmap-txt", "colmap-bin", "multiscale"]


def convert_scene(scene: Scene, out: str | Path, to: Layout, note: Callable[[str], None] = lambda text: None) -> None:
    """Write the scene's poses, cameras, splits, images and masks in another layout, and its points where that has any.

    Args:
        scene: views in files or in memory; the latter become PNG files of 8 bits, with the mask as alpha.
        out: a folder that is new, or holds an earlier scene of the same layout, which is replaced.
        to: "blender" is NeRF-synthetic's `transforms_{train,val,test}.json`, "nerfstudio" one `transforms.json`,
            "multiscale" mip-NeRF's `metadata.json` with every image at four sizes.
        note: told once what the layout has no place for: only multi-scale scenes hold depths and weights of views.

    Raises:
        SceneError: a camera or a split that the layout cannot describe, or two views that would share a file.
        OptionError: no such layout, or a folder that holds another scene.
        WorkspaceError: the folder cannot be written to, or the disk is full.
    """
    out = Path(out)
    if to not in get_args(Layout):
        raise OptionError("unknown layout", expected=", ".join(get_args(Layout)), actual=to)
    _check_target(scene, out, to)
    if to == "multiscale":
        write_multiscale(scene, out)
        return
    _tell_lost(scene, to, note)
    names = _names(scene)
    if to.startswith("colmap"):
        files = [_copy(view, out, f"images/{name}", mask_as=name) for view, name in zip(scene, names, strict=True)]
        inside = [image.removeprefix("images/") for image, _ in files]
        _write_lists(scene, inside, out / "sparse")
        write_model(_colmap_model(scene, inside), out / "sparse", binary=to == "colmap-bin")
        return
    cameras = [_values(view, to) for view in scene]
    folder = "images/" if to == "nerfstudio" else ""
    frames = []
    for view, name, values in zip(scene, names, cameras, strict=True):
        image, mask = _copy(view, out, folder + name, mask_as=name)
        if to == "blender" and image.endswith(".png"):
            image = "./" + image.removesuffix(".png")  # as the first such files had it, and as their readers expect
        words = values if mask is None else {**values, "mask_path": mask}
        frames.append(Frame(image, view.world_from_cam @ CV_FROM_GL, words))
    if to == "blender":
        _write_blender(scene, frames, out)
    else:
        _write_nerfstudio(scene, frames, out)


def _tell_lost(scene: Scene, to: str, note: Callable[[str], None]) -> None:
    """What views tell, and neither `transforms*.json` nor COLMAP's model has a word for."""
    depths = sum(view.near is not None or view.far is not None for view in scene)
    weights = sum(view.weight != 1 for view in scene)
    if depths or weights:
        what = [f"near and far of {depths} views"] * bool(depths) + [f"the weight of {weights} views"] * bool(weights)
        hint = "; set data.near and data.far where a field learns from it" * bool(depths)
        note(f"the layout {to} has no place for {' and '.join(what)}: not written{hint}")


def _check_target(scene: Scene, out: Path, to: str) -> None:
    """A folder must not hold two scenes: whoever opens it next would see one of them."""
    if scene.root is not None and out.exists() and scene.root.exists() and out.samefile(scene.root):
        raise OptionError("input and output are the same folder", where=out, hint="choose another output folder")
    present = {
        "blender": any((out / f"transforms_{split}.json").exists() for split in SPLITS),
        "nerfstudio": (out / "transforms.json").exists(),
        "multiscale": (out / "metadata.json").exists(),
        "colmap": any(is_model(folder) for folder in (out, out / "sparse", out / "sparse" / "0")),
    }
    other = [layout for layout, there in present.items() if there and not to.startswith(layout)]
    if other:
        raise OptionError(
            "output folder holds another scene", where=out, actual=", ".join(other), hint="choose another output folder"
        )
    if unknown := {view.split for view in scene} - set(SPLITS):
        raise SceneError("unknown split", expected=", ".join(SPLITS), actual=", ".join(sorted(unknown)))


def _names(scene: Scene) -> list[str]:
    """Each view's file, relative to the images."""
    names = []
    for view in scene:
        name = view.name.removeprefix("images/")
        in_file = view.path is not None or name.lower().endswith(".png")
        names.append(name if in_file else name + ".png")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SceneError("two views would share a file", where=twice, hint="rename one")
    return names


def _copy(view: View, out: Path, image: str, mask_as: str) -> tuple[str, str | None]:
    """Put the view's image, and its mask if that is a file of its own, under `out`; gives their relative paths."""
    if view.path is None:
        rgb, mask = view.read()
        with atomic_write(out / image) as temporary:
            write_image(temporary, rgb if mask is None else np.dstack([rgb, mask.astype(np.float32)]))
        return image, None
    image_size(view.path)  # says clearly if it has vanished
    with atomic_write(out / image) as temporary:
        copyfile(view.path, temporary)
    source = view.pixels.mask_path if isinstance(view.pixels, FilePixels) else None
    if source is None:
        return image, None
    image_size(source)
    target = f"masks/{mask_as}.png"
    with atomic_write(out / target) as temporary:
        if source.suffix.lower() == ".png":
            copyfile(source, temporary)
        else:
            write_image(temporary, read_image(source)[0])
    return image, target


def _values(view: View, to: str) -> dict[str, object]:
    values = values_from_camera(view.camera, f"view {view.name}")
    words = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
    distorted = values["camera_model"] == "OPENCV_FISHEYE" or any(values.get(word) for word in words)
    if to == "blender" and distorted:
        raise SceneError(
            "Blender's layout cannot describe distortion",
            where=f"view {view.name}",
            expected="a pinhole camera",
            actual=view.camera.model,
            hint="convert to nerfstudio, colmap-txt or colmap-bin",
        )
    return values


def _write_blender(scene: Scene, frames: Sequence[Frame], out: Path) -> None:
    """One file per split. Readers that know only `camera_angle_x` find the first view's; exact values are per frame."""
    for split in SPLITS:
        file = out / f"transforms_{split}.json"
        chosen = [frame for view, frame in zip(scene, frames, strict=True) if view.split == split]
        if chosen:
            write_transforms(file, chosen, {"camera_angle_x": _angle(scene.views[0].camera)})
        else:
            file.unlink(missing_ok=True)


def _write_nerfstudio(scene: Scene, frames: Sequence[Frame], out: Path) -> None:
    shared: dict[str, object] = {"camera_angle_x": _angle(scene.views[0].camera)}
    if {view.split for view in scene} != {"train"}:
        for split in SPLITS:
            shared[f"{split}_filenames"] = [
                frame.file_path for view, frame in zip(scene, frames, strict=True) if view.split == split
            ]
    if scene.points is not None:
        shared["ply_file_path"] = "points.ply"
        with atomic_write(out / "points.ply") as temporary:
            write_ply(temporary, scene.points)
    write_transforms(out / "transforms.json", frames, shared)


def _angle(camera: Camera) -> float:
    return 2 * math.atan(0.5 * camera.width / camera.fx)


def _write_lists(scene: Scene, names: Sequence[str], folder: Path) -> None:
    """Names of val and test views, one a line, beside the model: COLMAP itself knows no splits."""
    for split in ("val", "test"):
        chosen = [name for view, name in zip(scene, names, strict=True) if view.split == split]
        if chosen:
            with atomic_write(folder / f"{split}.txt") as temporary:
                temporary.write_text("\n".join(chosen) + "\n", encoding="utf-8")
        else:
            (folder / f"{split}.txt").unlink(missing_ok=True)


def _colmap_model(scene: Scene, names: Sequence[str]) -> ColmapModel:
    cameras: dict[Camera, int] = {}
    images = {}
    for number, (view, name) in enumerate(zip(scene, names, strict=True), start=1):
        camera_id = cameras.setdefault(view.camera, len(cameras) + 1)
        pose = view.cam_from_world
        quaternion = quaternion_from_rotation(pose[:3, :3])
        images[number] = ColmapImage(number, camera_id, name, quaternion, pose[:3, 3].copy())
    written = {i: ColmapCamera(i, c.model, c.width, c.height, c.params) for c, i in cameras.items()}
    return ColmapModel(written, images, _colmap_points(scene.points))


def _colmap_points(xyz: Points | None) -> ColmapPoints:
    """Points that no image observes: grey, with COLMAP's mark of an unknown error."""
    if xyz is None:
        return ColmapPoints.empty()
    count = len(xyz)
    return ColmapPoints(
        np.arange(1, count + 1),
        xyz,
        np.full((count, 3), 128, np.uint8),
        np.full(count, -1.0),
        np.zeros(count, np.int64),
        np.empty(0, np.uint32),
        np.empty(0, np.uint32),
    )
