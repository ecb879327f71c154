"""In how many views a point lies on what is seen: the test that tells a field's surface from its floaters.

Letters: N points, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from anyview.cameras.poses import inverse
from anyview.radiance.ray_table import Shot

_LEAST_SLANT = 0.2  # cosine at about 78 degrees


class Sight(NamedTuple):
    """What a view sees."""

    shot: Shot
    depth: Float32[np.ndarray, "H W"]  # z, scene units; 0 where the view meets nothing


def agreeing_views(
    points: Float64[np.ndarray, "N 3"],
    normals: Float64[np.ndarray, "N 3"],
    sights: Sequence[Sight],
    footprints: float,
) -> Int64[np.ndarray, " N"]:
    """How many views see a surface where the point is: in the pixel that it falls on.

    Args:
        points: world.
        normals: of the surface there, of any length.
        sights: of the views that are asked.
        footprints: how far from the surface the point may lie, in multiples of what a pixel covers there. Along an
            oblique ray that is more.
    """
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    count = np.zeros(len(points), np.int64)
    for shot, depth in sights:
        camera, pose, center = shot.camera, inverse(shot.world_from_cam), shot.world_from_cam[:3, 3]
        x, y, z = pose[:3, :3] @ points.T + pose[:3, 3:]
        front = np.flatnonzero(z > 0)
        z = z[front]
        column = np.floor(camera.fx * x[front] / z + camera.cx)
        row = np.floor(camera.fy * y[front] / z + camera.cy)
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        seen = depth[row[inside].astype(np.intp), column[inside].astype(np.intp)]
        z, which = z[inside], front[inside]
        towards = points[which] - center
        slant = np.abs((unit[which] * towards).sum(1)) / np.linalg.norm(towards, axis=1)
        near = (seen > 0) & (np.abs(seen - z) < footprints * z / camera.fx / slant.clip(_LEAST_SLANT))
        count[which[near]] += 1
    return count
