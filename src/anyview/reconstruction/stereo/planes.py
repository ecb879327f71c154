"""From planes to depth and normals. Planes are (rho, gx, gy), see `window.py`."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from anyview.cameras.models import Camera
from anyview.jit import njit
from anyview.typing import Depth, Normals

Plane = Float32[np.ndarray, "H W"]


def maps_from_planes(rho: Plane, gx: Plane, gy: Plane, camera: Camera) -> tuple[Depth, Normals]:
    """Depth (scene units) and normals (camera frame, towards the camera); both 0 where there is no plane (rho 0)."""
    depth, normals = np.zeros(rho.shape, np.float32), np.zeros((*rho.shape, 3), np.float32)
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    _maps(rho, gx, gy, intrinsics, depth, normals)
    return depth, normals


@njit(nogil=True, cache=True, error_model="numpy")
def _maps(rho, gx, gy, camera, depth, normals):
    """1 / z is affine in the image, so the plane's normal is (gx fx, gy fy, 1 / z at the principal point)."""
    fx, fy, cx, cy = camera
    height, width = rho.shape
    for y in range(height):
        for x in range(width):
            if rho[y, x] > 0:
                nx, ny = gx[y, x] * fx, gy[y, x] * fy
                nz = rho[y, x] - gx[y, x] * (x + 0.5 - cx) - gy[y, x] * (y + 0.5 - cy)
                length = np.sqrt(nx * nx + ny * ny + nz * nz)
                depth[y, x] = 1 / rho[y, x]
                normals[y, x, 0], normals[y, x, 1], normals[y, x, 2] = -nx / length, -ny / length, -nz / length
