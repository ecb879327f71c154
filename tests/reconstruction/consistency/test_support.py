"""How well sources confirm a surface: the formula on a plane, by meeting rays with the plane itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyview.cameras.poses import inverse
from anyview.reconstruction.consistency.agreement import Maps, Surface
from anyview.reconstruction.consistency.maps import load_maps
from anyview.reconstruction.consistency.support import surface_support
from anyview.reconstruction.stereo.planar_fill import ALONE
from plane_maps import plane_workspace


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
    surfaces = [Surface(m.depth, m.normal, m.state, m.camera) for m in maps]
    poses = ((surfaces[j], inverse(views[j].world_from_cam) @ views[i].world_from_cam) for j in sources)
    return surface_support(surfaces[i], poses)


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
