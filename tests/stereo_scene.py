"""A textured plane seen by pinhole cameras, rendered at sub-pixel accuracy: depth is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from anyview.reconstruction.stereo.patch_match import StereoView

SIZE, FOCAL = 96, 110.0
MATRIX = np.array([[FOCAL, 0, SIZE / 2 + 1.3], [0, FOCAL, SIZE / 2 - 0.7], [0, 0, 1]])


@dataclass(frozen=True)
class TexturedPlane:
    """The points p with normal . p = offset, world frame, with a band-limited texture in p's x and y."""

    normal: tuple[float, float, float] = (0.25, -0.15, 1.0)
    offset: float = 3.0
    seed: int = 0

    def _points(self, world_from_cam: Float64[np.ndarray, "4 4"]) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(MATRIX).T @ world_from_cam[:3, :3].T
        normal, center = np.array(self.normal), world_from_cam[:3, 3]
        depth = (self.offset - normal @ center) / (rays @ normal)
        return center + rays * depth[..., None], depth

    def depth(self, world_from_cam: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "H W"]:
        """Depth of each pixel's centre."""
        return self._points(world_from_cam)[1]

    def grey(self, world_from_cam: Float64[np.ndarray, "4 4"]) -> UInt8[np.ndarray, "H W"]:
        """1..255: a sum of waves no shorter than about four pixels."""
        rng = np.random.default_rng(self.seed)
        points = self._points(world_from_cam)[0]
        value = np.zeros((SIZE, SIZE))
        for _ in range(40):
            wave = rng.uniform(4, 24) * FOCAL / 110 * np.array([np.cos(a := rng.uniform(0, 7)), np.sin(a)])
            value += np.sin(2 * np.pi * points[..., :2] @ wave / 3 + rng.uniform(0, 7)) / np.hypot(*wave) ** 0.5
        return np.clip(np.rint(128 + 45 * value / value.std()), 1, 255).astype(np.uint8)

    def view(self, world_from_cam: Float64[np.ndarray, "4 4"]) -> StereoView:
        """As the dense stage sees it."""
        return StereoView(self.grey(world_from_cam), MATRIX, world_from_cam)


def pose(x: float, y: float, turn: float = 0.0, tilt: float = 0.0) -> Float64[np.ndarray, "4 4"]:
    """Camera at (x, y, 0), turned about y and tilted about x, radians."""
    c, s, ct, st = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
    out = np.eye(4)
    out[:3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    out[:3, 3] = x, y, 0
    return out


POSES = [pose(0, 0), pose(0.4, 0.05, -0.1), pose(-0.4, 0, 0.12), pose(0.05, 0.4, 0, 0.1), pose(0, -0.35, 0.03, -0.1)]
RHO_STEP = 1 / (FOCAL * 0.4)
