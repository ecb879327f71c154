"""Which views to match, from the cameras alone: those that see common space under a useful angle.

Letters: V views, S samples of the space of interest, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from anyview.errors import SceneError
from anyview.reconstruction.views import project
from anyview.scene.scene import View
from anyview.typing import Points

_SHORT_BASE = 2.0  # degrees: pairs below give little depth
_WIDE_BASE = 18.0  # degrees: SIFT finds ever fewer matches above
_WIDEST = 60.0


def choose_pairs(
    views: Sequence[View], samples: Points, *, partners: int = 16, exhaustive: bool = False
) -> Int64[np.ndarray, "P 2"]:
    """Pairs (i, j), i < j, in ascending order.

    A pair's worth is the share of the space seen by one view that the other sees too, times a bell over the angle
    between their lines of sight. Each view takes its worthiest partners, so that the number of pairs grows linearly
    with the views; where that leaves groups apart, the worthiest pairs between them are added.

    Args:
        views: two or more. Those under too wide an angle to match are left alone, though they share space.
        samples: points spread over the space of interest, world.
        partners: how many each view chooses.
        exhaustive: all pairs instead.

    Raises:
        SceneError: a single view, or no two views see common space.
    """
    if len(views) < 2:
        raise SceneError("a single view has no depth", expected="at least two views of the same thing", actual=1)
    overlap, worth = _overlap_and_worth(views, samples)
    if not (overlap > 0).any():
        raise SceneError(
            "no two views share anything",
            expected="cameras that look at the same space",
            hint="check the poses' axis convention, or give the scene's bounds",
        )
    if exhaustive:
        return _ascending(np.ones_like(worth, bool))
    chosen = np.zeros(worth.shape, bool)
    best = np.argsort(-worth, axis=1, kind="stable")[:, :partners]
    np.put_along_axis(chosen, best, True, axis=1)
    chosen &= worth > 0
    chosen |= chosen.T
    _connect(chosen, worth)
    return _ascending(chosen)


def _ascending(chosen: Bool[np.ndarray, "V V"]) -> Int64[np.ndarray, "P 2"]:
    pairs: Int64[np.ndarray, "P 2"] = np.argwhere(np.triu(chosen, 1))
    return pairs


def _overlap_and_worth(
    views: Sequence[View], samples: Points
) -> tuple[Float64[np.ndarray, "V V"], Float64[np.ndarray, "V V"]]:
    """Shared space and worth of every pair, symmetric, zero on the diagonal; sums over samples are matrix products."""
    seen = np.stack([project(v.camera, v.cam_from_world, samples)[2] for v in views]).astype(np.float64)
    rays = samples - np.stack([view.center for view in views])[:, None]
    rays *= (seen / np.maximum(np.linalg.norm(rays, axis=2), 1e-12))[:, :, None]

    shared = seen @ seen.T
    total = seen.sum(1)
    overlap = shared / np.maximum(np.minimum(total[:, None], total), 1)
    flat = rays.reshape(len(views), -1)
    cosine = (flat @ flat.T) / np.maximum(shared, 1)
    angle = np.degrees(np.arccos(cosine.clip(-1, 1)))
    bell = np.exp(-0.5 * (angle / _WIDE_BASE) ** 2) * (angle**2 + 1e-3) / (angle**2 + _SHORT_BASE**2)
    worth = np.where(angle < _WIDEST, overlap * bell, 0.0)
    worth = np.minimum(worth, worth.T)  # exactly symmetric
    for matrix in (overlap, worth):
        np.fill_diagonal(matrix, 0)
    return overlap, worth


def _connect(chosen: Bool[np.ndarray, "V V"], worth: Float64[np.ndarray, "V V"]) -> None:
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
