"""The page's cloud: its bytes decoded again, its frame, and its thinning."""

import base64

import numpy as np
import pytest

from anyview.report.cameras_plot import camera_frusta
from anyview.report.cloud_view import pack_cloud, thin
from camera_ring import ring_scene


def surface(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points on a slanted rectangle, red growing along x."""
    rng = np.random.default_rng(3)
    uv = rng.uniform(size=(n, 2))
    xyz = np.stack([4 * uv[:, 0] + 5, uv[:, 1] - 7, uv[:, 0] + 2], -1)
    rgb = np.stack([255 * uv[:, 0], np.full(n, 90), np.full(n, 30)], -1).astype(np.uint8)
    return xyz, rgb


@pytest.mark.parametrize("count", [1, 10, 5_000, 80_000])
def test_thinning_keeps_to_the_limit_and_to_the_surface(count: int) -> None:
    xyz, rgb = surface(count)
    points, colors, spacing = thin(xyz, rgb, 3000)
    assert len(points) == len(colors) <= 3000
    assert len(points) >= min(count, 3000) * (1.0 if count <= 10 else 0.75)  # measured 0.83 to 0.97
    np.testing.assert_allclose(points[:, 2] - 2, (points[:, 0] - 5) / 4, atol=1e-9)  # means stay on the plane
    np.testing.assert_allclose(colors[:, 0], 255 * (points[:, 0] - 5) / 4, atol=2)
    assert 0 < spacing <= 0.21


def test_bytes_are_what_the_viewer_reads() -> None:
    xyz, rgb = surface(4000)
    s = ring_scene(6)
    packed = pack_cloud(s, xyz, rgb, limit=1000)
    assert packed is not None
    raw = base64.b64decode(packed.data)
    assert len(raw) == packed.count * 9
    places = np.frombuffer(raw, "<i2", packed.count * 3).reshape(-1, 3) / 32767
    colors = np.frombuffer(raw, np.uint8, offset=packed.count * 6).reshape(-1, 3)
    assert np.abs(places).max() == pytest.approx(1.0, abs=0.05)
    assert (colors[:, 1:] == (90, 30)).all()
    # The page's y is the world's z (the cameras stand level), and distances keep their proportions.
    along = np.argsort(colors[:, 0])
    assert np.corrcoef(places[along, 1], colors[along, 0])[0, 1] > 0.999
    frusta = np.frombuffer(base64.b64decode(packed.cameras), "<f4").reshape(-1, 6, 3)
    assert len(frusta) == packed.camera_count == 6
    world = camera_frusta(s)[:, 0]
    scale = np.linalg.norm(frusta[0, 0] - frusta[3, 0]) / np.linalg.norm(world[0] - world[3])
    assert scale == pytest.approx(2 / np.ptp(xyz, axis=0).max(), rel=0.3)


def test_points_without_colours_and_no_points() -> None:
    xyz, _ = surface(100)
    packed = pack_cloud(ring_scene(3), xyz, None)
    assert packed is not None
    assert pack_cloud(ring_scene(3), np.full((4, 3), np.nan), None) is None
    again = pack_cloud(ring_scene(3), xyz, None)
    assert again is not None
    assert again.data == packed.data
