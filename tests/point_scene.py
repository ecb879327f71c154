"""Points in a box, cameras around them, and keypoints with made-up descriptors: everything about a match is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.reconstruction.points.features import Features
from anyview.scene import ArrayPixels, Scene, View

SIZE, FOCAL = 400, 450.0
BOUNDS = np.array([[-1.0, -1, -1], [1, 1, 1]])


@dataclass
class PointScene:
    scene: Scene
    features: list[Features]
    point_of: list[np.ndarray]  # per view: the point that each keypoint shows, -1 for clutter
    xyz: np.ndarray


def ring_of_views(count: int, radius: float = 4.0, spread: float = 120.0, lift: float = 0.8) -> tuple[View, ...]:
    camera = Camera.pinhole(SIZE, SIZE, FOCAL, FOCAL, SIZE / 2, SIZE / 2)
    blank = ArrayPixels(np.zeros((SIZE, SIZE, 3), np.float32))
    views = []
    for k, angle in enumerate(np.radians(np.linspace(0, spread, count))):
        eye = np.array([radius * np.cos(angle), radius * np.sin(angle), lift + 0.2 * (k % 3)])
        views.append(View(f"{k:03d}.png", camera, look_at(eye, np.zeros(3), np.array([0.0, 0, 1])), blank))
    return tuple(views)


def make_points(
    count: int = 400, views: int = 8, noise: float = 0.3, clutter: int = 150, seed: int = 0, dim: float = 25.0
) -> PointScene:
    """`noise`: pixels; `clutter`: keypoints per view that show nothing; `dim`: noise of descriptors, of 512."""
    rng = np.random.default_rng(seed)
    posed = ring_of_views(views)
    xyz = rng.uniform(BOUNDS[0], BOUNDS[1], (count, 3))
    words = _unit(rng.exponential(1, (count, 128)) ** 2)
    size = rng.uniform(0.01, 0.04, count)  # of the blobs, world
    features, point_of = [], []
    for view in posed:
        local = xyz @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        place = local[:, :2] / local[:, 2:] * FOCAL + SIZE / 2 + rng.normal(0, noise, (count, 2))
        scale = size * FOCAL / local[:, 2] * rng.uniform(0.95, 1.05, count)
        seen = np.flatnonzero(((place > 0) & (place < SIZE)).all(1) & (rng.random(count) < 0.9))
        random = np.column_stack([rng.uniform(0, SIZE, (clutter, 2)), rng.uniform(1, 5, clutter)])
        keypoints = np.column_stack(
            [np.concatenate([np.column_stack([place, scale])[seen], random]), np.zeros(len(seen) + clutter)]
        )
        described = np.concatenate([words[seen], _unit(rng.exponential(1, (clutter, 128)) ** 2)]) * 512
        described = described + rng.normal(0, dim / np.sqrt(128), described.shape)
        order = rng.permutation(len(keypoints))
        features.append(
            Features(
                keypoints[order].astype(np.float32),
                np.rint(described[order]).clip(0, 255).astype(np.uint8),
                np.full((len(order), 3), 128, np.uint8),
            )
        )
        point_of.append(np.concatenate([seen, np.full(clutter, -1)])[order])
    return PointScene(Scene(posed, bounds=BOUNDS), features, point_of, xyz)


def depths_of(scene: Scene) -> np.ndarray:
    corners = np.array(np.meshgrid(*BOUNDS.T)).reshape(3, -1).T
    z = [(corners @ v.cam_from_world[:3, :3].T + v.cam_from_world[:3, 3])[:, 2] for v in scene]
    return np.array([(depth.min(), depth.max()) for depth in z])


def _unit(words: np.ndarray) -> np.ndarray:
    """RootSIFT: square roots of shares that sum to 1."""
    return np.sqrt(words / words.sum(1, keepdims=True))
