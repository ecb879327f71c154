"""Which way is up, from the cameras alone.

People hold cameras level: image rows lie across "up", whatever the camera looks at. So "up" is the direction u that
the rows' directions x have least of: min sum |x . u|. The sum of amounts, not of squares, lets a few cameras be turned
by 90 degrees. Where all rows are parallel (a wall from the front) that says too little, and the middle of the cameras'
own ups is taken, in which a few cameras that stand on their heads do not count either. Letters: V views.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from anyview.scene.scene import Scene

_SPREAD = 0.05  # of the rows' directions, out of 1 / 2: below, they are as good as parallel
_LEVEL = 0.01  # sine of a tilt that counts as none
_STEPS = 30


def up_direction(scene: Scene) -> Float64[np.ndarray, "3"]:
    """A unit vector, world frame."""
    rotations = np.stack([view.world_from_cam[:3, :3] for view in scene])
    rows, ups = rotations[:, :, 0], -rotations[:, :, 1]
    middle = _median(ups)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    if values[1] < _SPREAD:
        return middle
    for _ in range(_STEPS):  # least squares, again and again, with weights that make amounts of squares
        weight = 1 / np.maximum(np.abs(rows @ vectors[:, 0]), _LEVEL)
        vectors = np.linalg.eigh((weight[:, None] * rows).T @ rows)[1]
    up = vectors[:, 0] * (1.0 if vectors[:, 0] @ middle > 0 else -1.0)
    return up if up @ middle > 0.5 else middle


def _median(directions: Float64[np.ndarray, "V 3"]) -> Float64[np.ndarray, "3"]:
    """The point nearest to all directions by the sum of distances (Weiszfeld 1937), made a unit vector."""
    point = directions.mean(axis=0)
    for _ in range(_STEPS):
        weight = 1 / np.maximum(np.linalg.norm(directions - point, axis=1), 1e-6)
        point = weight @ directions / weight.sum()
    length = np.linalg.norm(point)
    return directions[0] if length < 1e-6 else point / length
