"""Support and filling: the readable twins, planes that are known, and what must stay empty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyview.cameras.poses import inverse
from anyview.reconstruction.fusion_kernels import Maps
from anyview.reconstruction.fusion_maps import load_maps
from anyview.reconstruction.planar_fill import ALONE, CELL, FACING, fill_planes
from anyview.reconstruction.support import surface_support
from plane_maps import plane_workspace

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


def test_support_is_the_formula(tmp_path: Path) -> None:
    """On exact maps of a plane with noise in one view: 1 where all agree, the formula's value else, 0 when far off."""
    rng = np.random.default_rng(0)
    error = np.where(rng.random((48, 48)) < 0.2, 0.02, rng.uniform(-0.004, 0.004, (48, 48)))
    workspace, scene = plane_workspace(tmp_path, 6, 4, noise=lambda i: error if i == 0 else 0.0)
    maps = [load_maps(workspace, view) for view in scene]
    seen = _support(maps, scene.views, 0, (1, 2, 5))
    want = _twin(maps, scene.views, 0, (1, 2, 5))
    inner = slice(8, -8), slice(8, -8)  # all sources see it
    assert np.abs(seen - want)[inner].max() < 2e-3  # normals are held in 16 bits: 5 * 2e-4 radians
    assert seen[inner][np.abs(error[inner]) > 0.01].max() < ALONE
    exact = _support(maps, scene.views, 3, (2, 4))
    assert exact[inner].min() > 0.99


def _support(maps: list[Maps], views: tuple, i: int, sources: tuple[int, ...]) -> np.ndarray:
    poses = ((maps[j], inverse(views[j].world_from_cam) @ views[i].world_from_cam) for j in sources)
    return surface_support(maps[i], poses)


def _twin(maps: list[Maps], views: tuple, i: int, sources: tuple[int, ...]) -> np.ndarray:
    """The same for views whose sources lie on the plane z = 0 exactly: meet the ray with that plane."""
    depth, (fx, fy, cx, cy) = maps[i].depth.astype(np.float64), maps[i].camera
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
    rays = np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], -1) @ views[i].world_from_cam[:3, :3].T
    true = -views[i].center[2] / rays[..., 2]
    value = np.exp(-0.5 * np.abs(true - depth) * fx / depth)  # exact normals: no angle
    out = np.zeros_like(depth)
    for j in sources:
        camera, there = maps[j].camera, views[j].cam_from_world
        # forward: the estimate in source j; back: the plane's point on that ray, in the reference
        point = views[i].center + rays * depth[..., None]
        p = point @ there[:3, :3].T + there[:3, 3]
        q = np.concatenate([p[..., :2] / p[..., 2:], np.ones((*depth.shape, 1))], -1)
        toward = q @ views[j].world_from_cam[:3, :3].T
        seen = -views[j].center[2] / toward[..., 2]
        hit = views[j].center + toward * seen[..., None]
        back = hit @ views[i].cam_from_world[:3, :3].T + views[i].cam_from_world[:3, 3]
        u, v = fx * back[..., 0] / back[..., 2] + cx, fy * back[..., 1] / back[..., 2] + cy
        close = (np.hypot(u - x, v - y) <= 1.0) & (np.abs(seen - p[..., 2]) <= 0.01 * seen)
        su, sv = camera[0] * q[..., 0] + camera[2], camera[1] * q[..., 1] + camera[3]
        inside = (su >= 0) & (sv >= 0) & (su < depth.shape[1]) & (sv < depth.shape[0])
        out += np.where(close & inside, value, 0)
    return out / len(sources)
