"""The renderers against closed forms, against brute force, and against a ray caster of another library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyview.cameras.models import Camera
from anyview.cameras.poses import compose, look_at, rotation_from_quaternion
from anyview.errors import OptionError
from anyview.reconstruction.surface.vertex_normals import vertex_normals
from anyview.report import rasterize
from anyview.report.rasterize import footprints, render_mesh, render_points

CAMERA = Camera.pinhole(64, 48, 60.0, 55.0, 31.3, 24.9)
IDENTITY = np.eye(4)


def rays(camera: Camera) -> np.ndarray:
    """Ray of each pixel's centre, z = 1, (H, W, 3)."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    return np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)


def brute_force_depth(xyz: np.ndarray, faces: np.ndarray, camera: Camera) -> np.ndarray:
    """Moeller and Trumbore's intersection of every pixel with every face; 0 = none."""
    direction = rays(camera)
    best = np.full(direction.shape[:2], np.inf)
    for a, b, c in xyz[faces]:
        e1, e2 = b - a, c - a
        p = np.cross(direction, e2)
        det = p @ e1
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (p @ -a) / det
            q = np.cross(-a, e1)
            v = direction @ q / det
            t = (e2 @ q) / det
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        best = np.where(hit, np.minimum(best, t), best)
    return np.where(np.isfinite(best), best, 0.0)


def sphere(n: int, radius: float = 1.0) -> np.ndarray:
    """A Fibonacci lattice of n points on a sphere."""
    i = np.arange(n) + 0.5
    z, angle = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    return radius * np.stack([r * np.cos(angle), r * np.sin(angle), z], -1)


def test_triangle_has_the_depth_of_its_plane_and_the_area_of_its_outline() -> None:
    camera = Camera.pinhole(400, 300, 350.0, 350.0, 200.0, 150.0)
    corners = np.array([[-1.0, -0.8, 3.0], [1.1, -0.5, 4.0], [0.1, 0.9, 3.5]])
    render = render_mesh(corners, np.array([[0, 1, 2]]), camera, IDENTITY, supersample=1)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    plane = (normal @ corners[0]) / (rays(camera) @ normal)
    seen = render.depth > 0
    np.testing.assert_allclose(render.depth[seen], plane[seen], rtol=2e-7)  # measured 6e-8: float32's rounding
    x, y = (corners[:, :2] / corners[:, 2:] * 350 + (200, 150)).T
    area = 0.5 * abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
    assert seen.sum() == pytest.approx(area, rel=2e-3)  # measured 1.1e-4
    assert render_mesh(corners, np.array([[0, 1, 2]]), camera, IDENTITY, supersample=4).coverage.sum() == pytest.approx(
        area, rel=5e-4
    )  # measured 1e-5


def test_colours_are_interpolated_in_perspective() -> None:
    """A quad far deeper at its right: at the middle of its picture the colour is not the mean of both ends."""
    corners = np.array([[-1.0, -1.0, 2.0], [3.0, -3.0, 6.0], [3.0, 3.0, 6.0], [-1.0, 1.0, 2.0]])
    rgb = np.array([[0, 0, 0], [255, 255, 255], [255, 255, 255], [0, 0, 0]], np.uint8)
    camera = Camera.pinhole(101, 101, 100.0, 100.0, 50.5, 50.5)
    render = render_mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), camera, IDENTITY, rgb=rgb, supersample=1)
    flat = render_mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), camera, IDENTITY, rgb=rgb * 0 + 255, supersample=1)
    linear = np.where(render.image <= 0.04045, render.image / 12.92, ((render.image + 0.055) / 1.055) ** 2.4)
    light = np.where(flat.image <= 0.04045, flat.image / 12.92, ((flat.image + 0.055) / 1.055) ** 2.4)
    share = (linear / light)[50, 5:95, 0]
    z = render.depth[50, 5:95]
    np.testing.assert_allclose(share, (z - 2) / 4, atol=2e-6)  # measured 3e-7


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mesh_agrees_with_brute_force_even_across_the_camera_plane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(18, 3)) * (2, 2, 2) + (0, 0, 1.5)  # some corners lie behind the camera
    faces = rng.integers(0, 18, size=(12, 3))
    depth = render_mesh(xyz, faces, CAMERA, IDENTITY, supersample=1).depth
    truth = brute_force_depth(xyz, faces, CAMERA)
    truth[truth < 1e-5] = 0
    differ = ~np.isclose(depth, truth, rtol=1e-5)
    assert differ.mean() <= 1 / 1000  # only rays that pass through an edge; measured 0 to 1 of 3072


def test_neighbouring_triangles_leave_no_gap() -> None:
    """A fan of thin triangles seen on edges that run through pixel centres."""
    angles = np.linspace(0, 2 * np.pi, 721)[:-1]
    rim = np.stack([np.cos(angles), np.sin(angles), np.full_like(angles, 3.0)], -1)
    xyz = np.concatenate([[[0.0, 0.0, 3.0]], rim])
    faces = np.stack([np.zeros(720, int), 1 + np.arange(720), 1 + (np.arange(720) + 1) % 720], -1)
    camera = Camera.pinhole(128, 128, 150.0, 150.0, 64.5, 64.5)
    depth = render_mesh(xyz, faces, camera, IDENTITY, supersample=1).depth
    inside = np.linalg.norm(rays(camera)[..., :2] * 3, axis=-1) < 0.999
    assert (depth[inside] > 0).all()


@pytest.mark.parametrize("oriented", [True, False])
def test_sphere_of_points_has_the_silhouette_and_depth_of_a_sphere(oriented: bool) -> None:
    """Silhouette of a sphere of radius 1 at distance 4: rays with (d . c)^2 >= |d|^2 (|c|^2 - 1)."""
    points = sphere(40_000)
    camera = Camera.pinhole(200, 200, 330.0, 330.0, 100.0, 100.0)
    pose = look_at(np.array([2.4, -3.2, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    normals = points if oriented else None
    render = render_points(points, camera, pose, normals=normals, radius=0.02, supersample=1)
    d = rays(camera)
    b, dd = d[..., 2] * 4.0, (d * d).sum(-1)
    root = b * b - dd * 15.0
    inside = root >= 0
    wrong = (render.depth > 0) != inside
    assert wrong.sum() < (0.018 if oriented else 0.05) * inside.sum()
    depth = np.where(inside, (b - np.sqrt(np.maximum(root, 0))) / dd, 0)
    core = inside & (root > 0.2)
    error = np.abs(render.depth - depth)[core]
    # Normal discs leave the sphere by their sagitta; the sample under a centre takes the centre's depth.
    assert np.median(error) < (2e-4 if oriented else 0.03)  # measured 8e-5 and 0.023
    assert error.max() < (0.02 if oriented else 0.06)  # measured 0.0098 and 0.037


def test_points_agree_with_brute_force() -> None:
    rng = np.random.default_rng(5)
    xyz = rng.normal(size=(60, 3)) + np.array([0, 0, 4])
    normals = rng.normal(size=(60, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    radius = 0.3
    d = rays(CAMERA)
    best, depth = np.full(d.shape[:2], np.inf), np.zeros(d.shape[:2])
    for p, n in zip(xyz, normals, strict=True):
        t = (n @ p) / (d @ n)
        away = ((t[..., None] * d - p) ** 2).sum(-1)
        key = t + away / radius
        hit = (t > 0) & (away <= radius**2) & (key < best)
        best, depth = np.where(hit, key, best), np.where(hit, t, depth)
        column, row = np.floor(p[:2] / p[2] * (60.0, 55.0) + (31.3, 24.9)).astype(int)
        if 0 <= column < 64 and 0 <= row < 48 and p[2] < best[row, column]:
            best[row, column] = depth[row, column] = p[2]
    render = render_points(xyz, CAMERA, IDENTITY, normals=normals, radius=radius, supersample=1)
    assert (~np.isclose(render.depth, depth, rtol=1e-5)).sum() <= 2  # measured 0 of 3072


def test_moving_camera_and_object_together_changes_nothing() -> None:
    points = sphere(5000) + np.array([0, 0, 4])
    motion = compose(rotation_from_quaternion(np.array([0.8, 0.1, -0.5, 0.3])), np.array([10.0, -4.0, 2.0]))
    here = render_points(points, CAMERA, IDENTITY)
    there = render_points(points @ motion[:3, :3].T + motion[:3, 3], CAMERA, motion)
    assert (np.abs(here.image - there.image) > 2e-3).mean() < 2e-3  # measured 0
    assert np.abs(here.depth - there.depth).max() < 0.05


def test_odd_points_are_left_out() -> None:
    points = np.array([[0.0, 0.0, 2.0], [np.nan, 0, 1], [0, 0, -1], [0, np.inf, 1], [0, 0, 0]])
    render = render_points(points, CAMERA, IDENTITY, radius=1e-9, supersample=1)
    assert np.count_nonzero(render.depth) == 1
    assert render.depth.max() == 2
    assert np.isfinite(render.image).all()


def test_nothing_to_draw() -> None:
    for render in (
        render_points(np.zeros((0, 3)), CAMERA, IDENTITY),
        render_mesh(np.zeros((0, 3)), np.zeros((0, 3), int), CAMERA, IDENTITY),
    ):
        assert render.image.shape == (48, 64, 3)
        assert not render.coverage.any()
        assert (render.over((0.2, 0.4, 0.6)) == np.float32([0.2, 0.4, 0.6])).all()


def test_same_input_same_bytes() -> None:
    points = sphere(3000) + np.array([0, 0, 3])
    rgb = (np.abs(points) * 60).astype(np.uint8)
    first, second = (render_points(points, CAMERA, IDENTITY, rgb=rgb) for _ in range(2))
    assert first.rgba().tobytes() == second.rgba().tobytes()
    assert first.image.dtype == np.float32
    assert first.depth.dtype == np.float32


def test_footprints_follow_the_density() -> None:
    """A grid of step 1 and one of step 0.25 far away, 30,000 points in all: regular spacing is the step itself."""
    coarse = np.stack(np.meshgrid(np.arange(100.0), np.arange(100.0), [0.0]), -1).reshape(-1, 3)
    fine = np.stack(np.meshgrid(np.arange(141.0), np.arange(141.0), [0.0]), -1).reshape(-1, 3) * 0.25 + (0, 0, 500)
    xyz = np.concatenate([coarse, fine, [[np.nan, 0, 0]]])
    spacing = footprints(xyz) / 1.6
    assert np.median(spacing[:10_000]) == pytest.approx(1.0, rel=0.15)  # measured 1.12
    assert np.median(spacing[10_000:-1]) == pytest.approx(0.25, rel=0.15)
    assert spacing[-1] == 0


def test_vertex_normals_of_a_sphere_point_outwards() -> None:
    import trimesh

    ball = trimesh.creation.icosphere(3)
    normals = vertex_normals(np.asarray(ball.vertices), np.asarray(ball.faces, np.int32))
    np.testing.assert_allclose(normals, ball.vertices, atol=0.02)  # measured 0.007


def test_wrong_input_is_named() -> None:
    xyz = np.zeros((3, 3))
    with pytest.raises(OptionError, match="faces name vertices"):
        render_mesh(xyz, np.array([[0, 1, 3]]), CAMERA, IDENTITY)
    with pytest.raises(OptionError, match="normals has the wrong shape"):
        rasterize._check(xyz, CAMERA, 1, normals=np.zeros((2, 3)))
    with pytest.raises(OptionError, match="only pinhole"):
        render_points(xyz, Camera("SIMPLE_RADIAL", 64, 48, (60.0, 32.0, 24.0, 0.1)), IDENTITY)
