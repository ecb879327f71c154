"""Where cameras look before anything is reconstructed: the point at which their optical axes come together.

The point nearest to all axes solves sum(I - a a') p = sum(I - a a') c over the axes a and centres c (least squares).
Captures around an object have such a point; along a street or a facade the axes stay apart. Letters: V views.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from anyview.scene.scene import Scene

_SPREAD = 0.005  # smallest eigenvalue of the mean of I - a a': below, axes are as good as parallel
_MISS = 0.3  # median distance from axis to point, as a share of the distance along the axis


def converging_axes(scene: Scene) -> tuple[Float64[np.ndarray, "3"], bool]:
    """The point nearest to all optical axes, world, and whether they really come together there, in front of all."""
    axes = np.stack([view.world_from_cam[:3, 2] for view in scene])
    centers = np.stack([view.center for view in scene])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    normal = across.sum(axis=0)
    point = np.linalg.lstsq(normal, np.einsum("vij,vj->i", across, centers), rcond=None)[0]
    offsets = point - centers
    along = np.einsum("vi,vi->v", offsets, axes)
    if not (along > 0).all():
        return point, False
    miss = np.linalg.norm(offsets - along[:, None] * axes, axis=1)
    well_posed = np.linalg.eigvalsh(normal / len(scene))[0] > _SPREAD
    return point, bool(well_posed and np.median(miss / along) < _MISS)
