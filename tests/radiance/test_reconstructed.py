"""What a reconstruction's depth maps leave possible: around a ball whose depth maps are exact."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse, look_at, quaternion_from_rotation
from anyview.cameras.rays import pixel_centers, project, rays
from anyview.errors import FormatError, SceneError
from anyview.formats.colmap import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, write_array, write_model
from anyview.radiance.reconstructed import DepthView, depth_views, left_open, shell, unexcluded

CAMERA = Camera.pinhole(160, 160, 200.0, 200.0, 80.0, 80.0)
LOW, SIDE, CELLS, RADIUS = np.full(3, -1.0), 2.0, 40, 0.6
ALL = np.ones((CELLS,) * 3, np.uint8)


def ball(eye: np.ndarray, camera: Camera = CAMERA) -> DepthView:
    """Its depth from one place; unknown beside it."""
    height, width = camera.height, camera.width
    world_from_cam = look_at(eye, np.zeros(3), np.array([0.0, 0, 1]))
    origin, ways = rays(camera, world_from_cam, pixel_centers(width, height))  # of z = 1
    a, b, c = (ways**2).sum(1), ways @ origin, origin @ origin - RADIUS**2
    with np.errstate(invalid="ignore"):
        depth = (-b - np.sqrt(b * b - a * c)) / a
    return DepthView(camera, inverse(world_from_cam), np.nan_to_num(depth).reshape(height, width).astype(np.float32))


def around(camera: Camera = CAMERA, count: int = 40) -> list[DepthView]:
    """From all sides."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - 5**0.5) * np.arange(count)
    eyes = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
    return [ball(4 * eye, camera) for eye in eyes]


def distances() -> np.ndarray:
    """Of the cells' middles from the ball's, (z, y, x)."""
    axis = (np.arange(CELLS) + 0.5) / CELLS * SIDE - 1
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.asarray(np.sqrt(x**2 + y**2 + z**2)).transpose(2, 1, 0)


def looked_through(views: list[DepthView], cell: np.ndarray, grown: float) -> int:
    """Of how many maps the square of pixels around a cell, `grown` times as wide, shows only what is behind it."""
    count = 0
    middle, half = LOW + (cell[::-1] + 0.5) * SIDE / CELLS, 0.5 * SIDE / CELLS
    for camera, pose, depth in views:
        corners = middle + half * grown * np.array(list(product((-1, 1), repeat=3)))
        local = corners @ pose[:3, :3].T + pose[:3, 3]
        u, v = np.floor(project(camera, local)).astype(int).T
        if min(u.min(), v.min()) < 0 or max(u.max(), v.max()) >= 160:
            continue
        shown = depth[v.min() : v.max() + 1, u.min() : u.max() + 1]
        count += bool((shown > local[:, 2].max()).all())
    return count


def test_the_surface_stays_and_what_is_before_and_behind_it_goes() -> None:
    views = around()
    left = unexcluded(views, LOW, SIDE, ALL).astype(bool)
    cell, distance = SIDE / CELLS, distances()
    assert left[np.abs(distance - RADIUS) < 0.5 * 3**0.5 * cell].all()
    assert not left[distance < RADIUS - 4 * cell].any()  # hidden in all views
    outside = np.argwhere(distance > RADIUS + 3 * cell)
    closed = outside[~left[tuple(outside.T)]]
    assert len(closed) > 1000  # most are never seen against the ball
    for index in np.random.default_rng(0).permutation(closed)[:50]:
        assert looked_through(views, index, 1.0) >= 2
    near = outside[distance[tuple(outside.T)] < RADIUS + 6 * cell]
    surely = [i for i in np.random.default_rng(1).permutation(near)[:100] if looked_through(views, i, 4.0) >= 2]
    assert len(surely) > 5
    assert not left[tuple(np.array(surely).T)].any()


def test_one_depth_map_alone_excludes_nothing_before_it() -> None:
    view = ball(np.array([4.0, 0, 0]))
    distance = distances()
    before = np.zeros_like(ALL, bool)
    before[CELLS // 2, CELLS // 2, -3:] = True  # towards the camera
    assert unexcluded([view], LOW, SIDE, ALL)[before].all()
    assert not unexcluded([view, view], LOW, SIDE, ALL)[before].any()
    assert unexcluded([view], LOW, SIDE, ALL)[distance < 0.2].all()  # nor what only one view hides
    assert not unexcluded([view, view], LOW, SIDE, ALL)[distance < 0.2].any()


def test_a_hole_in_the_maps_excludes_nothing() -> None:
    views = around()
    for view in views:
        view.depth[40:120, 40:120] = 0
    assert unexcluded(views, LOW, SIDE, ALL)[distances() < 0.25].all()
    assert unexcluded([v._replace(depth=0 * v.depth) for v in views], LOW, SIDE, ALL).all()


def test_only_possible_cells_stay() -> None:
    possible = (np.random.default_rng(0).random(ALL.shape) < 0.5).astype(np.uint8)
    assert (unexcluded(around(), LOW, SIDE, possible) == (unexcluded(around(), LOW, SIDE, ALL) & possible)).all()


def workspace(root: Path, half: bool = False) -> Path:
    """COLMAP's dense workspace of the ball; depth maps may have half the cameras' size."""
    images = {}
    for i, view in enumerate(around(CAMERA.resized(80, 80) if half else CAMERA)):
        rotation = quaternion_from_rotation(view.cam_from_world[:3, :3])
        images[i + 1] = ColmapImage(i + 1, 1, f"{i}.png", rotation, view.cam_from_world[:3, 3])
        path = root / "stereo" / "depth_maps" / f"{i}.png.geometric.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_array(path, view.depth)
    camera = ColmapCamera(1, CAMERA.model, CAMERA.width, CAMERA.height, CAMERA.params)
    write_model(ColmapModel({1: camera}, images, ColmapPoints.empty()), root / "sparse")
    return root


@pytest.mark.parametrize("folder", ["", "dense"])
@pytest.mark.parametrize("half", [False, True])
def test_maps_of_a_workspace(tmp_path: Path, folder: str, half: bool) -> None:
    workspace(tmp_path / folder, half)
    points = np.array([[RADIUS, 0, 0]])
    left = left_open(tmp_path, points, LOW, SIDE, ALL)
    wanted = unexcluded(around(), LOW, SIDE, ALL)
    assert (left != wanted).mean() < (0.03 if half else 1e-3)  # poses go through quaternions; larger pixels: 0.022
    assert [v.depth.shape for v in depth_views(tmp_path)] == [(80, 80) if half else (160, 160)] * 40
    with pytest.raises(SceneError, match="the reconstruction lies elsewhere"):
        left_open(tmp_path, points + 9, LOW, SIDE, ALL)
    (tmp_path / folder / "stereo" / "depth_maps" / "3.png.geometric.bin").write_bytes(b"160&160&1&")
    with pytest.raises(FormatError, match=r"3\.png\.geometric\.bin"):
        left_open(tmp_path, points, LOW, SIDE, ALL)


def test_without_maps_the_surroundings_of_points(tmp_path: Path) -> None:
    points = np.array([[RADIUS, 0, 0]])
    assert list(depth_views(tmp_path)) == []
    assert (left_open(tmp_path, points, LOW, SIDE, ALL) == shell(points, LOW, SIDE, CELLS)).all()
