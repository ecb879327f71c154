"""Votes of views whose geometry is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.cameras.models import Camera
from anyview.reconstruction.surface.signed_distance import DepthView, confirmed, seen_colors, signed_distance

CAMERA = Camera.pinhole(20, 20, 10.0, 10.0, 10.0, 10.0)


def wall(depth: float, color: int = 0, turned: bool = False) -> DepthView:
    """A camera at zero that looks along z, or one at z = 10 that looks back, and what it sees."""
    pose = np.diag([-1.0, 1, -1, 1]) if turned else np.eye(4)
    pose[2, 3] = 10 if turned else 0
    return DepthView(CAMERA, pose, np.full((20, 20), depth, np.float32), np.full((20, 20, 3), color, np.uint8))


def test_distance_before_and_behind_a_wall() -> None:
    depths = [1.0, 3.5, 4.0, 4.5, 4.9, 5.1]
    values, known = signed_distance(np.array([[0.1, 0.2, z] for z in depths]), [wall(4.0)], 1.0)
    assert known.tolist() == [True, True, True, True, True, False]
    assert values[:5] == pytest.approx([1, 0.5, 0, -0.5, -0.9], abs=1e-6)


def test_votes_weigh_by_density_of_pixels_and_less_behind() -> None:
    """At z = 4.5 the first view says -0.5, the second, from the other side, 1 (it looks through)."""
    values, _ = signed_distance(np.array([[0.0, 0.0, 4.5]]), [wall(4.0), wall(7.0, turned=True)], 1.0)
    first, second = 0.5 / 4.5**2, 1 / 5.5**2
    assert values[0] == pytest.approx((-0.5 * first + second) / (first + second), rel=1e-5)


def test_no_depth_is_free_space_and_nan_says_nothing() -> None:
    place = np.array([[0.0, 0.0, 4.0]])
    values, known = signed_distance(place, [wall(0.0)], 1.0)
    assert (values[0], known[0]) == (1, True)
    assert not signed_distance(place, [wall(np.nan)], 1.0)[1][0]
    assert not signed_distance(np.array([[0.0, 0.0, -4.0], [50.0, 0, 4]]), [wall(0.0)], 1.0)[1].any()


def test_between_pixels_a_slope_is_read_but_an_edge_is_not() -> None:
    view = wall(4.0)
    depth = np.tile(4 + 0.1 * (np.arange(20, dtype=np.float32) + 0.5), (20, 1))  # grows by 0.1 from pixel to pixel
    place = np.array([[0.13 * 4.9, 0.0, 4.9]])  # projects to x = 11.3, where depth is 5.13
    values, _ = signed_distance(place, [view._replace(depth=depth)], 1.0)
    assert values[0] == pytest.approx(0.23, abs=1e-5)
    depth[:, :11] = 1.0
    values, _ = signed_distance(place, [view._replace(depth=depth)], 1.0)
    assert values[0] == pytest.approx(5.15 - 4.9, abs=1e-5)  # pixel 11 alone


def test_colors_come_from_views_that_see_and_face_the_place() -> None:
    place, towards = np.array([[0.0, 0.0, 4.0]]), np.array([[0.0, 0.0, -1.0]])
    views = [wall(4.0, 200), wall(2.0, 90), wall(6.0, 30, turned=True)]  # sees it; is blocked; sees its back
    colors, seen = seen_colors(place, towards, views, 1.0)
    assert seen.all()
    assert colors[0] == pytest.approx([200, 200, 200])
    assert not seen_colors(place, towards, views[1:], 1.0)[1].any()


def test_more_views_must_see_a_vertex_than_look_through_it() -> None:
    place = np.array([[0.0, 0.0, 4.0]])
    sees, through, hidden, empty = wall(4.05), wall(4.3), wall(3.0), wall(0.0)
    for views, expected in (
        ([sees], True), ([hidden], False), ([sees, through], False), ([sees, sees, through], True),
        ([sees, empty], False), ([sees, hidden, hidden], True), ([sees, wall(4.15)], True),
        ([sees, wall(np.nan)], True),
    ):  # fmt: skip
        assert confirmed(place, views, 0.1)[0] == expected


def test_beside_an_outline_a_view_does_not_look_through() -> None:
    place = np.array([[0.05, 0.0, 4.0]])  # in column 10; column 11 alone sees the thing
    depth = np.zeros((20, 20), np.float32)
    depth[:, 11] = 4.0
    assert confirmed(place, [wall(0)._replace(depth=depth), wall(3.0)], 0.1)[0]
    depth[:, 11], depth[:, 12] = 0.0, 4.0
    assert not confirmed(place, [wall(0)._replace(depth=depth), wall(4.0)], 0.1)[0]
