"""A fog that is known in closed form, and its pictures by plain quadrature in numpy: nothing of the renderer's own.

Letters: N points. The fog fills a ball of radius about 1 around the origin; cameras stand 4 away, near 2, far 6.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from anyview.cameras.models import Camera
from anyview.cameras.poses import CV_FROM_GL, look_at
from anyview.cameras.rays import pixel_centers, rays

STEPS = 400


def fog(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density and colour, (N,) and (N, 3)."""
    density = 6 * np.exp(-4 * (points**2).sum(-1))
    return density, 0.5 + 0.35 * np.sin(1.5 * points + (0.0, 1.0, 2.0))


def picture(camera: Camera, pose: np.ndarray) -> np.ndarray:
    """RGBA in [0, 1], straight alpha, float."""
    origin, directions = rays(camera, pose, pixel_centers(camera.width, camera.height))
    step = 4 / STEPS
    through, color = np.ones(len(directions)), np.zeros((len(directions), 3))
    for t in 2 + step * (np.arange(STEPS) + 0.5):
        density, rgb = fog(origin + t * directions)
        kept = np.exp(-density * step * np.linalg.norm(directions, axis=1))
        color += (through * (1 - kept))[:, None] * rgb
        through *= kept
    alpha = 1 - through
    straight = color / np.maximum(alpha, 1e-6)[:, None]
    return np.column_stack([straight.clip(0, 1), alpha]).reshape(camera.height, camera.width, 4)


def pose(number: int, of: int) -> np.ndarray:
    """world_from_cam on a ring that rises and falls."""
    angle = 2 * np.pi * number / of
    eye = np.array([np.cos(angle), np.sin(angle), 0.3 + 0.3 * np.cos(3 * angle)])
    return look_at(4 * eye / np.linalg.norm(eye), np.zeros(3), np.array([0.0, 0, 1]))


def write_soft_scene(
    folder: Path, train: int = 4, val: int = 0, test: int = 0, size: int = 32, alpha: bool = True
) -> Path:
    """NeRF-synthetic layout, 8 bits; without alpha over white."""
    focal = 1.3 * size
    camera = Camera.pinhole(size, size, focal, focal, size / 2, size / 2)
    for shift, (split, count) in enumerate((("train", train), ("val", val), ("test", test))):
        frames = []
        for i in range(count):
            world_from_cam = pose(3 * i + shift, 3 * max(count, 1))
            rgba = picture(camera, world_from_cam)
            if not alpha:
                rgba = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
            path = folder / split / f"r_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.rint(rgba * 255).astype(np.uint8)).save(path)
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": (world_from_cam @ CV_FROM_GL).tolist()})
        if frames:
            content = {"camera_angle_x": 2 * np.arctan(0.5 * size / focal), "frames": frames}
            (folder / f"transforms_{split}.json").write_text(json.dumps(content))
    return folder
