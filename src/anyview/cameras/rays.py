"""Points to pixels and pixels to rays, for every camera model.

Letters: N points. Pixels are (x, y) with the first pixel's centre at (0.5, 0.5). A camera looks down +z. Pinhole
cameras are computed here, distorted ones by COLMAP's own code, which iterates to undo a distortion.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from anyview.cameras.models import Camera
from anyview.typing import Points, Pose

_ROUND_TRIP = 1e-3  # pixels by which a ray may miss the pixel that it came from


def project(camera: Camera, points: Points) -> Float64[np.ndarray, "N 2"]:
    """Pixels of points in the camera's frame; NaN for a point that is not in front of it."""
    if not camera.is_pinhole:
        return np.asarray(camera.to_colmap().img_from_cam(points), np.float64).reshape(-1, 2)
    z = np.where(points[:, 2] > 0, points[:, 2], np.nan)[:, None]
    pixels: Float64[np.ndarray, "N 2"] = points[:, :2] / z * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    return pixels


def unproject(camera: Camera, pixels: Float64[np.ndarray, "N 2"]) -> Points:
    """Directions in the camera's frame with z = 1, so that direction times depth is the point.

    NaN where the model sees nothing at that pixel, or looks sideways or backwards there.
    """
    if camera.is_pinhole:
        plane = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    else:
        plane = np.asarray(camera.to_colmap().cam_from_img(pixels), np.float64).reshape(-1, 2)
        # where COLMAP finds no solution it answers with the undistorted plane: only what comes back is true
        again = np.asarray(camera.to_colmap().img_from_cam(np.column_stack([plane, np.ones(len(plane))])), np.float64)
        wrong = ~(np.abs(again.reshape(-1, 2) - pixels).max(axis=1, initial=0) < _ROUND_TRIP)
        plane[wrong] = np.nan
    return np.column_stack([plane, np.ones(len(plane))])


def rays(
    camera: Camera, world_from_cam: Pose, pixels: Float64[np.ndarray, "N 2"]
) -> tuple[Float64[np.ndarray, "3"], Points]:
    """The common origin and the directions in the world; a direction's length is that of one unit of depth."""
    return world_from_cam[:3, 3], unproject(camera, pixels) @ world_from_cam[:3, :3].T


def pixel_centers(width: int, height: int) -> Float64[np.ndarray, "N 2"]:
    """The centres of all pixels, row by row."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def largest_shift(camera: Camera) -> float:
    """Pixels by which a point at depth 1 moves at most, anywhere in a pinhole's image, when it shifts by 1."""
    x, y = max(camera.cx, camera.width - camera.cx), max(camera.cy, camera.height - camera.cy)
    return float(max(np.hypot(camera.fx, x), np.hypot(camera.fy, y)))
