"""Filling: planes that are known, and what must stay empty."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.reconstruction.stereo.planar_fill import CELL, FACING, fill_planes

SHAPE = (60, 80)
MATRIX = np.array([[90.0, 0, 40], [0, 90, 30], [0, 0, 1]])
SLOPE = (0.3, 0.002, -0.001)  # inverse depth at the origin, and its change per pixel


def surface(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(3, H, W): one plane everywhere, each pixel's own rho."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    rho = SLOPE[0] + SLOPE[1] * x + SLOPE[2] * y
    return np.stack([rho, np.full(shape, SLOPE[1]), np.full(shape, SLOPE[2])]).astype(np.float32)


def with_hole() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The surface, support 0.5 but for a hole whose planes are wrong, and the hole."""
    planes, support = surface(), np.full(SHAPE, 0.5, np.float32)
    hole = np.zeros(SHAPE, bool)
    hole[20:40, 25:50] = True
    support[hole] = 0
    planes[0][hole] *= 1.2
    return planes, support, hole


def test_a_hole_in_a_plane_is_filled_exactly() -> None:
    planes, support, hole = with_hole()
    out, filled = fill_planes(planes, support, np.ones(SHAPE, bool), MATRIX, 60.0)
    np.testing.assert_array_equal(filled, hole)
    np.testing.assert_allclose(out, surface(), atol=2e-6)  # measured: 5e-7, float32
    np.testing.assert_array_equal(out[:, ~hole], planes[:, ~hole])


def test_large_triangles_and_other_things_stay_out() -> None:
    planes, support, hole = with_hole()
    out, filled = fill_planes(planes, support, np.ones(SHAPE, bool), MATRIX, 1.5 * CELL)
    assert filled.sum() < 0.5 * hole.sum()  # only the hole's rim
    np.testing.assert_array_equal(out[:, ~filled], planes[:, ~filled])
    mask = np.ones(SHAPE, bool)
    mask[:, 30:] = False
    _, filled = fill_planes(planes, support, mask, MATRIX, 60.0)
    np.testing.assert_array_equal(filled, hole & mask)


@pytest.mark.parametrize("known", [0, 2, 60])
def test_nothing_to_span_a_triangle(known: int) -> None:
    planes, support = surface(), np.zeros(SHAPE, np.float32)
    support[0, :known] = 0.5  # none, a pair, or all in one line
    out, filled = fill_planes(planes, support, np.ones(SHAPE, bool), MATRIX, 60.0)
    assert not filled.any()
    np.testing.assert_array_equal(out, planes)


def test_planes_seen_from_the_edge_are_left_out() -> None:
    planes, support, hole = with_hole()
    x = np.arange(SHAPE[1]) + 0.5
    planes[0] = np.where(hole, 1.0, 0.05 * x - 1.4).astype(np.float32)  # along the ray at x = 28
    y, x2 = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    normal = np.stack([np.full(SHAPE, 0.05 * 90), np.zeros(SHAPE), 0.05 * 40 - 1.4 + 0 * x2])
    ray = np.stack([(x2 - 40) / 90, (y - 30) / 90, np.ones(SHAPE)])
    cosine = (normal * ray).sum(0) / np.linalg.norm(normal, axis=0) / np.linalg.norm(ray, axis=0)
    _, filled = fill_planes(planes, support, np.ones(SHAPE, bool), MATRIX, 60.0)
    np.testing.assert_array_equal(filled, hole & (cosine > FACING))
    assert filled[hole].any()
    assert not filled[hole].all()
