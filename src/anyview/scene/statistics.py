"""What a scene's cameras are, how far apart they stand and how much they see in common, before any image is opened.

Letters: V views, N sample points. What cameras look at is unknown before reconstruction; it is taken to lie where their
axes come nearest to each other or, where they do not converge (a street, a facade), at ten times the distance between
neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from anyview.scene.scene import Scene, View
from anyview.typing import Points

_GRID = 9  # sample pixels along each side of an image
_FAR = 10.0  # depth in baselines where axes do not converge
_SHARED = 0.25  # overlap from which two views help each other


@dataclass(frozen=True)
class SceneStatistics:
    """Numbers about the cameras of a scene.

    Attributes:
        views: count per split.
        cameras: count of views per "MODEL WIDTHxHEIGHT, focal length in pixels".
        baseline: distance from a camera to its nearest neighbour, scene units: least, median, largest.
        distance: from the cameras to what they look at, scene units: least, median, largest.
        angle: between the directions from which neighbours see it, degrees: least, median, largest.
        overlap: share of a view's image that its best neighbour sees, 0 to 1: least, median, largest.
        partners: other views that see at least a quarter of a view's image: least, median, largest.
        lonely: names of views that no other view overlaps by a quarter.
    """

    views: dict[str, int]
    cameras: dict[str, int]
    baseline: tuple[float, float, float]
    distance: tuple[float, float, float]
    angle: tuple[float, float, float]
    overlap: tuple[float, float, float]
    partners: tuple[float, float, float]
    lonely: tuple[str, ...]


def describe(scene: Scene) -> SceneStatistics:
    """Look at the cameras of a scene; with a single view distances and overlaps are 0."""
    views = list(scene)
    centers = np.stack([view.center for view in views])
    gaps = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    baseline = gaps.min(axis=1) if len(views) > 1 else np.zeros(1)
    depths = _depths(views, float(np.median(baseline)))
    shared = _overlaps(views, depths)
    best = shared.max(axis=1)
    axes = np.stack([view.world_from_cam[:3, 2] for view in views])
    angles = _angles(centers + depths[:, None] * axes, centers, centers[np.argmin(gaps, axis=1)])
    return SceneStatistics(
        views=dict(Counter(view.split for view in views)),
        cameras=dict(Counter(_camera(view) for view in views)),
        baseline=_spread(baseline),
        distance=_spread(depths),
        angle=_spread(angles),
        overlap=_spread(best),
        partners=_spread((shared >= _SHARED).sum(axis=1)),
        lonely=tuple(view.name for view, share in zip(views, best, strict=True) if share < _SHARED),
    )


def _camera(view: View) -> str:
    camera = view.camera
    return f"{camera.model} {camera.width}x{camera.height}, focal length {camera.fx:.1f}"


def _depths(views: list[View], baseline: float) -> Float64[np.ndarray, "V"]:
    """Depth at which each view's axis passes nearest to the point that is nearest to all axes."""
    across = [np.eye(3) - np.outer(axis, axis) for axis in (view.world_from_cam[:3, 2] for view in views)]
    total = np.sum(across, axis=0)
    far = np.full(len(views), max(_FAR * baseline, 1e-9))
    if np.linalg.cond(total) > 1e4:
        return far
    point = np.linalg.solve(total, np.sum([a @ view.center for a, view in zip(across, views, strict=True)], axis=0))
    depths = np.array([(view.cam_from_world[:3, :3] @ (point - view.center))[2] for view in views])
    return depths if (depths > 0).all() else far


def _overlaps(views: list[View], depths: Float64[np.ndarray, "V"]) -> Float64[np.ndarray, "V V"]:
    """[i, j]: share of view i's sample points, at its depth, that fall into view j's image (distortion aside)."""
    poses = np.stack([view.cam_from_world for view in views])
    lens = np.array([(c.fx, c.fy, c.cx, c.cy, c.width, c.height) for c in (view.camera for view in views)])
    fx, fy, cx, cy, width, height = lens.T[:, :, None]
    steps = (np.arange(_GRID) + 0.5) / _GRID
    shared = np.zeros((len(views), len(views)))
    for i, view in enumerate(views):
        camera = view.camera
        x, y = np.meshgrid(steps * camera.width, steps * camera.height)
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1).reshape(-1, 3)
        points = (depths[i] * rays) @ view.world_from_cam[:3, :3].T + view.center
        local = points @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
        z = np.where(local[..., 2] > 1e-9, local[..., 2], np.nan)
        column, row = local[..., 0] / z * fx + cx, local[..., 1] / z * fy + cy
        shared[i] = ((column >= 0) & (column <= width) & (row >= 0) & (row <= height)).mean(axis=1)
    np.fill_diagonal(shared, 0)
    return shared


def _angles(seen: Points, one: Points, two: Points) -> Float64[np.ndarray, "V"]:
    """Angle at which each seen point sees the two centres, degrees."""
    a, b = one - seen, two - seen
    cosine = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(np.min(values)), float(np.median(values)), float(np.max(values))
