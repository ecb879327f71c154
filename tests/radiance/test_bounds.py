"""The cube of a grid field: outlines that say little, corners near a camera, scenes without extent."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse, look_at
from anyview.cameras.rays import pixel_centers, project, rays
from anyview.errors import SceneError
from anyview.formats.ply import write_ply
from anyview.radiance.bounds import Outline, _carved, grid_bounds, visual_hull
from anyview.radiance.data import TrainingPixels
from anyview.radiance.kernels.carving import carve
from anyview.radiance.options import DataOptions
from anyview.radiance.reconstructed import reconstructed_points
from anyview.radiance.views import field_views
from anyview.scene.load import load_scene
from anyview.scene.scene import ArrayPixels, Scene, View
from soft_scene import write_soft_scene
from tiny_scene import write_tiny_scene

CAMERA = Camera.pinhole(64, 64, 80.0, 80.0, 32.0, 32.0)
UP = np.array([0.0, 0, 1])


def seen_from(*poses: np.ndarray) -> Scene:
    pixels = ArrayPixels(np.zeros((64, 64, 3), np.float32))
    return Scene(tuple(View(f"{i}.png", CAMERA, pose, pixels) for i, pose in enumerate(poses)))


def outline(view: View) -> Outline:
    """Of a ball of radius 0.5 around the origin."""
    origin, ways = rays(view.camera, view.world_from_cam, pixel_centers(64, 64))
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    along = -ways @ origin
    met = (along > 0) & (np.linalg.norm(origin + along[:, None] * ways, axis=1) < 0.5)
    return Outline(view.camera, view.cam_from_world, met.reshape(64, 64).astype(np.uint8), 0.0)


def test_a_picture_without_the_object_says_nothing_of_what_it_does_not_show() -> None:
    eyes = [np.array([4 * np.cos(a), 4 * np.sin(a), 1.0]) for a in 2 * np.pi * np.arange(6) / 6]
    away = np.array([-1.0, 1, 0])  # the object is before this camera, but far outside its image
    scene = seen_from(*(look_at(eye, np.zeros(3), UP) for eye in eyes), look_at(eyes[0], eyes[0] + away, UP))
    outlines = [outline(view) for view in scene]
    assert [bool(o.mask.any()) for o in outlines] == [True] * 6 + [False]
    low, side, possible = visual_hull(scene, outlines, 32)
    assert 1 < side < 1.5
    x, y, z = np.floor((np.zeros(3) - low) / side * 32).astype(int)
    assert possible[z, y, x]
    assert not possible[0, 0, 0]


def test_cells_at_the_corner_before_a_camera_are_kept() -> None:
    """A point anywhere in a cell: the pixel that shows it keeps the cell."""
    camera = Camera.pinhole(256, 256, 200.0, 200.0, 128.0, 128.0)
    low, side, cells = np.full(3, -0.5), 1.0, 8
    eye = np.full(3, 1.2 / 3**0.5)  # the nearest corner is at depth 0.33, the middle of the nearest side farther
    pose = inverse(look_at(eye, np.zeros(3), UP))
    for index in product((cells - 2, cells - 1), repeat=3):
        for place in product((0.01, 0.99), repeat=3):
            point = low + (np.array(index) + place) * side / cells
            u, v = np.floor(project(camera, (pose[:3, :3] @ point + pose[:3, 3])[None])[0]).astype(int)
            mask = np.zeros((256, 256), np.uint8)
            mask[v, u] = 1
            kept = _carved([Outline(camera, pose, mask, 0.0)], low, side, cells)
            assert kept[index[::-1]]
            assert kept.mean() < 0.9
            assert _carved([Outline(camera, pose, mask, 0.6)], low, side, cells).sum() < kept.sum()


def test_cameras_in_one_place_have_no_hull() -> None:
    eye = np.array([3.0, 1, 2])
    scene = seen_from(*(look_at(eye, eye + way, UP) for way in np.eye(3)[:2] + 0.1))
    with pytest.raises(SceneError, match="the cameras stand in one place: expected cameras around an object"):
        visual_hull(scene, [outline(view) for view in scene], 8)


@pytest.mark.parametrize(("downscale", "memory_gib"), [(1, 4.0), (2, 4.0), (1, 0.0)])
def test_the_table_of_pixels_gives_the_hull_that_the_files_give(
    downscale: int, memory_gib: float, tmp_path: Path
) -> None:
    data = DataOptions(downscale=downscale)
    views = field_views(load_scene(write_tiny_scene(tmp_path / "scene")), data)
    pixels = TrainingPixels(views.train, downscale=downscale, memory_gib=memory_gib, folder=tmp_path)
    wanted, found = grid_bounds(views, data, 24), grid_bounds(views, data, 24, alpha_of=pixels.alpha_of)
    assert found.is_hull
    assert 0.05 < found.possible.mean() < 0.95
    assert (found.side, *found.low) == (wanted.side, *wanted.low)
    np.testing.assert_array_equal(found.possible, wanted.possible)


def test_one_view_without_alpha_leaves_no_hull(tmp_path: Path) -> None:
    views = field_views(load_scene(write_soft_scene(tmp_path / "a", 3, 1, size=16)), DataOptions())
    plain = field_views(load_scene(write_soft_scene(tmp_path / "b", 3, 1, size=16, alpha=False)), DataOptions())
    mixed = replace(views, train=(*views.train[:2], plain.train[2]))
    pixels = TrainingPixels(mixed.train)
    assert [pixels.alpha_of(number) is None for number in range(3)] == [False, False, True]
    assert not grid_bounds(mixed, DataOptions(), 8, alpha_of=pixels.alpha_of).is_hull


@pytest.mark.parametrize("at_once", [1, 5 * 64 * 64])
def test_few_masks_are_held_and_the_hull_is_that_of_all(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    eyes = [np.array([4 * np.cos(a), 4 * np.sin(a), 1.0]) for a in 2 * np.pi * np.arange(12) / 12]
    scene = seen_from(*(look_at(eye, np.zeros(3), UP) for eye in eyes))
    views = field_views(scene, DataOptions(holdout=0, near=2.0, far=6.0))
    alive: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
    most, carved = 0, []

    def alpha_of(number: int) -> np.ndarray:
        nonlocal most
        made = 255 * outline(views.train[number]).mask
        alive[id(made)] = made
        most = max(most, len(alive))
        return made

    def noted(*values: Any) -> None:
        carved.append(len(values[4]))
        carve(*values)

    low, side, possible = visual_hull(scene, [outline(view)._replace(near=2.0) for view in scene], 32)
    monkeypatch.setattr("anyview.radiance.bounds._AT_ONCE", at_once)
    monkeypatch.setattr("anyview.radiance.kernels.carving.carve", noted)
    bounds = grid_bounds(views, DataOptions(), 32, alpha_of=alpha_of)
    assert most <= 2  # one may wait to be let go
    assert carved == ([1] * 12 if at_once == 1 else [5, 5, 2]) * 4
    assert (bounds.side, *bounds.low) == (side, *low)
    np.testing.assert_array_equal(bounds.possible, possible)


def test_an_empty_reconstruction(tmp_path: Path) -> None:
    write_ply(tmp_path / "fused.ply", np.zeros((0, 3)))
    with pytest.raises(SceneError, match=r"the reconstruction is empty in .*; run `anyview reconstruct`"):
        reconstructed_points(tmp_path)
