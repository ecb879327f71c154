"""mip-NeRF's data set: levels against exact sums, the lists, there and back, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyview import Scene, View, load_scene
from anyview.cameras.models import Camera
from anyview.cli.main import main
from anyview.errors import OptionError, SceneError
from anyview.scene.multiscale import write_multiscale
from anyview.scene.save import Layout, convert_scene
from anyview.scene.scene import ArrayPixels
from anyview.scene.snapshot import read_scene_json, write_scene_json
from posed_images import blender, cv_pose, gl_pose, save_image, save_mask, write_json

SIZE = (24, 16)
LISTS = ["file_path", "cam2world", "width", "height", "focal", "label", "near", "far", "lossmult", "pix2cam"]


def source(folder: Path, alpha: bool = True, **values: Any) -> Path:
    """Two train views and a test view."""
    number = 0
    for split, count in (("train", 2), ("test", 1)):
        frames = []
        for i in range(count):
            save_image(folder / split / f"r_{i}.png", number, alpha=alpha, size=SIZE)
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": gl_pose(number).tolist()})
            number += 1
        write_json(folder / f"transforms_{split}.json", {"fl_x": 20.0, **values, "frames": frames})
    return folder


def stored(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def check_level(made: np.ndarray, original: np.ndarray, level: int) -> int:
    """Cut to whole numbers from the exact mean; a mean that is whole may fall to the one below. Counts those."""
    side = 2**level
    rows, columns, channels = original.shape
    sums = original.reshape(rows // side, side, columns // side, side, channels).sum(axis=(1, 3))
    floor, rest = np.divmod(sums, side * side)
    below = made == floor - 1
    assert ((made == floor) | (below & (rest == 0))).all()
    return int(below.sum())


@pytest.mark.parametrize("alpha", [True, False])
def test_levels_are_means_cut_to_8_bits(tmp_path: Path, alpha: bool) -> None:
    convert_scene(load_scene(source(tmp_path / "a", alpha)), tmp_path / "out", "multiscale")
    for split, i in (("train", 0), ("train", 1), ("test", 0)):
        original = stored(tmp_path / "a" / split / f"r_{i}.png")
        for level in range(4):
            made = stored(tmp_path / "out" / f"images_{split}" / f"{i:03d}_d{level}.png")
            assert made.shape == (16 >> level, 24 >> level, 4 if alpha else 3)
            below = check_level(made, original, level)
            assert level or not below


def test_the_check_of_levels_can_fail() -> None:
    original = np.random.default_rng(0).integers(0, 256, (16, 24, 4))
    fine = original.reshape(8, 2, 12, 2, 4).mean(axis=(1, 3))
    check_level(np.floor(fine).astype(int), original, 1)
    with pytest.raises(AssertionError):
        check_level(np.rint(fine).astype(int), original, 1)  # rounded
    quantised = np.floor(np.floor(fine).reshape(4, 2, 6, 2, 4).mean(axis=(1, 3)))
    with pytest.raises(AssertionError):
        check_level(quantised.astype(int), original, 2)  # the level between was cut already
    weighted = (fine * fine[..., 3:] / 255).astype(int)
    with pytest.raises(AssertionError):
        check_level(weighted, original, 1)  # premultiplied


def test_every_byte_comes_back(tmp_path: Path) -> None:
    """All 256 values in every channel, also colours under alpha 0."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.dstack([values, values.T, values[::-1], np.roll(values, 99)])
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "0.png")
    frames = [{"file_path": "0.png", "transform_matrix": gl_pose(0).tolist()}]
    scene = load_scene(write_json(tmp_path / "a" / "transforms.json", {"fl_x": 20.0, "frames": frames}))
    convert_scene(scene, tmp_path / "out", "multiscale")
    np.testing.assert_array_equal(stored(tmp_path / "out" / "images_train" / "000_d0.png"), pixels)


def test_the_lists_are_mip_nerfs(tmp_path: Path) -> None:
    convert_scene(load_scene(source(tmp_path / "a")), tmp_path / "out", "multiscale")
    content = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert list(content) == ["train", "test"]
    assert {len(values) for values in content["test"].values()} == {4}
    lists = content["train"]
    assert list(lists) == LISTS
    assert lists["file_path"] == [f"images_train/{i:03d}_d{j}.png" for i in range(2) for j in range(4)]
    assert lists["label"] == [0, 1, 2, 3] * 2
    assert lists["lossmult"] == [1, 4, 16, 64] * 2
    assert (lists["width"], lists["height"]) == ([24, 12, 6, 3] * 2, [16, 8, 4, 2] * 2)
    assert lists["focal"] == [20, 10, 5, 2.5] * 2
    assert (set(lists["near"]), set(lists["far"])) == ({2}, {6})
    for k in range(8):
        np.testing.assert_allclose(lists["cam2world"][k], gl_pose(k // 4), atol=1e-15)
        w, h, f = lists["width"][k], lists["height"][k], lists["focal"][k]
        inverse = np.array(lists["pix2cam"][k])
        np.testing.assert_allclose(inverse @ [w / 2, h / 2, 1], [0, 0, -1], atol=1e-15)  # the middle looks down -z
        np.testing.assert_allclose(inverse @ [w, 0, 1], [w / 2 / f, h / 2 / f, -1])  # upper right: x, y positive


def test_there_and_back(tmp_path: Path) -> None:
    convert_scene(load_scene(source(tmp_path / "a")), tmp_path / "out", "multiscale")
    scene = load_scene(tmp_path / "out")
    assert scene.format == "multiscale"
    assert [view.split for view in scene] == ["train"] * 8 + ["test"] * 4
    for k, view in enumerate(scene):
        number, level = divmod(k, 4)
        share = 2**level
        assert view.camera == Camera.pinhole(24 // share, 16 // share, 20 / share, 20 / share, 12 / share, 8 / share)
        np.testing.assert_allclose(view.world_from_cam, cv_pose(number), atol=1e-12)
        assert (view.near, view.far, view.weight) == (2, 6, 4**level)
        assert view.mask() is not None
    finest = scene.where(lambda view: view.weight == 1)
    finest = replace(finest, views=tuple(replace(view, far=7.5) for view in finest))
    convert_scene(finest, tmp_path / "again", "multiscale")
    for view, other in zip(load_scene(tmp_path / "again"), scene, strict=True):
        np.testing.assert_array_equal(stored(view.path), stored(other.path))  # type: ignore[arg-type]
        assert (view.near, view.far) == (2, 7.5)  # what a view tells of itself is kept
    write_multiscale(scene.split("test").where(lambda view: view.weight == 1), tmp_path / "b", near=1, far=9)
    assert {(view.near, view.far) for view in load_scene(tmp_path / "b")} == {(2, 6)}
    write_multiscale(load_scene(tmp_path / "a"), tmp_path / "c", near=1, far=9)
    assert {(view.near, view.far) for view in load_scene(tmp_path / "c")} == {(1, 9)}


@pytest.mark.parametrize("to", ["nerfstudio", "colmap-bin"])
def test_what_another_layout_cannot_hold_is_said_once(to: Layout, tmp_path: Path) -> None:
    convert_scene(load_scene(source(tmp_path / "a")), tmp_path / "small", "multiscale")
    notes: list[str] = []
    convert_scene(load_scene(tmp_path / "small"), tmp_path / "out", to, notes.append)
    assert notes == [
        f"the layout {to} has no place for near and far of 12 views and the weight of 9 views: not written; set "
        "data.near and data.far where a field learns from it"
    ]
    convert_scene(load_scene(tmp_path / "a"), tmp_path / "plain", to, notes.append)
    convert_scene(load_scene(tmp_path / "a"), tmp_path / "again", "multiscale", notes.append)
    assert len(notes) == 1


def test_the_snapshot_keeps_depths_and_weights(tmp_path: Path) -> None:
    scene = load_scene(source(tmp_path / "a"))
    write_scene_json(scene, tmp_path / "plain.json")
    assert "weight" not in (tmp_path / "plain.json").read_text()
    convert_scene(scene, tmp_path / "out", "multiscale")
    write_scene_json(load_scene(tmp_path / "out"), tmp_path / "scene.json")
    assert [(v.near, v.far, v.weight) for v in read_scene_json(tmp_path / "scene.json")] == [
        (2, 6, 4**j) for _ in range(3) for j in range(4)
    ]
    assert {(v.near, v.far, v.weight) for v in read_scene_json(tmp_path / "plain.json")} == {(None, None, 1)}


def test_masks_in_files_and_pixels_in_memory(tmp_path: Path) -> None:
    save_image(tmp_path / "a" / "images" / "0.png", 3, size=SIZE)
    save_mask(tmp_path / "a" / "masks" / "0.png", size=SIZE)
    frames = [{"file_path": "images/0.png", "transform_matrix": gl_pose(0).tolist()}]
    scene = load_scene(write_json(tmp_path / "a" / "transforms.json", {"fl_x": 20.0, "frames": frames}))
    rgb, mask = scene.views[0].read()
    assert mask is not None
    in_memory = replace(scene, views=(replace(scene.views[0], pixels=ArrayPixels(rgb, mask), path=None),))
    for name, one in (("file", scene), ("memory", in_memory)):
        convert_scene(one, tmp_path / name, "multiscale")
        made = stored(tmp_path / name / "images_train" / "000_d0.png")
        np.testing.assert_array_equal(made[..., :3], stored(tmp_path / "a" / "images" / "0.png"))
        np.testing.assert_array_equal(made[..., 3], 255 * mask)


def one(camera: Camera, **changes: Any) -> Scene:
    pixels = ArrayPixels(np.zeros((camera.height, camera.width, 3), np.float32))
    return Scene((View("a", camera, np.eye(4), pixels, **changes),))


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (one(Camera.pinhole(24, 12, 9, 9, 12, 6)), "cannot be halved three times in view a: .*8 divides, found 24x12"),
        (
            one(Camera.pinhole(24, 16, 9, 9.1, 12, 8)),
            "one focal length in view a: expected fx = fy, found 9 and 9.1",
        ),
        (one(Camera.pinhole(24, 16, 9, 9, 12, 8.2)), r"principal point in the middle in view a.*found \(12.0, 8.2\)"),
        (one(Camera("SIMPLE_RADIAL", 24, 16, (9, 12, 8, 0.1))), "cannot describe distortion.*found SIMPLE_RADIAL"),
        (one(Camera.pinhole(24, 16, 9, 9, 12, 8), weight=4.0), "a reduced image already in view a.*found 4.0"),
    ],
)
def test_what_the_layout_cannot_say(tmp_path: Path, scene: Scene, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        convert_scene(scene, tmp_path / "out", "multiscale")
    assert not (tmp_path / "out").exists()


def test_a_distorted_model_without_distortion_is_a_pinhole(tmp_path: Path) -> None:
    convert_scene(one(Camera("SIMPLE_RADIAL", 24, 16, (9, 12, 8, 0.0))), tmp_path / "out", "multiscale")
    assert load_scene(tmp_path / "out").views[0].camera == Camera.pinhole(24, 16, 9, 9, 12, 8)


def test_a_failure_leaves_no_scene(tmp_path: Path) -> None:
    """Also where an earlier scene stood: its images have been replaced."""
    scene = load_scene(source(tmp_path / "a"))
    convert_scene(scene, tmp_path / "out", "multiscale")
    (tmp_path / "a" / "test" / "r_0.png").write_bytes(b"none")
    with pytest.raises(Exception, match=r"image cannot be read in .*r_0\.png"):
        convert_scene(scene, tmp_path / "out", "multiscale")
    assert not (tmp_path / "out" / "metadata.json").exists()
    assert not list((tmp_path / "out").rglob("*.tmp*"))
    with pytest.raises(OptionError, match=r"holds another scene.*found blender"):
        convert_scene(load_scene(source(tmp_path / "c")), blender(tmp_path / "b"), "multiscale")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(source(tmp_path / "a")), str(tmp_path / "out"), "--to", "multiscale"]) == 0
    assert len(load_scene(tmp_path / "out")) == 12
    assert main(["convert", str(blender(tmp_path / "b")), str(tmp_path / "bad"), "--to", "multiscale"]) == 2
    assert "cannot be halved three times" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("near", "far"), [(3.0, 2.0), (-1.0, 2.0), (None, 0.0), (1.0, np.inf), (np.nan, 2.0)])
def test_impossible_depths(near: float | None, far: float) -> None:
    with pytest.raises(SceneError, match="impossible depths in view a: expected 0 <= near < far"):
        one(Camera.pinhole(24, 16, 9, 9, 12, 8), near=near, far=far)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_impossible_weight(weight: float) -> None:
    with pytest.raises(SceneError, match="impossible weight in view a"):
        one(Camera.pinhole(24, 16, 9, 9, 12, 8), weight=weight)


def test_the_conversion_is_the_one_that_is_described(tmp_path: Path) -> None:
    """Written from one sentence, pixel by pixel: 2x2 box means of float straight-alpha RGBA in sRGB, chained without
    quantising, saved truncated to 8 bits; parallel lists with near 2, far 6, lossmult 4^j, pix2cam."""
    folder = source(tmp_path / "a")
    convert_scene(load_scene(folder), tmp_path / "out", "multiscale")
    wanted: dict[str, dict[str, list[Any]]] = {}
    pixels = different = 0
    for split in ("train", "test"):
        lists: dict[str, list[Any]] = {name: [] for name in LISTS}
        for i, entry in enumerate(json.loads((folder / f"transforms_{split}.json").read_text())["frames"]):
            image = np.float32(stored(folder / f"{entry['file_path']}.png")) / np.float32(255)
            focal = 20.0
            for j in range(4):
                h, w = image.shape[:2]
                name = f"images_{split}/{i:03d}_d{j}.png"
                pix2cam = [[1 / focal, 0, -0.5 * w / focal], [0, -1 / focal, 0.5 * h / focal], [0, 0, -1]]
                values = name, entry["transform_matrix"], w, h, focal, j, 2.0, 6.0, 4.0**j, pix2cam
                for key, value in zip(LISTS, values, strict=True):
                    lists[key].append(value)
                found, exact = stored(tmp_path / "out" / name), 255 * np.float64(image)
                off = found != np.float32(255 * image).astype(np.uint8)
                assert (
                    np.abs(exact - exact.round())[off].max(initial=0) < 1e-3
                )  # sums in another order, at whole values
                pixels, different = pixels + off.size, different + int(off.sum())
                smaller = np.empty((h // 2, w // 2, 4), np.float32)
                for y, x in np.ndindex(h // 2, w // 2):
                    a, b, c, d = (image[2 * y + dy, 2 * x + dx] for dy in (0, 1) for dx in (0, 1))
                    smaller[y, x] = (a + b + c + d) / np.float32(4)
                image, focal = smaller, focal / 2
        wanted[split] = lists
    found_lists = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert {split: list(lists) for split, lists in found_lists.items()} == dict.fromkeys(wanted, LISTS)
    for split, name in ((split, name) for split in wanted for name in LISTS):
        if name == "file_path":
            assert found_lists[split][name] == wanted[split][name]
        else:
            np.testing.assert_allclose(found_lists[split][name], wanted[split][name], rtol=1e-9, atol=1e-12)
    assert different <= 0.002 * pixels
