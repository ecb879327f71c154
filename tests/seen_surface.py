"""The surface that views of a synthetic scene see, and what tests ask of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anyview.scene._layouts import LAYOUTS
from anyview.scene._sdf import distance
from anyview.scene.scene import View
from anyview.scene.synthetic import _PRETTIEST, SyntheticScene, Truth


def rays_of(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Origin, and directions in the world with camera z of 1, (H, W, 3)."""
    camera = view.camera
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    local = np.stack([*np.meshgrid(x, y), np.ones((camera.height, camera.width))], axis=2)
    return view.center, local @ view.world_from_cam[:3, :3].T


def points_of(view: View, truth: Truth) -> np.ndarray:
    origin, rays = rays_of(view)
    return origin + rays * truth.depth[:, :, None]


def march(made: SyntheticScene, layout: str, texture: float, rays: int, seed: int = 0) -> float:
    """Largest difference of depth from small steps through all solids at once, over random pixels of four views.

    Steps stop 1e-8 outside a surface; where one method meets a solid, the other must meet the same.
    """
    rng = np.random.default_rng([_PRETTIEST + seed, list(LAYOUTS).index(layout)])
    stage = LAYOUTS[layout](rng, texture, 0.0, False)
    solids = stage.solids

    def all_distances(point: np.ndarray) -> np.ndarray:
        local = np.einsum("kij,kj->ki", solids["rotation"], point - solids["center"])
        return np.array([distance(solid, *place) for solid, place in zip(solids, local, strict=True)])

    rng = np.random.default_rng(0)
    worst = 0.0
    for view in list(made.scene)[:4]:
        truth = made.truth[view.name]
        origin, directions = rays_of(view)
        height, width = truth.depth.shape
        for row, column in zip(rng.integers(0, height, rays // 4), rng.integers(0, width, rays // 4), strict=True):
            ray = directions[row, column]
            unit, t = ray / np.linalg.norm(ray), 0.0
            while t < 9:
                d = all_distances(origin + t * unit)
                if d.min() < 1e-8:
                    break
                t += 0.7 * d.min()
            depth, instance = truth.depth[row, column], truth.instance[row, column]
            if t < 9 and depth > 0 and stage.instances[d.argmin()] == instance:
                worst = max(worst, abs(t / np.linalg.norm(ray) - depth))
            else:
                assert t >= 9
                assert depth == instance == 0
    return worst


def disagreement(made: SyntheticScene, stretch: float = 1.0) -> float:
    """Median difference of colours between neighbouring views, carried over by the true depth times `stretch`."""
    views, errors = list(made.scene), []
    height, width = views[0].camera.height, views[0].camera.width
    for a in views[:6]:
        b = min((v for v in views if v is not a), key=lambda v: float(np.linalg.norm(a.center - v.center)))
        truth, depth = made.truth[a.name], made.truth[b.name].depth
        points = points_of(a, replace(truth, depth=truth.depth * np.float32(stretch)))
        x, y, z = np.moveaxis(points @ b.cam_from_world[:3, :3].T + b.cam_from_world[:3, 3], 2, 0)
        u, v = x / z * b.camera.fx + b.camera.cx - 0.5, y / z * b.camera.fy + b.camera.cy - 0.5
        i, j = np.clip(np.floor(v), 0, height - 2).astype(int), np.clip(np.floor(u), 0, width - 2).astype(int)
        s, t = u - j, v - i
        corners = [((1 - s) * (1 - t), i, j), ((1 - s) * t, i + 1, j), (s * (1 - t), i, j + 1), (s * t, i + 1, j + 1)]
        good = (truth.depth > 0) & (u > 0) & (v > 0) & (u < width - 1) & (v < height - 1)
        good &= np.all([np.abs(depth[k, m] - z) < 0.03 * z for _, k, m in corners], axis=0)
        assert good.mean() > 0.15
        image = b.image()
        seen = np.sum([w[:, :, None] * image[k, m] for w, k, m in corners], axis=0)
        errors.append(np.abs(seen - a.image())[good].mean(axis=1))
    return float(np.median(np.concatenate(errors)))
