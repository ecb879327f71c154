"""Triangle meshes to visibility on the CPU: which face each sample of a picture sees, and at what depth.

Triangles are tested with the homogeneous edge functions of Olano and Greer (1997): no clipping is needed, and two
triangles that share an edge leave no gap between them. Letters: N vertices, F faces. The camera looks down +z, x right,
y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyview.jit import njit

NEAR = 1e-6
"""Nothing closer than this share of the farthest depth is drawn."""


@njit(nogil=True, cache=True)
def fill(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Depth (0 = none) and index (-1 = none) of the front face at each sample; vertices in the camera frame.

    A sample's ray is d = ((u - cx) / fx, (v - cy) / fy, 1). With e0 = b x c, e1 = c x a, e2 = a x b its barycentric
    coordinates are (e_i . d) / sum and its depth is (a . e0) / sum, whatever side of the camera the corners lie on.
    """
    depth = np.zeros((height, width), np.float32)
    index = np.full((height, width), -1, np.int32)
    far = 0.0
    for i in range(len(vertices)):
        if vertices[i, 2] > far and vertices[i, 2] < np.inf:
            far = vertices[i, 2]
    near = far * NEAR
    edges = np.empty((3, 3))
    for f in range(len(faces)):
        left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
        behind = 0
        for k in range(3):
            x, y, z = vertices[faces[f, k], 0], vertices[faces[f, k], 1], vertices[faces[f, k], 2]
            if not np.isfinite(x + y + z):
                behind = 3
                break
            if z <= near:
                behind += 1
                continue
            u, v = fx * x / z + cx, fy * y / z + cy
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
        if behind == 3:
            continue
        if behind > 0:  # crosses the camera's plane: its image has no bounds
            left, right, top, bottom = 0.0, width, 0.0, height
        # Half a hundredth of a sample of slack, so that rounding never cuts a sample off.
        first_column, last_column = max(0.0, np.ceil(left - 0.505)), min(width - 1.0, np.floor(right - 0.495))
        first_row, last_row = max(0.0, np.ceil(top - 0.505)), min(height - 1.0, np.floor(bottom - 0.495))
        if first_column > last_column or first_row > last_row:
            continue
        for k in range(3):
            b, c = vertices[faces[f, (k + 1) % 3]], vertices[faces[f, (k + 2) % 3]]
            edges[k, 0] = b[1] * c[2] - b[2] * c[1]
            edges[k, 1] = b[2] * c[0] - b[0] * c[2]
            edges[k, 2] = b[0] * c[1] - b[1] * c[0]
        a = vertices[faces[f, 0]]
        volume = a[0] * edges[0, 0] + a[1] * edges[0, 1] + a[2] * edges[0, 2]
        if volume == 0:
            continue
        sign = 1.0 if volume > 0 else -1.0
        for r in range(int(first_row), int(last_row) + 1):
            dy = (r + 0.5 - cy) / fy
            for c in range(int(first_column), int(last_column) + 1):
                dx = (c + 0.5 - cx) / fx
                w0 = sign * (edges[0, 0] * dx + edges[0, 1] * dy + edges[0, 2])
                w1 = sign * (edges[1, 0] * dx + edges[1, 1] * dy + edges[1, 2])
                w2 = sign * (edges[2, 0] * dx + edges[2, 1] * dy + edges[2, 2])
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                total = w0 + w1 + w2
                if total <= 0:
                    continue
                z = sign * volume / total
                if z > near and (index[r, c] < 0 or z < depth[r, c]):
                    depth[r, c], index[r, c] = z, f
    return depth, index
