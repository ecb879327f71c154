"""What a scene's cameras are, how far apart they stand and how much they see in common, before any image is opened.

Letters: V views, N sample points. What cameras look at is taken from the scene's points; without them it lies where the
axes come together or, where they do not (a street, a facade), at ten times the distance between neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from anyview.cameras.rays import project
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Points

_GRID = 9  # sample pixels along each side of an image
_FAR = 10.0  # depth in baselines where axes do not converge
_ENOUGH_POINTS = 30  # in a view's image, to trust them with its depth
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
    depths = _depths(scene, float(np.median(baseline)))
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


def _depths(scene: Scene, baseline: float) -> Float64[np.ndarray, "V"]:
    """How far each view looks: median depth of the points that it sees, or where the axes come together."""
    point, converging = converging_axes(scene)
    depths = np.full(len(scene), max(_FAR * baseline, 1e-9))
    for i, view in enumerate(scene):
        if scene.points is not None:
            local = scene.points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
            x, y = project(view.camera, local).T
            seen = (x > 0) & (y > 0) & (x < view.camera.width) & (y < view.camera.height)
            if seen.sum() >= _ENOUGH_POINTS:
                depths[i] = np.median(local[seen, 2])
                continue
        if converging:
            depths[i] = (view.cam_from_world[:3, :3] @ (point - view.center))[2]
    return depths


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
