"""Matches of views with known poses to points: tracks, then the checks that keep outliers out.

Letters: V views, P pairs, T keypoints of all views together, N points, O observations of all points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt8

from anyview.jit import njit
from anyview.reconstruction.points.features import MASK_CELL, Features
from anyview.reconstruction.points.tracks import grow_tracks
from anyview.scene.scene import View

_LEAST_VIEWS = 3  # two views agree on almost anything along the epipolar line
# A track's error must stay below max_error * (views - 1.2) / 6: the fewer the views, the likelier wrong matches fit by
# chance. In a rendered scene with known depth, tracks of three views are off by over four pixel footprints in 1 % of
# the cases with an error below 0.25 px, in 10 % around 0.5 px, in 35 % around 0.9 px; tracks of seven hardly ever.
_SPARE_VIEWS, _TRUSTED_SPAN = 1.2, 6.0
_LARGEST_SHARE_OUTSIDE = 0.1  # of the views that could see a point: masks are not perfect


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points and what observes them.

    Attributes:
        xyz: world positions, scene units.
        rgb: mean colour of the keypoints' pixels.
        error: mean reprojection error, pixels.
        lengths: observations per point; they sum to O.
        views, keypoints: the observations, point after point: view's number, keypoint's number in it.
    """

    xyz: Float64[np.ndarray, "N 3"]
    rgb: UInt8[np.ndarray, "N 3"]
    error: Float64[np.ndarray, "N"]
    lengths: Int64[np.ndarray, "N"]
    views: Int64[np.ndarray, "O"]
    keypoints: Int64[np.ndarray, "O"]

    def __len__(self) -> int:
        return len(self.xyz)


def triangulate(
    views: Sequence[View],
    features: Sequence[Features],
    pairs: Int64[np.ndarray, "P 2"],
    matches: Sequence[Int32[np.ndarray, "_ 2"]],
    *,
    max_error: float = 2.0,
    min_angle: float = 1.5,
) -> Tracks:
    """Points seen by three views or more, poses held fixed.

    Args:
        views: pinhole cameras.
        matches: keypoints' numbers, one array per pair.
        max_error: largest reprojection error of an observation, pixels.
        min_angle: the widest angle between a point's rays must reach it, degrees.
    """
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in features])]).astype(np.int64)
    places = np.concatenate([f.keypoints[:, :2] for f in features]).astype(np.float64)
    view_of = np.repeat(np.arange(len(views)), np.diff(offsets))
    projections = np.stack([v.camera.matrix @ v.cam_from_world[:3] for v in views])
    edges = _edges(pairs, matches, offsets, _first_of_place(places, view_of))
    track, points = grow_tracks(edges, places, view_of, projections, max_error)

    seen = np.flatnonzero(track >= 0)
    seen = seen[np.lexsort((view_of[seen], track[seen]))]
    number, lengths = np.unique(track[seen], return_counts=True)
    points = points[number]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    centers = np.stack([view.center for view in views])
    error = _mean_error(points, lengths, projections[view_of[seen]], places[seen])
    keep = (lengths >= _LEAST_VIEWS) & (error <= max_error * np.minimum(1, (lengths - _SPARE_VIEWS) / _TRUSTED_SPAN))
    keep &= _widest_angle(points, starts, view_of[seen], centers) >= np.radians(min_angle)
    keep &= ~_outside_masks(points, projections, features, views)

    seen, lengths, points, error = seen[np.repeat(keep, lengths)], lengths[keep], points[keep], error[keep]
    colors = np.concatenate([f.colors for f in features])[seen].astype(np.float64)
    rgb = np.rint(_sums(colors, lengths) / lengths[:, None]).astype(np.uint8)
    return Tracks(points, rgb, error, lengths, view_of[seen], seen - offsets[view_of[seen]])


def _first_of_place(places: Float64[np.ndarray, "T 2"], view_of: Int64[np.ndarray, "T"]) -> Int64[np.ndarray, "T"]:
    """For each keypoint the first of its view at the same place: SIFT repeats it for each dominant direction."""
    order = np.lexsort((places[:, 1], places[:, 0], view_of))
    fresh = np.ones(len(order), bool)
    if len(order):
        fresh[1:] = (np.diff(places[order], axis=0) != 0).any(1) | (np.diff(view_of[order]) != 0)
    first = np.empty(len(order), np.int64)
    first[order] = order[np.flatnonzero(fresh)][np.cumsum(fresh) - 1]
    return first


def _edges(
    pairs: Int64[np.ndarray, "P 2"],
    matches: Sequence[Int32[np.ndarray, "_ 2"]],
    offsets: Int64[np.ndarray, "V1"],
    first: Int64[np.ndarray, "T"],
) -> Int64[np.ndarray, "E 2"]:
    """All matches between keypoints numbered across views, each once, in ascending order."""
    parts = [first[m + offsets[pair]] for pair, m in zip(pairs, matches, strict=True)]
    edges = np.concatenate(parts) if parts else np.empty((0, 2), np.int64)
    return np.unique(edges, axis=0).reshape(-1, 2)


def _mean_error(
    points: Float64[np.ndarray, "N 3"],
    lengths: Int64[np.ndarray, "N"],
    projections: Float64[np.ndarray, "O 3 4"],
    places: Float64[np.ndarray, "O 2"],
) -> Float64[np.ndarray, "N"]:
    """Mean reprojection error of each point, pixels."""
    x, y, w = np.einsum("oij,oj->io", projections, _homogeneous(np.repeat(points, lengths, axis=0)))
    mean: Float64[np.ndarray, "N"] = _sums(np.hypot(x / w - places[:, 0], y / w - places[:, 1]), lengths) / lengths
    return mean


def _sums(values: Float64[np.ndarray, "O *C"], lengths: Int64[np.ndarray, "N"]) -> Float64[np.ndarray, "N *C"]:
    """Sum over the observations of each point."""
    if not len(lengths):
        return np.zeros((0, *values.shape[1:]))
    sums: Float64[np.ndarray, "N *C"] = np.add.reduceat(values, np.cumsum(lengths) - lengths, axis=0)
    return sums


def _homogeneous(points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 4"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _outside_masks(
    points: Float64[np.ndarray, "N 3"],
    projections: Float64[np.ndarray, "V 3 4"],
    features: Sequence[Features],
    views: Sequence[View],
) -> Bool[np.ndarray, "N"]:
    """Points that too many of the views would show beside the object."""
    could, outside = np.zeros(len(points)), np.zeros(len(points))
    for projection, feature, view in zip(projections, features, views, strict=True):
        if feature.inside is None:
            continue
        x, y, w = projection @ _homogeneous(points).T
        ahead = w > 1e-9
        w = np.where(ahead, w, 1)
        x, y = x / w, y / w
        within = ahead & (x >= 0) & (y >= 0) & (x < view.camera.width) & (y < view.camera.height)
        column, row = (np.where(within, n, 0).astype(np.int64) // MASK_CELL for n in (x, y))
        could += within
        outside += within & ~feature.inside[row, column]
    return outside > _LARGEST_SHARE_OUTSIDE * could


def _widest_angle(
    points: Float64[np.ndarray, "N 3"],
    starts: Int64[np.ndarray, "N1"],
    view_of: Int64[np.ndarray, "O"],
    centers: Float64[np.ndarray, "V 3"],
) -> Float64[np.ndarray, "N"]:
    """Widest angle between any two rays of each point, radians."""
    angles: Float64[np.ndarray, "N"] = _widest_angle_kernel(points, starts, view_of, centers)
    return angles


@njit(nogil=True, cache=True)
def _widest_angle_kernel(points: Any, starts: Any, view_of: Any, centers: Any) -> Any:
    out = np.zeros(len(points))
    for n in range(len(points)):
        least = 1.0
        for i in range(starts[n], starts[n + 1]):
            a = points[n] - centers[view_of[i]]
            a /= np.sqrt((a * a).sum())
            for j in range(i + 1, starts[n + 1]):
                b = points[n] - centers[view_of[j]]
                least = min(least, (a * b).sum() / np.sqrt((b * b).sum()))
        out[n] = np.arccos(max(least, -1.0))
    return out
