"""Which way is up, where the sides lie, and that the object fills its picture."""

import numpy as np
import pytest

from anyview.cameras.poses import compose, look_at, rotation_from_quaternion
from anyview.errors import OptionError
from anyview.report.sides import camera_up, fit_camera, near_the_object, render_sides, side_directions

Z = np.array([0.0, 0.0, 1.0])
TILT = rotation_from_quaternion(np.array([0.7, 0.3, -0.2, 0.6]))


def ring(azimuths: np.ndarray, height: float) -> list[np.ndarray]:
    """Cameras around the origin that look at it, held level."""
    eyes = np.stack([4 * np.cos(azimuths), 4 * np.sin(azimuths), np.full_like(azimuths, height)], -1)
    return [look_at(eye, np.zeros(3), Z) for eye in eyes]


def tilted(poses: list[np.ndarray]) -> list[np.ndarray]:
    """The same capture in a world with other axes."""
    return [compose(TILT, np.zeros(3)) @ pose for pose in poses]


@pytest.mark.parametrize("height", [-1.0, 0.0, 2.0, 30.0])
def test_up_of_a_turntable_is_its_axis(height: float) -> None:
    poses = ring(np.linspace(0, 2 * np.pi, 12, endpoint=False), height)
    np.testing.assert_allclose(camera_up(poses), Z, atol=1e-12)
    np.testing.assert_allclose(camera_up(tilted(poses)), TILT @ Z, atol=1e-12)


def test_up_of_cameras_that_look_one_way_is_their_own() -> None:
    poses = [look_at(np.array([x, -5.0, 1.0]), np.array([x, 0.0, 1.0]), Z) for x in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(camera_up(poses), Z, atol=1e-9)
    np.testing.assert_allclose(camera_up(poses[:1]), Z, atol=1e-9)


def test_up_above_a_site_is_against_the_view() -> None:
    """Flight lines there and back: the images' own ups cancel out."""
    poses = [
        look_at(np.array([x, y, 9.0]), np.array([x, y, 0.0]), np.array([0.0, 1.0 - 2 * (x % 2), 0.0]))
        for x in range(4)
        for y in range(3)
    ]
    np.testing.assert_allclose(camera_up(poses), Z, atol=1e-9)


def test_a_turntable_is_shown_all_around_and_a_facade_from_the_front() -> None:
    around = side_directions(ring(np.linspace(0, 2 * np.pi, 20, endpoint=False), 2.0))
    angles = np.degrees(np.arctan2(around[:, 1], around[:, 0]))
    np.testing.assert_allclose(np.sort(np.diff(np.sort(angles))), 90.0, atol=1e-6)
    front = side_directions(ring(np.radians([200.0, 220.0, 240.0, 260.0]), 0.0))
    angles = np.degrees(np.arctan2(front[:, 1], front[:, 0])) % 360
    assert angles.min() >= 190
    assert angles.max() <= 270
    np.testing.assert_allclose(angles.mean(), 230.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), 1.0)


def test_far_outliers_and_odd_points_are_not_near() -> None:
    rng = np.random.default_rng(0)
    xyz = np.concatenate([rng.uniform(-1, 1, (2000, 3)), rng.normal(size=(10, 3)) * 500, [[np.nan, 0, 0]]])
    near = near_the_object(xyz)
    assert near[:2000].all()
    assert not near[2000:].any()


@pytest.mark.parametrize("direction", [(1.0, 0, 0), (0.6, 0.64, 0.48), (0, 0, 1.0)])
def test_the_object_fills_its_picture(direction: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(1)
    xyz = rng.uniform(-1, 1, (4000, 3)) * (3.0, 1.0, 0.5) + (10.0, 20.0, 30.0)
    camera, pose = fit_camera(xyz, np.array(direction), Z, 400, 300)
    seen = (xyz - pose[:3, 3]) @ pose[:3, :3]
    assert (seen[:, 2] > 0).all()
    pixels = seen[:, :2] / seen[:, 2:] * camera.fx + (200, 150)
    assert ((pixels > 0) & (pixels < (400, 300))).all()
    filled = np.ptp(pixels, axis=0) / (400, 300)
    assert 0.8 < filled.max() < 1.0  # measured 0.88 to 0.91: the margin is a tenth
    middle = (pixels.max(axis=0) + pixels.min(axis=0)) / 2
    np.testing.assert_allclose(middle, (200, 150), atol=8)  # measured 4


def test_cloud_and_mesh_are_drawn_from_each_side() -> None:
    import trimesh

    ball = trimesh.creation.icosphere(4)
    xyz = np.concatenate([np.asarray(ball.vertices), [[900.0, 0, 0]]])
    poses = ring(np.linspace(0, 2 * np.pi, 8, endpoint=False), 1.0)
    faces = np.concatenate([np.asarray(ball.faces), [[0, 1, len(xyz) - 1]]])  # a face to the outlier
    # A disc that fills the height but for the margin, in a picture of 80 x 60.
    disc = np.pi / 4 * (60 / 1.1) ** 2 / 4800
    for renders, rim in (
        (render_sides(xyz, poses, size=(80, 60)), 1.24),  # discs of points widen the silhouette by their radius
        (render_sides(xyz, poses, faces=faces, size=(80, 60)), 1.0),
    ):
        assert len(renders) == 4
        for render in renders:
            assert render.coverage.mean() == pytest.approx(disc * rim, rel=0.05)


def test_nothing_to_draw_is_told() -> None:
    with pytest.raises(OptionError, match="nothing to draw"):
        render_sides(np.full((3, 3), np.nan), ring(np.array([0.0]), 1.0))
