"""What `load_scene` refuses, in one clear sentence each, whatever the layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anyview import AnyviewError, load_scene
from anyview.errors import FormatError, SceneError
from posed_images import blender, colmap, frame, nerfstudio, save_image, save_mask, write_json


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def metadata(folder: Path) -> Path:
    save_image(folder / "train" / "a.png")
    lists = {
        "file_path": ["train/a.png"],
        "cam2world": [np.eye(4).tolist()],
        "width": [12],
        "height": [8],
        "focal": [9],
    }
    return write_json(folder / "metadata.json", {"train": lists})


def pose_of(frame_number: int, row: int, column: int, value: float) -> Callable[[dict], object]:
    return lambda c: c["frames"][frame_number]["transform_matrix"][row].__setitem__(column, value)


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


TRAIN, ONE, MODEL = "transforms_train.json", "transforms.json", "sparse"
SPOILED: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object], type[AnyviewError], str]] = {
    "image missing, blender": (
        blender,
        lambda f: (f / "train/r_1.png").unlink(),
        SceneError,
        r"^image is missing in .*transforms_train.json: expected .*train/r_1; copy it there",
    ),
    "image missing, nerfstudio": (
        nerfstudio,
        lambda f: (f / "images/1.png").unlink(),
        SceneError,
        r"^image is missing in .*transforms.json: expected .*images/1.png",
    ),
    "image missing, colmap": (
        colmap,
        lambda f: (f / "images/1.png").unlink(),
        SceneError,
        r"^image is missing in .*sparse: expected .*images/1.png",
    ),
    "image missing, multi-scale": (
        metadata,
        lambda f: (f / "train/a.png").unlink(),
        SceneError,
        r"^image is missing in .*metadata.json",
    ),
    "mask missing": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c["frames"][0].update(mask_path="m/0.png")),
        SceneError,
        r"^image is missing in .*transforms.json: expected .*m/0.png",
    ),
    "image without a header": (
        blender,
        lambda f: truncate(f / "train/r_1.png"),
        FormatError,
        r"^image cannot be read in .*train/r_1.png",
    ),
    "no image at all": (
        colmap,
        lambda f: (f / "images/0.png").write_text("hello"),
        FormatError,
        r"^image cannot be read in .*images/0.png",
    ),
    "size contradicts, nerfstudio": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(w=24, h=16)),
        SceneError,
        r"^image size contradicts the camera in .*images/0.png: expected 24x16, found 12x8; resize the image",
    ),
    "size contradicts, colmap": (
        colmap,
        lambda f: save_image(f / "images/1.png", size=(6, 4)),
        SceneError,
        r"^image size contradicts the camera in .*images/1.png: expected 12x8, found 6x4",
    ),
    "size contradicts, multi-scale": (
        metadata,
        lambda f: save_image(f / "train/a.png", size=(6, 4)),
        SceneError,
        r"^image size contradicts the camera in .*train/a.png: expected 12x8, found 6x4",
    ),
    "mask of another size": (
        colmap,
        lambda f: save_mask(f / "masks/1.png", size=(6, 4)),
        SceneError,
        r"^mask size contradicts the image in .*masks/1.png: expected 12x8, found 6x4",
    ),
    "scaled pose": (
        blender,
        lambda f: edit(f / TRAIN, pose_of(1, 0, 0, 7.0)),
        SceneError,
        r"^pose is not a rotation and a translation in .*transforms_train.json \(./train/r_1\)",
    ),
    "NaN in a pose": (
        nerfstudio,
        lambda f: edit(f / ONE, pose_of(1, 2, 3, float("nan"))),
        SceneError,
        r"^pose is not finite in .*transforms.json \(images/1.png\)",
    ),
    "NaN in a quaternion": (
        colmap,
        lambda f: (f / MODEL / "images.txt").write_text("1 nan 0 0 0 0 0 0 1 0.png\n\n"),
        SceneError,
        r"^pose is not finite in .*sparse \(0.png\)",
    ),
    "quaternion of zeros": (
        colmap,
        lambda f: (f / MODEL / "images.txt").write_text("1 0 0 0 0 0 0 0 1 0.png\n\n"),
        SceneError,
        r"^pose is not finite in .*sparse \(0.png\)",
    ),
    "NaN in a translation": (
        colmap,
        lambda f: (f / MODEL / "images.txt").write_text("1 1 0 0 0 0 nan 0 1 0.png\n\n"),
        SceneError,
        r"^pose is not finite in .*sparse \(0.png\)",
    ),
    "mirrored pose, multi-scale": (
        metadata,
        lambda f: edit(f / "metadata.json", lambda c: c["train"]["cam2world"][0][0].__setitem__(0, -1)),
        SceneError,
        r"^pose is not a rotation.*metadata.json \(train/a.png\).*determinant -1",
    ),
    "duplicate names, blender": (
        blender,
        lambda f: edit(f / TRAIN, lambda c: c["frames"].append(frame(7, "./train/r_0"))),
        SceneError,
        r"^two views have the same name in .*: found train/r_0.png; rename one",
    ),
    "duplicate names, colmap": (
        colmap,
        lambda f: replace_text(f / MODEL / "images.txt", " 1.png", " 0.png"),
        SceneError,
        r"^two views have the same name in .*: found 0.png",
    ),
    "not JSON": (
        blender,
        lambda f: (f / TRAIN).write_text("{ frames: "),
        FormatError,
        r"^not JSON .*in .*transforms_train.json",
    ),
    "JSON of something else": (
        nerfstudio,
        lambda f: write_json(f / ONE, {"name": "x"}),
        FormatError,
        r'^no frames in .*transforms.json: expected a list "frames"',
    ),
    "no focal length": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.pop("fl_x")),
        SceneError,
        r"^camera without a focal length in .*images/0.png.*: expected fl_x or camera_angle_x",
    ),
    "impossible angle": (
        blender,
        lambda f: edit(f / TRAIN, lambda c: c.update(camera_angle_x=39.6)),
        SceneError,
        r"^impossible field of view in .*: expected between 0 and pi radians, found 39.6",
    ),
    "camera of words": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(fl_x="wide")),
        SceneError,
        r"^camera values are not numbers in",
    ),
    "camera of NaN": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(cx=float("nan"))),
        SceneError,
        r"^camera values are not finite in .*: found cx",
    ),
    "negative focal length": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(fl_x=-3)),
        SceneError,
        r"^camera parameters must be finite with positive focal length in .*images/0.png",
    ),
    "unknown camera model, nerfstudio": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(camera_model="LENSBABY")),
        SceneError,
        r"^unknown camera model in .*transforms.json.*expected one of .*OPENCV_FISHEYE.*found LENSBABY",
    ),
    "distortion beyond COLMAP": (
        nerfstudio,
        lambda f: edit(f / ONE, lambda c: c.update(camera_model="OPENCV", k4=0.1)),
        SceneError,
        r"^distortion without a counterpart .*found k4; undistort",
    ),
    "unknown camera model, colmap": (
        lambda f: colmap(f, camera="LENSBABY 12 8 10 11 6 4"),
        lambda f: None,
        FormatError,
        r"^unknown camera model in .*cameras.txt, line 1: expected one of .*found LENSBABY",
    ),
    "panorama": (
        lambda f: colmap(f, camera="EQUIRECTANGULAR 12 8 12 8"),
        lambda f: None,
        SceneError,
        r"^camera model without a focal length in .*sparse \(camera 1\).*found EQUIRECTANGULAR",
    ),
    "model cut short": (
        colmap,
        lambda f: truncate(f / MODEL / "images.txt"),
        FormatError,
        r"^COLMAP model has a broken line in .*images.txt, line 1.*cut short",
    ),
    "image above the folder": (
        colmap,
        lambda f: replace_text(f / MODEL / "images.txt", " 1.png", " ../images/1.png"),
        SceneError,
        r"^image lies outside the images' folder in .*sparse: found ../images/1.png",
    ),
    "no views": (
        colmap,
        lambda f: (f / MODEL / "images.txt").write_text("# nothing\n"),
        SceneError,
        r"^no views in .*; point to a folder with posed images",
    ),
    "unknown split": (
        metadata,
        lambda f: edit(f / "metadata.json", lambda c: c.update(extra=c["train"])),
        SceneError,
        r"^unknown split in .*metadata.json: expected train, val or test, found extra",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_refused(name: str, tmp_path: Path) -> None:
    make, spoil, kind, message = SPOILED[name]
    folder = make(tmp_path)
    if name not in ("unknown camera model, colmap", "panorama"):
        assert len(load_scene(folder)) > 0
    spoil(folder)
    with pytest.raises(kind) as caught:
        load_scene(folder)
    sentence = str(caught.value)
    assert re.search(message, sentence), sentence
    assert "\n" not in sentence


def test_nothing_recognisable_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(SceneError) as caught:
        load_scene(tmp_path)
    assert str(caught.value) == (
        f"no posed images recognised in {tmp_path}: expected transforms_train.json, transforms.json, metadata.json, or "
        "a COLMAP model (cameras, images and points3D as .bin or .txt) in sparse/0, sparse or here"
    )
    with pytest.raises(SceneError, match="no such scene"):
        load_scene(tmp_path / "nowhere")


def test_a_file_that_is_no_pose_file(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    with pytest.raises(FormatError, match=r"not JSON .*a\.png"):
        load_scene(tmp_path / "a.png")


def test_truncated_pixels_are_found_when_read(tmp_path: Path) -> None:
    file = blender(tmp_path) / "train" / "r_0.png"
    file.write_bytes(file.read_bytes()[:-40])
    view = load_scene(tmp_path)["train/r_0.png"]
    with pytest.raises(FormatError, match=r"image cannot be read in .*train/r_0.png"):
        view.read()


def test_an_image_replaced_by_another_size_is_found_when_read(tmp_path: Path) -> None:
    view = load_scene(nerfstudio(tmp_path))["images/0.png"]
    save_image(tmp_path / "images/0.png", size=(6, 4))
    with pytest.raises(SceneError, match="image size contradicts the camera"):
        view.image()
