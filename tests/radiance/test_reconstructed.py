"""What a reconstruction leaves possible: around a ball whose depth maps are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse, look_at, quaternion_from_rotation
from anyview.cameras.rays import pixel_centers, rays
from anyview.errors import FormatError, SceneError
from anyview.formats.colmap import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, write_array, write_model
from anyview.radiance.reconstructed import DepthView, depth_views, left_open, missed, shell

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


def cut(views: list[DepthView], place: np.ndarray, radius: float) -> list[DepthView]:
    """Without the depths of points within a distance of a place."""
    found = []
    for camera, pose, depth in views:
        _, ways = rays(camera, inverse(pose), pixel_centers(camera.width, camera.height))
        points = inverse(pose)[:3, 3] + depth.reshape(-1, 1) * ways
        near = np.linalg.norm(points - place, axis=1) < radius
        found.append(DepthView(camera, pose, np.where(near.reshape(depth.shape), np.float32(0), depth)))
    return found


def test_nothing_is_missed_where_all_is_known() -> None:
    found = missed(around(), LOW, SIDE, ALL).astype(bool)
    cell, distance = SIDE / CELLS, distances()
    assert not found[distance < RADIUS - 2.5 * cell].any()
    seen = (distance > RADIUS + 3.5 * cell) & (distance < RADIUS + 5 * cell)
    assert found[seen].mean() < 0.02  # two maps look through, nearly everywhere


def test_what_lies_in_a_hole_of_the_maps_is_possible() -> None:
    place = np.array([RADIUS, 0, 0])
    views = cut(around(), place, 0.3)
    found = missed(views, LOW, SIDE, ALL).astype(bool)
    whole = missed(around(), LOW, SIDE, ALL).astype(bool)
    cell = SIDE / CELLS
    axis = (np.arange(CELLS) + 0.5) / CELLS * SIDE - 1
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    off = np.sqrt((x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2)
    surface = np.abs(distances() - RADIUS) < 0.5 * 3**0.5 * cell
    assert found[surface & (off < 0.2)].all()
    behind = (distances() < RADIUS - 2.5 * cell) & (off < 0.2)
    assert found[behind].all()
    assert not whole[behind].any()
    few = [v if i % 20 else w for i, (v, w) in enumerate(zip(around(), views, strict=True))]
    assert not missed(few, LOW, SIDE, ALL).astype(bool)[behind].any()  # only two of forty have it


def test_holes_leave_no_room_right_before_the_cameras() -> None:
    """Of few photographs from about one side, as of a facade: fog there would be seen by one of them."""
    views = []
    for y in (-0.8, -0.4, 0.0, 0.4, 0.8):
        camera, pose, depth = ball(np.array([4.0, y, 0.3]))
        depth[:, : camera.width // 2] = 0
        views.append(DepthView(camera, pose, depth))
    low, side = np.full(3, -3.0), 6.0
    found = np.argwhere(missed(views, low, side, ALL))
    centers = low + (found[:, ::-1] + 0.5) * side / CELLS
    before = np.stack([centers @ pose[2, :3] + pose[2, 3] for _, pose, _ in views], 1)
    assert len(found) > 1000
    assert before.max(1).min() > 0.85 * (4 - RADIUS)  # measured 2.92; before, 1.21


def test_only_possible_cells_are_missed() -> None:
    possible = (np.random.default_rng(0).random(ALL.shape) < 0.5).astype(np.uint8)
    assert (missed(around(), LOW, SIDE, possible) == (missed(around(), LOW, SIDE, ALL) & possible)).all()
    assert not missed([], LOW, SIDE, ALL).any()


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
    wanted = missed(around(), LOW, SIDE, ALL) | shell(points, LOW, SIDE, CELLS)
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
