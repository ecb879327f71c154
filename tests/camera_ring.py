"""A scene in memory: cameras in a ring around the origin, all splits, black images of 64 x 48."""

from __future__ import annotations

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.scene.scene import ArrayPixels, Scene, View

CAMERA = Camera.pinhole(64, 48, 60.0, 60.0, 32.0, 24.0)


def ring_scene(count: int, bounds: np.ndarray | None = None) -> Scene:
    """Views "0", "1", ... held level, at three heights, in train, val and test in turn."""
    pixels = ArrayPixels(np.zeros((48, 64, 3), np.float32))
    views = []
    for i in range(count):
        angle = 2 * np.pi * i / count
        eye = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0 + i % 3])
        pose = look_at(eye, np.zeros(3), np.array([0, 0, 1.0]))
        views.append(View(f"{i}", CAMERA, pose, pixels, ("train", "val", "test")[i % 3]))
    return Scene(tuple(views), bounds=bounds)
