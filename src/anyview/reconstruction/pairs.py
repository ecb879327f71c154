"""Which views to match, from the cameras alone: those that see common space under a useful angle.

Letters: V views, S samples of the space of interest, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from anyview.errors import SceneError
from anyview.scene.scene import View

_SAMPLES_PER_AXIS = 9
_SHORT_BASE = 2.0  # degrees: pairs below give little depth
_WIDE_BASE = 18.0  # degrees: SIFT finds ever fewer matches above
_WIDEST = 60.0


def choose_pairs(
    views: Sequence[View], bounds: Float64[np.ndarray, "2 3"], *, partners: int = 24, exhaustive: bool = False
) -> Int64[np.ndarray, "P 2"]:
    """Pairs (i, j), i < j, in ascending order.

    A pair's worth is the share of the space seen by one view that the other sees too, times a bell over the angle
    between their lines of sight. Each view takes its worthiest partners, so that the number of pairs grows linearly
    with the views; where that leaves groups apart, the worthiest pairs between them are added.

    Args:
        views: two or more.
        bounds: lower and upper corner of the space of interest, world.
        partners: how many each view chooses.
        exhaustive: all pairs instead.

    Raises:
        SceneError: a single view, or no two views see common space.
    """
    if len(views) < 2:
        raise SceneError("a single view has no depth", expected="at least two views of the same thing", actual=1)
    worth = _worth(views, bounds)
    if not (worth > 0).any():
        raise SceneError(
            "no two views share anything",
            expected="cameras that look at the same space",
            hint="check the poses' axis convention, or give the scene's bounds",
        )
    if exhaustive:
        return np.argwhere(np.triu(np.ones_like(worth, bool), 1))
    chosen = np.zeros(worth.shape, bool)
    best = np.argsort(-worth, axis=1, kind="stable")[:, :partners]
    np.put_along_axis(chosen, best, True, axis=1)
    chosen &= worth > 0
    chosen |= chosen.T
    _connect(chosen, worth)
    return np.argwhere(np.triu(chosen, 1))


def _worth(views: Sequence[View], bounds: Float64[np.ndarray, "2 3"]) -> Float64[np.ndarray, "V V"]:
    """Worth of every pair, symmetric, zero on the diagonal; sums over samples are matrix products."""
    steps = (np.arange(_SAMPLES_PER_AXIS) + 0.5) / _SAMPLES_PER_AXIS
    unit = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    samples = bounds[0] + unit * (bounds[1] - bounds[0])
    seen = np.stack([_sees(view, samples) for view in views]).astype(np.float64)
    rays = samples - np.stack([view.center for view in views])[:, None]
    rays *= (seen / np.maximum(np.linalg.norm(rays, axis=2), 1e-12))[:, :, None]

    shared = seen @ seen.T
    total = seen.sum(1)
    overlap = shared / np.maximum(np.minimum(total[:, None], total), 1)
    flat = rays.reshape(len(views), -1)
    cosine = (flat @ flat.T) / np.maximum(shared, 1)
    angle = np.degrees(np.arccos(cosine.clip(-1, 1)))
    bell = np.exp(-0.5 * (angle / _WIDE_BASE) ** 2) * (angle**2 + 1e-3) / (angle**2 + _SHORT_BASE**2)
    worth: Float64[np.ndarray, "V V"] = np.where(angle < _WIDEST, overlap * bell, 0.0)
    np.fill_diagonal(worth, 0)
    return np.minimum(worth, worth.T)


def _sees(view: View, points: Float64[np.ndarray, "S 3"]) -> np.ndarray:
    """Which points project into the image; distortion is left out."""
    pose, camera = view.cam_from_world, view.camera
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).T
    ahead = z > 0
    z = np.where(ahead, z, 1)
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    inside: np.ndarray = ahead & (u >= 0) & (v >= 0) & (u <= camera.width) & (v <= camera.height)
    return inside


def _connect(chosen: np.ndarray, worth: Float64[np.ndarray, "V V"]) -> None:
    """Add the worthiest pairs between groups that are apart (Kruskal), in place."""
    group = np.arange(len(chosen))

    def merge(i: int, j: int) -> None:
        group[group == group[j]] = group[i]

    for i, j in np.argwhere(chosen):
        if group[i] != group[j]:
            merge(i, j)
    if (group == group[0]).all():
        return
    first, second = np.nonzero(np.triu(worth, 1))
    for k in np.argsort(-worth[first, second], kind="stable"):
        i, j = int(first[k]), int(second[k])
        if group[i] != group[j]:
            merge(i, j)
            chosen[i, j] = chosen[j, i] = True
