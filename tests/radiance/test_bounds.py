"""The cube of a grid field: outlines that say little, corners near a camera, scenes without extent."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse, look_at
from anyview.cameras.rays import pixel_centers, project, rays
from anyview.errors import SceneError
from anyview.formats.ply import write_ply
from anyview.radiance.bounds import Outline, _carved, visual_hull
from anyview.radiance.reconstructed import reconstructed_points
from anyview.scene.scene import ArrayPixels, Scene, View

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


def test_an_empty_reconstruction(tmp_path: Path) -> None:
    write_ply(tmp_path / "fused.ply", np.zeros((0, 3)))
    with pytest.raises(SceneError, match=r"the reconstruction is empty in .*; run `anyview reconstruct`"):
        reconstructed_points(tmp_path)
