"""Every layout by hand against what `load_scene` makes of it; and the real data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyview import load_scene
from anyview.cameras.models import Camera
from posed_images import SIZE, blender, colmap, cv_pose, frame, nerfstudio, save_image, save_mask, write_json

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def same_pose(found: np.ndarray, number: int) -> None:
    np.testing.assert_allclose(found, cv_pose(number), atol=1e-14)  # measured 9e-16


@pytest.mark.parametrize("extension", [True, False])
def test_nerf_synthetic(tmp_path: Path, extension: bool) -> None:
    scene = load_scene(blender(tmp_path, extension=extension))
    assert (scene.format, scene.root) == ("blender", tmp_path)
    assert [v.name for v in scene] == ["train/r_0.png", "train/r_1.png", "val/r_0.png", "test/r_0.png"]
    assert [v.split for v in scene] == ["train", "train", "val", "test"]
    focal = 0.5 * 12 / math.tan(0.4)
    for number, view in enumerate(scene):
        same_pose(view.world_from_cam, number)
        assert view.camera == Camera.pinhole(12, 8, focal, focal, 6.0, 4.0)
        image, mask = view.read()
        stored = np.asarray(Image.open(tmp_path / view.name))
        np.testing.assert_array_equal(np.rint(image * 255), stored[..., :3])
        np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(12) < 6, (8, 12)))


def test_images_of_several_sizes_share_an_angle(tmp_path: Path) -> None:
    blender(tmp_path)
    save_image(tmp_path / "val" / "r_0.png", size=(24, 20))
    camera = load_scene(tmp_path)["val/r_0.png"].camera
    assert (camera.width, camera.height, camera.cx, camera.cy) == (24, 20, 12, 10)
    assert camera.fx == camera.fy == 0.5 * 24 / math.tan(0.4)


def test_images_are_not_decoded_before_they_are_asked_for(tmp_path: Path) -> None:
    file = blender(tmp_path) / "train" / "r_0.png"
    file.write_bytes(file.read_bytes()[:100])  # the header is whole
    assert len(load_scene(tmp_path)) == 4


def test_one_pose_file_is_a_scene_too(tmp_path: Path) -> None:
    scene = load_scene(blender(tmp_path) / "transforms_test.json")
    assert [(v.name, v.split) for v in scene] == [("test/r_0.png", "test")]


CAMERAS: list[tuple[dict[str, Any], Camera]] = [
    ({}, Camera.pinhole(12, 8, 10, 10, 6, 4)),
    ({"fl_y": 11, "cx": 5.5, "cy": 4.5, "w": 12, "h": 8}, Camera.pinhole(12, 8, 10, 11, 5.5, 4.5)),
    ({"fl_x": None, "camera_angle_x": 2 * math.atan(0.5)}, Camera.pinhole(12, 8, 12, 12, 6, 4)),
    (
        {"fl_x": None, "camera_angle_x": 2 * math.atan(0.5), "camera_angle_y": 2 * math.atan(0.4)},
        Camera.pinhole(12, 8, 12, 10, 6, 4),
    ),
    ({"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4}, Camera("OPENCV", 12, 8, (10, 10, 6, 4, 0.1, 0.2, 0.3, 0.4))),
    ({"camera_model": "OPENCV", "k1": 0, "k2": 0, "p1": 0, "p2": 0}, Camera.pinhole(12, 8, 10, 10, 6, 4)),
    ({"camera_model": "PINHOLE", "k1": 0.1}, Camera("OPENCV", 12, 8, (10, 10, 6, 4, 0.1, 0, 0, 0))),
    ({"camera_model": "SIMPLE_PINHOLE"}, Camera("SIMPLE_PINHOLE", 12, 8, (10, 6, 4))),
    ({"camera_model": "SIMPLE_RADIAL", "k1": 0.1}, Camera("SIMPLE_RADIAL", 12, 8, (10, 6, 4, 0.1))),
    ({"camera_model": "RADIAL", "k1": 0.1, "k2": 0.2}, Camera("RADIAL", 12, 8, (10, 6, 4, 0.1, 0.2))),
    (
        {"camera_model": "RADIAL", "fl_y": 11, "k1": 0.1},
        Camera("OPENCV", 12, 8, (10, 11, 6, 4, 0.1, 0, 0, 0)),
    ),
    (
        {"camera_model": "OPENCV", "k1": 0.1, "k3": 0.3, "k4": 0},
        Camera("FULL_OPENCV", 12, 8, (10, 10, 6, 4, 0.1, 0, 0, 0, 0.3, 0, 0, 0)),
    ),
    (
        {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k3": 0.3, "k4": 0.4},
        Camera("OPENCV_FISHEYE", 12, 8, (10, 10, 6, 4, 0.1, 0, 0.3, 0.4)),
    ),
    ({"is_fisheye": True, "k2": 0.2}, Camera("OPENCV_FISHEYE", 12, 8, (10, 10, 6, 4, 0, 0.2, 0, 0))),
    ({"camera_model": "fisheye"}, Camera("OPENCV_FISHEYE", 12, 8, (10, 10, 6, 4, 0, 0, 0, 0))),
]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("values", "camera"), CAMERAS)
def test_camera_words_shared_and_per_frame(tmp_path: Path, values: dict[str, Any], camera: Camera, own: bool) -> None:
    shared = {"k1": 7.0, "camera_angle_x": 0.1, "w": 5} if own else values  # which the frames' own values override
    neutral = {"k1": None, "camera_angle_x": None, "w": None}
    entries = [frame(i, f"images/{i}.png", **({**neutral, **values} if own else {})) for i in range(2)]
    scene = load_scene(nerfstudio(tmp_path, entries, **shared))
    assert scene.format == "nerfstudio"
    for number, view in enumerate(scene):
        assert (view.camera.model, view.camera.width, view.camera.height) == (camera.model, 12, 8)
        np.testing.assert_allclose(view.camera.params, camera.params, rtol=3e-16)  # tan rounds once
        assert view.name == f"images/{number}.png"
        same_pose(view.world_from_cam, number)


def test_splits_listed_by_nerfstudio(tmp_path: Path) -> None:
    lists = {"train_filenames": ["images/1.png"], "val_filenames": [], "test_filenames": ["images/0.png"]}
    assert [v.split for v in load_scene(nerfstudio(tmp_path, **lists))] == ["test", "train"]


def test_points_of_nerfstudio(tmp_path: Path) -> None:
    header = (
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (tmp_path / "p.ply").write_text(header + "1 2 3\n4 5 6\n")
    points = load_scene(nerfstudio(tmp_path, ply_file_path="p.ply")).points
    np.testing.assert_array_equal(points, [[1, 2, 3], [4, 5, 6]])


def test_names_of_images_elsewhere_stay_inside(tmp_path: Path) -> None:
    save_image(tmp_path / "photos" / "a.png")
    entries = [frame(0, "../photos/a.png"), frame(1, str(tmp_path / "photos" / "a"))]
    names = [v.name for v in load_scene(nerfstudio(tmp_path / "scene", entries))]
    assert names == ["photos/a.png", f"{tmp_path}/photos/a.png".lstrip("/")]


@pytest.mark.parametrize("model", ["sparse", "sparse/0", "."])
def test_colmap(tmp_path: Path, model: str) -> None:
    scene = load_scene(colmap(tmp_path, model=model))
    assert (scene.format, scene.root) == ("colmap", tmp_path)
    assert [(v.name, v.split) for v in scene] == [("0.png", "train"), ("1.png", "train")]
    for number, view in enumerate(scene):
        same_pose(view.world_from_cam, number)
        assert view.camera == Camera.pinhole(12, 8, 10, 11, 6.5, 4.25)
        assert view.path == tmp_path / "images" / view.name
        assert view.mask() is None
    np.testing.assert_array_equal(scene.points, [[0.5, 1.5, 2.5], [1, 2, 3]])


@pytest.mark.parametrize("model", ["sparse", "sparse/0"])
def test_the_models_own_folder_is_a_scene_too(tmp_path: Path, model: str) -> None:
    scene = load_scene(colmap(tmp_path, model=model) / model)
    assert [v.path for v in scene] == [tmp_path / "images" / f"{i}.png" for i in range(2)]


def test_colmap_with_images_beside_the_model_and_a_list_of_test_views(tmp_path: Path) -> None:
    colmap(tmp_path, names="cam/{}.png")
    (tmp_path / "images" / "cam").rename(tmp_path / "cam")
    (tmp_path / "images").rmdir()
    (tmp_path / "sparse" / "test.txt").write_text("cam/1.png\n")
    scene = load_scene(tmp_path)
    assert [(v.name, v.split) for v in scene] == [("cam/0.png", "train"), ("cam/1.png", "test")]
    assert scene.views[0].path == tmp_path / "cam" / "0.png"


@pytest.mark.parametrize("mask", ["0.png", "0.jpg.png"])
def test_masks_of_a_folder(tmp_path: Path, mask: str) -> None:
    colmap(tmp_path, names="{}.jpg")
    save_mask(tmp_path / "masks" / mask)
    first, second = load_scene(tmp_path)
    np.testing.assert_array_equal(first.mask(), np.broadcast_to(np.arange(8)[:, None] < 4, (8, 12)))
    assert second.mask() is None


def test_masks_of_a_folder_beside_train_and_test(tmp_path: Path) -> None:
    blender(tmp_path)
    save_mask(tmp_path / "masks" / "test" / "r_0.png")
    scene = load_scene(tmp_path)
    upper, left = np.broadcast_to(np.arange(8)[:, None] < 4, (8, 12)), np.broadcast_to(np.arange(12) < 6, (8, 12))
    np.testing.assert_array_equal(scene["test/r_0.png"].mask(), upper)
    np.testing.assert_array_equal(scene["train/r_0.png"].mask(), left)  # its alpha


@pytest.mark.parametrize(("bright", "covered"), [(255, True), (128, True), (127, False), (1, True)])
def test_masks_named_in_the_file(tmp_path: Path, bright: int, covered: bool) -> None:
    """From half brightness on; a file of zeros and ones holds labels."""
    save_mask(tmp_path / "m" / "x.png", bright=bright)
    entries = [frame(0, "images/0.png", mask_path="m/x.png"), frame(1, "images/1.png")]
    first, second = load_scene(nerfstudio(tmp_path, entries))
    mask = first.mask()
    assert mask is not None
    assert mask[0].all() == covered
    assert not mask[-1].any()
    assert second.mask() is None


def test_fingerprints_follow_the_bytes(tmp_path: Path) -> None:
    nerfstudio(tmp_path)
    save_mask(tmp_path / "masks" / "0.png")
    first, second = (v.pixels.fingerprint() for v in load_scene(tmp_path))
    assert first != second
    assert load_scene(tmp_path).views[0].pixels.fingerprint() == first
    save_mask(tmp_path / "masks" / "0.png", bright=200)
    changed = load_scene(tmp_path).views[0].pixels.fingerprint()
    assert changed != first
    save_image(tmp_path / "images" / "0.png", 5)
    assert load_scene(tmp_path).views[0].pixels.fingerprint() not in (first, changed)


def test_multiscale(tmp_path: Path) -> None:
    lists: dict[str, Any] = {"file_path": [], "cam2world": [], "width": [], "height": [], "focal": []}
    for scale in range(2):
        size = (SIZE[0] >> scale, SIZE[1] >> scale)
        save_image(tmp_path / "train" / f"r_0_d{scale}.png", alpha=True, size=size)
        entry = (f"train/r_0_d{scale}.png", frame(3, "")["transform_matrix"], *size, 10 / 2**scale)
        for name, value in zip(lists, entry, strict=True):
            lists[name].append(value)
    scene = load_scene(write_json(tmp_path / "metadata.json", {"train": lists}))
    assert [v.name for v in scene] == ["train/r_0_d0.png", "train/r_0_d1.png"]
    assert [v.camera for v in scene] == [Camera.pinhole(12, 8, 10, 10, 6, 4), Camera.pinhole(6, 4, 5, 5, 3, 2)]
    for view in scene:
        same_pose(view.world_from_cam, 3)
        assert view.mask() is not None


@pytest.mark.parametrize(
    ("name", "layout", "splits", "size", "masked"),
    [
        ("lego", "blender", {"train": 100}, (800, 800), True),
        ("lego_half", "blender", {"train": 100, "val": 25}, (400, 400), True),
        ("still_life", "blender", {"train": 48, "test": 12}, (640, 640), True),
        ("herz_jesu_p8", "colmap", {"train": 8}, (1536, 1024), False),
    ],
)
def test_real_data(name: str, layout: str, splits: dict[str, int], size: tuple[int, int], masked: bool) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not on this machine")
    scene = load_scene(DATA / name)
    assert scene.format == layout
    assert {split: len(scene.split(split)) for split in splits} == splits
    assert {(v.camera.width, v.camera.height) for v in scene} == {size}
    image, mask = scene.views[-1].read()
    assert image.shape == (size[1], size[0], 3)
    assert (mask is not None) == masked
