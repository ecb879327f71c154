"""SIFT matches of two views whose relative pose is known: only along the epipolar line, only at possible depths.

For a keypoint at homogeneous pixel x and depth z in the first view, the second view sees it at A x z + b, with
A = K2 R inverse(K1) and b = K2 t (Hartley & Zisserman 2004, 9.2.4). Candidates are the keypoints near the image of the
depth range; the best descriptor wins if it wins both ways and clearly beats what lies elsewhere in the band.
Letters: M keypoints of the first view, N of the second, K matches. Pixels are (x, y), centre of the first (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8

from anyview.compute import parallel_map
from anyview.jit import njit
from anyview.progress import SILENT, Progress
from anyview.reconstruction.points.features import Features
from anyview.scene.scene import View

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

CELL = 16.0  # side of the buckets, pixels
WIDEST = 2.0  # the band of a large keypoint is at most this many times that of a point


@dataclass(frozen=True)
class MatchRules:
    """When two keypoints may be one.

    Attributes:
        band: largest distance to the epipolar line, pixels, for a keypoint of scale 0.
        band_per_scale: added to it per unit of the keypoint's scale (large blobs are placed less exactly).
        max_distance: largest distance of descriptors, of unit vectors.
        ratio: the best distance must be below this share of the second best's.
        apart: keypoints nearer than this many times the best one's scale do not count as second best.
        max_scale_change: largest factor between the scales seen and those that the depths foretell.
    """

    band: float = 1.0
    band_per_scale: float = 0.25
    max_distance: float = 0.7
    ratio: float = 0.85
    apart: float = 1.0
    max_scale_change: float = 1.4

    def as_array(self) -> Float64[np.ndarray, "6"]:
        """The numbers as the kernels take them; the distance squared, in units of bytes squared."""
        return np.array(
            [
                self.band,
                self.band_per_scale,
                (self.max_distance * 512) ** 2,
                self.ratio**2,
                self.apart,
                self.max_scale_change,
            ]
        )


@dataclass(frozen=True, eq=False)
class PairGeometry:
    """What two cameras say about where a point of one may lie in the other.

    Attributes:
        a, b: the second view's homogeneous pixel of (x, y, 1) at depth z is a @ (x, y, 1) * z + b.
        fundamental: F with x2' F x1 = 0.
        depths: nearest and farthest depth in the first view, then in the second, scene units.
        zoom: focal length of the second view over that of the first.
    """

    a: Float64[np.ndarray, "3 3"]
    b: Float64[np.ndarray, "3"]
    fundamental: Float64[np.ndarray, "3 3"]
    depths: Float64[np.ndarray, "4"]
    zoom: float


def pair_geometry(first: View, second: View, depths: tuple[float, float, float, float]) -> PairGeometry:
    """Geometry of two pinhole views."""
    relative = second.cam_from_world @ first.world_from_cam
    back = np.linalg.inv(first.camera.matrix)
    a = second.camera.matrix @ relative[:3, :3] @ back
    b = second.camera.matrix @ relative[:3, 3]
    fundamental = np.array([[0, -b[2], b[1]], [b[2], 0, -b[0]], [-b[1], b[0], 0]]) @ a
    zoom = (second.camera.fx + second.camera.fy) / (first.camera.fx + first.camera.fy)
    return PairGeometry(a, b, fundamental, np.array(depths, np.float64), zoom)


def match_pairs(
    views: Sequence[View],
    features: Sequence[Features],
    pairs: Int64[np.ndarray, "P 2"],
    depths: Float64[np.ndarray, "V 2"],
    rules: MatchRules,
    progress: Progress = SILENT,
) -> list[Int32[np.ndarray, "_ 2"]]:
    """Matches of every pair, as rows (index in the first view, index in the second), ascending in the first.

    Args:
        depths: nearest and farthest depth of each view, scene units.
    """
    buckets = [bucket(f) for f in features]
    settings = rules.as_array()

    def one(pair: Int64[np.ndarray, "2"]) -> Int32[np.ndarray, "K 2"]:
        i, j = int(pair[0]), int(pair[1])
        g = pair_geometry(views[i], views[j], (*depths[i], *depths[j]))
        return match_buckets(buckets[i], buckets[j], g, settings)

    with progress.stage("matches", len(pairs)) as advance:
        return list(parallel_map(one, list(pairs), advance=advance))


@dataclass(frozen=True, eq=False)
class Buckets:
    """Keypoints sorted into square cells, row by row.

    Attributes:
        places: x, y, scale.
        descriptors: in the same order.
        order: the index of each in the features that they come from.
        starts: the first keypoint of each cell, and one past the last.
        columns: cells in a row.
    """

    places: Float32[np.ndarray, "M 3"]
    descriptors: UInt8[np.ndarray, "M 128"]
    order: Int32[np.ndarray, "M"]
    starts: Int32[np.ndarray, "C"]
    columns: int


def bucket(features: Features) -> Buckets:
    """Sort keypoints into cells; nothing is copied where they are in that order already."""
    places = features.keypoints[:, :3]
    cells = np.floor(np.maximum(places[:, :2], 0) / CELL).astype(np.int64)
    columns, rows = (int(n) + 1 for n in cells.max(0)) if len(cells) else (1, 1)
    number = cells[:, 1] * columns + cells[:, 0]
    descriptors, order = features.descriptors, np.arange(len(number), dtype=np.int32)
    if (np.diff(number) < 0).any():
        order = np.argsort(number, kind="stable").astype(np.int32)
        places, descriptors, number = places[order], descriptors[order], number[order]
    starts = np.searchsorted(number, np.arange(rows * columns + 1)).astype(np.int32)
    return Buckets(np.ascontiguousarray(places), np.ascontiguousarray(descriptors), order, starts, columns)


def match_buckets(
    first: Buckets, second: Buckets, geometry: PairGeometry, settings: Float64[np.ndarray, "6"]
) -> Int32[np.ndarray, "K 2"]:
    """Matches of one pair; see `match_pairs`."""
    found = _match(
        first.places,
        first.descriptors,
        second.places,
        second.descriptors,
        second.starts,
        second.columns,
        geometry.a,
        geometry.b,
        geometry.fundamental,
        geometry.depths,
        geometry.zoom,
        settings,
    )
    matches = np.stack([first.order[found[:, 0]], second.order[found[:, 1]]], axis=1)
    return np.ascontiguousarray(matches[np.argsort(matches[:, 0])])


def _njit(function: Kernel) -> Kernel:
    return cast(Kernel, njit(nogil=True, cache=True, error_model="numpy")(function))


@_njit
def depth_interval(ax: Any, b: Any, depths: Any) -> Any:
    """Depths in the first view at which both depths are possible; empty where the first exceeds the second."""
    near, far = depths[0], depths[1]
    if abs(ax[2]) < 1e-12:
        if b[2] < depths[2] or b[2] > depths[3]:
            return 1.0, 0.0
        return near, far
    one, two = (depths[2] - b[2]) / ax[2], (depths[3] - b[2]) / ax[2]
    return max(near, min(one, two)), min(far, max(one, two))


@_njit
def depth_at(place: Any, ax: Any, b: Any, axis: int, near: float, far: float, start: float, end: float) -> float:
    """Depth in the first view of what is seen at coordinate `place` (0 x, 1 y) in the second, within near .. far.

    start and end are the coordinates of the nearest and farthest depth.
    """
    if (place - start) * (end - start) <= 0:
        return near
    if (place - end) * (start - end) <= 0:
        return far
    return float((b[axis] - place * b[2]) / (place * ax[2] - ax[axis]))


@_njit
def _squared_distance(one: Any, p: int, two: Any, q: int) -> Any:
    total = np.int32(0)
    for k in range(128):
        difference = np.int32(one[p, k]) - np.int32(two[q, k])
        total += difference * difference
    return total


@_njit
def _match(
    places1: Any,
    descriptors1: Any,
    places2: Any,
    descriptors2: Any,
    starts2: Any,
    columns2: int,
    a: Any,
    b: Any,
    fundamental: Any,
    depths: Any,
    zoom: float,
    settings: Any,
) -> Any:
    band, per_scale, max_distance, ratio, apart, max_change = settings
    count1, count2 = len(places1), len(places2)
    rows2 = (len(starts2) - 1) // columns2
    scale2 = places2[:, 2].astype(np.float64)
    allowed2 = np.minimum(band + per_scale * scale2, WIDEST * band)
    widest = allowed2.max() if count2 else 0.0
    f00, f01, f02, f10, f11, f12, f20, f21, f22 = fundamental.ravel()
    # every candidate: (first, second, distance), grown as needed
    one = np.empty(16 * count1 + 1024, np.int32)
    two, distance = np.empty_like(one), np.empty_like(one)
    used = 0
    ax = np.empty(3)
    for p in range(count1):
        x, y, scale = np.float64(places1[p, 0]), np.float64(places1[p, 1]), np.float64(places1[p, 2])
        for k in range(3):
            ax[k] = a[k, 0] * x + a[k, 1] * y + a[k, 2]
        near, far = depth_interval(ax, b, depths)
        l0, l1, l2 = f00 * x + f01 * y + f02, f10 * x + f11 * y + f12, f20 * x + f21 * y + f22
        norm = np.sqrt(l0 * l0 + l1 * l1)
        if near > far or norm < 1e-12:
            continue
        l0, l1, l2 = l0 / norm, l1 / norm, l2 / norm
        back = (min(band + per_scale * scale, WIDEST * band) / norm) ** 2
        # along the axis in which the line runs fastest
        axis = 0 if abs(l1) >= abs(l0) else 1
        start = (ax[axis] * near + b[axis]) / (ax[2] * near + b[2])
        end = (ax[axis] * far + b[axis]) / (ax[2] * far + b[2])
        low, high = min(start, end), max(start, end)
        steep, flat = (l0, l1) if axis == 0 else (l1, l0)
        major, minor = (columns2, rows2) if axis == 0 else (rows2, columns2)
        if high + widest < 0 or low - widest > major * CELL:
            continue
        reach = widest / abs(flat)
        first_major = int(max(low - widest, 0.0) // CELL)
        last_major = int(min(high + widest, major * CELL - 1) // CELL)
        for m in range(first_major, last_major + 1):
            # the line's other coordinate at both ends of this column (or row) of cells
            e0 = -(l2 + steep * (m * CELL)) / flat
            e1 = -(l2 + steep * ((m + 1) * CELL)) / flat
            top, bottom = min(e0, e1) - reach, max(e0, e1) + reach
            if bottom < 0 or top > minor * CELL:
                continue
            for n in range(int(max(top, 0.0) // CELL), int(min(bottom, minor * CELL - 1) // CELL) + 1):
                cell = n * columns2 + m if axis == 0 else m * columns2 + n
                for q in range(starts2[cell], starts2[cell + 1]):
                    u, v = np.float64(places2[q, 0]), np.float64(places2[q, 1])
                    residual = l0 * u + l1 * v + l2
                    if abs(residual) > allowed2[q]:
                        continue
                    place = u if axis == 0 else v
                    if place < low - allowed2[q] or place > high + allowed2[q]:
                        continue
                    k0, k1 = f00 * u + f10 * v + f20, f01 * u + f11 * v + f21
                    if residual * residual > back * (k0 * k0 + k1 * k1):
                        continue
                    z = depth_at(place, ax, b, axis, near, far, start, end)
                    seen, foretold = scale2[q] * (ax[2] * z + b[2]), scale * zoom * z
                    if seen > max_change * foretold or seen * max_change < foretold:
                        continue
                    if used == len(one):
                        one = np.concatenate((one, np.empty_like(one)))
                        two = np.concatenate((two, np.empty_like(two)))
                        distance = np.concatenate((distance, np.empty_like(distance)))
                    one[used], two[used] = p, q
                    distance[used] = _squared_distance(descriptors1, p, descriptors2, q)
                    used += 1

    largest = np.iinfo(np.int32).max
    best1, best2 = np.full(count1, largest, np.int32), np.full(count2, largest, np.int32)
    at1, at2 = np.full(count1, -1, np.int32), np.full(count2, -1, np.int32)
    for k in range(used):
        p, q, d = one[k], two[k], distance[k]
        if d < best1[p] or (d == best1[p] and q < at1[p]):
            best1[p], at1[p] = d, q
        if d < best2[q] or (d == best2[q] and p < at2[q]):
            best2[q], at2[q] = d, p
    next1, next2 = np.full(count1, largest, np.int32), np.full(count2, largest, np.int32)
    for k in range(used):
        p, q, d = one[k], two[k], distance[k]
        if d < next1[p] and _apart(places2, q, at1[p], apart):
            next1[p] = d
        if d < next2[q] and _apart(places1, p, at2[q], apart):
            next2[q] = d
    matches = np.empty((count1, 2), np.int32)
    kept = 0
    for p in range(count1):
        q = at1[p]
        if q < 0 or at2[q] != p or best1[p] > max_distance:
            continue
        if best1[p] < ratio * next1[p] and best1[p] < ratio * next2[q]:
            matches[kept, 0], matches[kept, 1] = p, q
            kept += 1
    return matches[:kept]


@_njit
def _apart(places: Any, one: int, best: int, share: float) -> bool:
    """Whether a keypoint lies elsewhere than the best one, not only in another direction or scale."""
    dx, dy = places[one, 0] - places[best, 0], places[one, 1] - places[best, 1]
    return bool(dx * dx + dy * dy > (share * places[best, 2]) ** 2)
