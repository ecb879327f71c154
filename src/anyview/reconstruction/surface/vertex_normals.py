"""Smooth normals of a triangle mesh. Letters: N vertices, F faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyview.jit import njit


@njit(nogil=True, cache=True)
def vertex_normals(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Unit normals (N, 3), each the mean over its faces weighted by area; zero for a vertex without faces."""
    out = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            out[faces[f, k], 0] += nx
            out[faces[f, k], 1] += ny
            out[faces[f, k], 2] += nz
    for i in range(len(out)):
        norm = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2)
        if norm > 0:
            out[i] /= norm
    return out
