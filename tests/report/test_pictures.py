"""Colours of maps, sheets, and the camera layout."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image as PillowImage

from anyview.errors import OptionError
from anyview.report.cameras_plot import SPLIT_COLORS, camera_frusta, draw_cameras
from anyview.report.pictures import (
    color_cost,
    color_depth,
    color_normals,
    contact_sheet,
    depth_range,
    with_legend,
)
from camera_ring import ring_scene


def test_depth_runs_from_the_warm_to_the_cold_end_and_none_is_clear() -> None:
    depth = np.array([[1.0, 3.0, 0.0, np.inf, 9.0]], np.float32)
    picture = color_depth(depth, (1.0, 3.0))
    near, far = (np.rint(np.array(colormaps["turbo"](x)) * 255) for x in (1.0, 0.0))
    np.testing.assert_array_equal(picture[0, 0], near)
    np.testing.assert_array_equal(picture[0, 1], far)
    np.testing.assert_array_equal(picture[0, 4], far)
    assert not picture[0, 2:4].any()


def test_depth_range_leaves_outliers_out() -> None:
    depth = np.linspace(2, 3, 1001, dtype=np.float32).reshape(7, 143)
    depth[0, 0] = 1e6
    assert depth_range(depth) == pytest.approx((2.01, 2.99), abs=2e-3)
    assert depth_range(np.zeros((2, 2), np.float32)) is None
    assert not color_depth(np.zeros((2, 2), np.float32)).any()


def test_normals_have_their_usual_colours() -> None:
    normals = np.array([[[0, 0, -1], [1, 0, 0], [0, -1, 0], [0, 0, 0], [np.nan, 0, 0]]], np.float32)
    picture = color_normals(normals)
    assert picture[0].tolist()[:3] == [[128, 128, 255, 255], [255, 128, 128, 255], [128, 255, 128, 255]]
    assert not picture[0, 3:].any()


def test_cost_is_brighter_where_it_is_worse() -> None:
    picture = color_cost(np.array([[0.0, 0.5, 1.0, 2.0, np.nan]], np.float32), 1.0)
    bright = picture[0, :, :3].astype(int).sum(axis=1)
    assert bright[0] < bright[1] < bright[2] == bright[3]
    assert picture[0, 4, 3] == 0


def test_a_legend_lies_below_and_a_sheet_holds_every_picture() -> None:
    red = np.full((30, 40, 4), (255, 0, 0, 255), np.uint8)
    legend = with_legend(color_depth(np.ones((30, 64), np.float32)), "1.0", "2.0")
    assert legend.shape[0] > 30
    assert legend.shape[1:] == (64, 4)
    sheet = contact_sheet([red] * 5, ["<one>", "a very long name " * 9, "c", "d", "e"], 3, cell=(50, 40))
    assert (sheet == (255, 0, 0, 255)).all(axis=-1).sum() == 5 * 30 * 40
    with pytest.raises(OptionError, match="a label for each"):
        contact_sheet([red], [], 1)


def test_frusta_have_the_shape_of_their_cameras() -> None:
    s = ring_scene(5)
    for view, frustum in zip(s, camera_frusta(s), strict=True):
        np.testing.assert_allclose(frustum[0], view.center)
        local = (frustum[1:5] - view.center) @ view.world_from_cam[:3, :3]
        pixels = local[:, :2] / local[:, 2:] * 60 + (32, 24)
        np.testing.assert_allclose(pixels, [[0, 0], [64, 0], [64, 48], [0, 48]], atol=1e-9)


@pytest.mark.parametrize("count", [1, 3, 300])
def test_cameras_of_every_split_are_drawn_and_saved(count: int, tmp_path: Path) -> None:
    s = ring_scene(count, np.array([[-1.0, -1, 0], [1, 1, 1]]) if count == 3 else None)
    points = np.random.default_rng(0).normal(size=(500, 3)) if count == 300 else None
    image = draw_cameras(s, tmp_path / "cameras.png", points, size=(400, 300))
    with PillowImage.open(tmp_path / "cameras.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.asarray(image))
    pixels = np.asarray(image).astype(int)
    for split in {view.split for view in s}:
        assert (np.abs(pixels - SPLIT_COLORS[split]).max(axis=-1) < 40).sum() > 20, split
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (border.min(axis=1) > 190).all()  # nothing but the floor's grid leaves the picture
    again = draw_cameras(s, None, points, size=(400, 300))
    assert again.tobytes() == image.tobytes()
