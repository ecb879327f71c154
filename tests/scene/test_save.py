"""Conversion there and back in every direction, opened by others; the snapshot."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from anyview import Scene, View, load_scene
from anyview.cameras.models import Camera
from anyview.cameras.rays import project
from anyview.errors import FormatError, OptionError, SceneError
from anyview.formats.images import write_image
from anyview.scene.save import Layout, convert_scene
from anyview.scene.scene import ArrayPixels
from anyview.scene.snapshot import read_scene_json, write_scene_json
from camera_models import MODELS, example
from posed_images import blender, colmap, cv_pose, frame, nerfstudio, save_image, save_mask

LAYOUTS: tuple[Layout, ...] = ("blender", "nerfstudio", "colmap-txt", "colmap-bin")


def same(a: Scene, b: Scene, tolerance: float = 1e-12) -> None:
    """Names (but for the folder "images/"), cameras, splits and pixels the same; poses within the tolerance."""
    assert [v.name.removeprefix("images/") for v in a] == [v.name.removeprefix("images/") for v in b]
    for one, other in zip(a, b, strict=True):
        assert one.camera == other.camera
        assert one.split == other.split
        np.testing.assert_allclose(one.world_from_cam, other.world_from_cam, rtol=0, atol=tolerance)
        assert one.pixels.fingerprint() == other.pixels.fingerprint()  # the very bytes, of the mask too
    if a.points is not None and b.points is not None:
        np.testing.assert_allclose(a.points, b.points, rtol=1e-7)


def sources(folder: Path) -> dict[str, Scene]:
    """One scene of each layout; with masks in files, splits, points, cameras that differ."""
    entries = [frame(0, "images/0.png", mask_path="m/x.png"), frame(1, "images/1.png", fl_x=np.pi * 4, fl_y=11, cx=5.9)]
    save_mask(folder / "n" / "m" / "x.png")
    save_mask(folder / "c" / "masks" / "0.png")
    return {
        "blender": load_scene(blender(folder / "b")),
        "nerfstudio": load_scene(nerfstudio(folder / "n", entries, test_filenames=["images/1.png"])),
        "colmap": load_scene(colmap(folder / "c")),
    }


@pytest.mark.parametrize("back", ["blender", "nerfstudio", "colmap-bin"])
@pytest.mark.parametrize("via", LAYOUTS)
def test_there_and_back(tmp_path: Path, via: Layout, back: Layout) -> None:
    """Poses within 1e-12 (asked: 1e-9; measured 1.8e-15), intrinsics and files exactly."""
    scene = sources(tmp_path)[back.split("-")[0]]
    convert_scene(scene, tmp_path / "via", via)
    there = load_scene(tmp_path / "via")
    assert there.format == via.split("-")[0]
    same(scene, there)
    convert_scene(there, tmp_path / "back", back)
    same(scene, load_scene(tmp_path / "back"))


@pytest.mark.parametrize("to", ["colmap-txt", "colmap-bin"])
@pytest.mark.parametrize("model", MODELS)
def test_colmap_keeps_every_camera(tmp_path: Path, model: str, to: Layout) -> None:
    scene = one_camera(tmp_path, example(model))
    convert_scene(scene, tmp_path / "out", to)
    same(scene, load_scene(tmp_path / "out"), 0)


@pytest.mark.parametrize("model", MODELS)
def test_nerfstudio_keeps_what_it_can_describe(tmp_path: Path, model: str) -> None:
    camera = example(model)
    if model == "FULL_OPENCV":
        camera = replace(camera, params=(*camera.params[:9], 0.0, 0.0, 0.0))
    scene = one_camera(tmp_path, camera)
    if model in ("FOV", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE", "SIMPLE_DIVISION", "DIVISION", "EUCM"):
        with pytest.raises(SceneError, match=f"cannot describe this camera model in view 0.png.*found {model}"):
            convert_scene(scene, tmp_path / "out", "nerfstudio")
        assert not (tmp_path / "out").exists()
        return
    convert_scene(scene, tmp_path / "out", "nerfstudio")
    again = load_scene(tmp_path / "out").views[0].camera
    points = np.random.default_rng(0).uniform([-0.5, -0.4, 0.8], [0.5, 0.4, 3], (50, 3))
    np.testing.assert_allclose(project(again, points), project(camera, points), atol=1e-12)  # measured 1.1e-13
    if not model.endswith("FISHEYE"):
        assert again == camera


@pytest.mark.parametrize("model", [m for m in MODELS if "PINHOLE" not in m])
def test_blender_refuses_distortion(tmp_path: Path, model: str) -> None:
    with pytest.raises(SceneError, match=r"distortion|cannot describe"):
        convert_scene(one_camera(tmp_path, example(model)), tmp_path / "out", "blender")
    assert not (tmp_path / "out").exists()


def one_camera(folder: Path, camera: Camera) -> Scene:
    for name in ("images", "sparse"):
        (folder / name).mkdir()
    write_image(folder / "images" / "0.png", np.zeros((480, 640), np.uint8))
    words = " ".join(map(repr, camera.params))
    (folder / "sparse" / "cameras.txt").write_text(f"1 {camera.model} 640 480 {words}\n")
    (folder / "sparse" / "images.txt").write_text("1 1 0 0 0 0 0 0 1 0.png\n\n")
    return load_scene(folder)


def test_pycolmap_opens_the_model_and_projects_as_we_do(tmp_path: Path) -> None:
    scene = load_scene(blender(tmp_path / "b"))
    points = np.array([[0.1, 0.2, 0.3], [1.0, -2, 3]])
    convert_scene(replace(scene, points=points), tmp_path / "out", "colmap-bin")
    model = pycolmap.Reconstruction(tmp_path / "out" / "sparse")
    assert model.num_points3D() == 2
    assert model.num_cameras() == 1  # shared by all views
    assert model.is_valid()
    point = np.array([0.3, -0.2, 60.0])
    for view in scene:
        image = model.find_image_with_name(view.name)
        local = (view.cam_from_world @ [*point, 1])[None, :3]
        ours, theirs = project(view.camera, local)[0], image.project_point(point)
        if theirs is None:
            assert np.isnan(ours).all()
        else:
            np.testing.assert_allclose(ours, theirs, atol=1e-9)  # measured 6e-14


def test_blenders_file_is_what_its_readers_expect(tmp_path: Path) -> None:
    scene = load_scene(colmap(tmp_path / "c"))
    convert_scene(scene, tmp_path / "out", "blender")
    content = json.loads((tmp_path / "out" / "transforms_train.json").read_text())
    assert content["camera_angle_x"] == 2 * np.arctan(0.5 * 12 / 10)
    assert content["frames"][1]["file_path"] == "./1"
    expected = cv_pose(1) @ np.diag([1, -1, -1, 1])
    np.testing.assert_allclose(content["frames"][1]["transform_matrix"], expected, atol=1e-14)


def test_pixels_in_memory_become_files(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.float32) / 255
    mask = np.arange(12) < np.arange(8)[:, None]
    camera = Camera.pinhole(12, 8, 10.0, 10.0, 6.0, 4.0)
    views = tuple(View(f"{i}", camera, cv_pose(i), ArrayPixels(rgb, mask if i else None)) for i in range(2))
    convert_scene(Scene(views), tmp_path, "colmap-txt")
    first, second = load_scene(tmp_path)
    assert first.name == "0.png"
    np.testing.assert_allclose(first.image(), rgb, atol=1e-7)
    assert first.mask() is None
    np.testing.assert_array_equal(second.mask(), mask)


def test_a_folder_holds_one_scene(tmp_path: Path) -> None:
    scene = load_scene(blender(tmp_path / "b"))
    with pytest.raises(OptionError, match="input and output are the same folder"):
        convert_scene(scene, tmp_path / "b", "blender")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with pytest.raises(OptionError, match="input and output are the same folder"):
        convert_scene(scene, tmp_path / "link", "colmap-bin")
    convert_scene(scene, tmp_path / "out", "colmap-bin")
    with pytest.raises(OptionError, match=r"output folder holds another scene in .*out: found colmap"):
        convert_scene(scene, tmp_path / "out", "nerfstudio")
    convert_scene(scene.split("train"), tmp_path / "out", "colmap-txt")
    assert [v.split for v in load_scene(tmp_path / "out")] == ["train", "train"]
    convert_scene(scene, tmp_path / "again", "blender")
    convert_scene(scene.split("val"), tmp_path / "again", "blender")
    assert [v.split for v in load_scene(tmp_path / "again")] == ["val"]
    with pytest.raises(OptionError, match=r"unknown layout.*colmap-bin.*found obj"):
        inspect.unwrap(convert_scene)(scene, tmp_path / "new", "obj")  # past the tests' own check of types


def test_views_that_would_share_a_file(tmp_path: Path) -> None:
    scene = load_scene(colmap(tmp_path / "c"))
    views = (scene.views[0], replace(scene.views[1], name="images/0.png"))
    with pytest.raises(SceneError, match=r"two views would share a file in 0\.png"):
        convert_scene(replace(scene, views=views), tmp_path / "out", "nerfstudio")


def test_an_image_that_vanished_leaves_no_scene(tmp_path: Path) -> None:
    scene = load_scene(blender(tmp_path / "b"))
    (tmp_path / "b" / "test" / "r_0.png").unlink()
    with pytest.raises(FormatError, match=r"image is missing in .*test/r_0.png"):
        convert_scene(scene, tmp_path / "out", "nerfstudio")
    with pytest.raises(SceneError, match="no posed images recognised"):
        load_scene(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tmp*"))


def test_snapshot_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for name, scene in sources(tmp_path).items():
        scene = replace(scene, bounds=rng.normal(size=(2, 3)), points=rng.normal(size=(5, 3)))
        write_scene_json(scene, tmp_path / "w" / f"{name}.json")
        monkeypatch.chdir("/")
        again = read_scene_json(tmp_path / "w" / f"{name}.json")
        same(scene, again, 0)
        assert [v.name for v in again] == [v.name for v in scene]
        assert (again.format, again.root) == (scene.format, scene.root)
        np.testing.assert_array_equal(again.bounds, scene.bounds)
        np.testing.assert_array_equal(again.points, scene.points)
        for view, other in zip(scene, again, strict=True):
            assert other.path == view.path
            np.testing.assert_array_equal(view.mask(), other.mask())


def test_snapshot_of_a_relative_scene_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blender(tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    write_scene_json(load_scene("b"), tmp_path / "scene.json")
    monkeypatch.chdir("/")
    assert read_scene_json(tmp_path / "scene.json").views[0].image().shape == (8, 12, 3)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"views": [1]}', '{"views": [{"name": "a"}]}'])
def test_no_snapshot(tmp_path: Path, text: str) -> None:
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(FormatError, match=r"in .*scene\.json"):
        read_scene_json(tmp_path / "scene.json")


def test_snapshot_of_pixels_in_memory_is_refused(tmp_path: Path) -> None:
    camera = Camera.pinhole(12, 8, 10.0, 10.0, 6.0, 4.0)
    view = View("a", camera, np.eye(4), ArrayPixels(np.zeros((8, 12, 3), np.float32)))
    with pytest.raises(SceneError, match="view without a file in view a"):
        write_scene_json(Scene((view,)), tmp_path / "scene.json")


def test_images_are_copied_byte_for_byte(tmp_path: Path) -> None:
    save_image(tmp_path / "n" / "images" / "1.jpg", 1)
    scene = load_scene(nerfstudio(tmp_path / "n", [frame(0, "images/0.png"), frame(1, "images/1.jpg")]))
    convert_scene(scene, tmp_path / "out", "blender")
    for name in ("0.png", "1.jpg"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "n" / "images" / name).read_bytes()
        assert not (tmp_path / "out" / name).is_symlink()
    assert Image.open(tmp_path / "out" / "1.jpg").format == "JPEG"
