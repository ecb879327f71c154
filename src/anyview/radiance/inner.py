"""The inner cube of a scene without bounds, whose inside gets half of the grid per side, and all else the rest.

Its middle is what the cameras look at: where their axes come together, else the median of the known points, else amid
near and far. It reaches as far as the median camera is away, or less where nine tenths of the points lie closer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from anyview.radiance.views import FieldViews
from anyview.scene.attention import converging_axes

_ENOUGH_POINTS = 20
_SHARE = 0.9  # of the points that the inner cube holds at most


def inner_cube(views: FieldViews) -> tuple[Float64[np.ndarray, "3"], float]:
    """Middle and half of the side, world."""
    points = views.scene.points
    if points is not None and len(points) < _ENOUGH_POINTS:
        points = None
    center, together = converging_axes(replace(views.scene, views=views.train))
    if not together:
        axes = [v.center + v.world_from_cam[:3, 2] * (views.near + views.far) / 2 for v in views.train]
        center = np.mean(axes, 0) if points is None else np.median(points, 0)
    cameras = np.stack([view.center for view in views.train])
    half = float(np.median(np.abs(cameras - center).max(1)))
    if points is not None:
        half = min(half, float(np.quantile(np.abs(points - center).max(1), _SHARE)))
    return center, max(half, 1e-6 * views.far)
