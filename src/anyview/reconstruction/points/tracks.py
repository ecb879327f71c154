"""Tracks: which keypoints of many views show one point, and where it is, the poses being known. Compiled.

Matches are edges between keypoints. They are taken up one after the other, those that close most triangles first
(matches a-b, b-c and a-c that agree are hardly ever wrong); two tracks become one if a single point explains all their
keypoints within the allowed reprojection error and no view occurs twice. So a wrong match cannot spoil a track that
stands already. Everything runs in one thread in a fixed order: the result does not depend on the machine's cores.
Letters: T keypoints of all views together, E edges, V views. Pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float64, Int64

from anyview.jit import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_LONGEST = 256  # keypoints of one track
_STEPS = 8  # Gauss-Newton steps of a point


def _njit(function: Kernel) -> Kernel:
    return cast(Kernel, njit(nogil=True, cache=True, error_model="numpy")(function))


def grow_tracks(
    edges: Int64[np.ndarray, "E 2"],
    places: Float64[np.ndarray, "T 2"],
    view_of: Int64[np.ndarray, "T"],
    projections: Float64[np.ndarray, "V 3 4"],
    max_error: float,
) -> tuple[Int64[np.ndarray, "T"], Float64[np.ndarray, "T 3"]]:
    """The track of every keypoint (-1: none), and the point of every track (row = the track's number).

    Args:
        edges: matches as pairs of keypoints of different views, each pair once.
        places: x, y of the keypoints.
        view_of: the view of each keypoint.
        projections: homogeneous pixel from world.
        max_error: largest reprojection error within a track, pixels.
    """
    count = len(places)
    starts, neighbours = _adjacency(edges, count)
    support = _triangles(edges, starts, neighbours)
    order = np.argsort(-support, kind="stable")
    centers = np.stack([-np.linalg.solve(p[:, :3], p[:, 3]) for p in projections])
    inverses = np.stack([np.linalg.inv(p[:, :3]) for p in projections])
    track, points = _grow(edges[order], places, view_of, projections, centers, inverses, max_error)
    return track, points


def _adjacency(edges: Int64[np.ndarray, "E 2"], count: int) -> tuple[Int64[np.ndarray, "T1"], Int64[np.ndarray, "E2"]]:
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    return np.searchsorted(both[:, 0], np.arange(count + 1)), np.ascontiguousarray(both[:, 1])


@_njit
def _triangles(edges: Any, starts: Any, neighbours: Any) -> Any:
    """Common neighbours of both ends of every edge."""
    support = np.zeros(len(edges), np.int64)
    for e in range(len(edges)):
        i, i_end = starts[edges[e, 0]], starts[edges[e, 0] + 1]
        j, j_end = starts[edges[e, 1]], starts[edges[e, 1] + 1]
        while i < i_end and j < j_end:
            if neighbours[i] == neighbours[j]:
                support[e] += 1
                i += 1
                j += 1
            elif neighbours[i] < neighbours[j]:
                i += 1
            else:
                j += 1
    return support


@_njit
def intersect(members: Any, count: int, places: Any, view_of: Any, centers: Any, inverses: Any, point: Any) -> bool:
    """Point nearest to the rays of `count` members, into `point`; False where the rays are parallel.

    Least squares of the distances from the rays: sum (I - d d') X = sum (I - d d') c.
    """
    a00 = a01 = a02 = a11 = a12 = a22 = b0 = b1 = b2 = 0.0
    for k in range(count):
        t = members[k]
        v = view_of[t]
        x, y = places[t, 0], places[t, 1]
        m = inverses[v]
        d0 = m[0, 0] * x + m[0, 1] * y + m[0, 2]
        d1 = m[1, 0] * x + m[1, 1] * y + m[1, 2]
        d2 = m[2, 0] * x + m[2, 1] * y + m[2, 2]
        n = 1 / np.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
        d0, d1, d2 = d0 * n, d1 * n, d2 * n
        c0, c1, c2 = centers[v, 0], centers[v, 1], centers[v, 2]
        along = d0 * c0 + d1 * c1 + d2 * c2
        a00 += 1 - d0 * d0
        a01 -= d0 * d1
        a02 -= d0 * d2
        a11 += 1 - d1 * d1
        a12 -= d1 * d2
        a22 += 1 - d2 * d2
        b0 += c0 - d0 * along
        b1 += c1 - d1 * along
        b2 += c2 - d2 * along
    return _solve(a00, a01, a02, a11, a12, a22, b0, b1, b2, point)


@_njit
def _solve(
    a00: float, a01: float, a02: float, a11: float, a12: float, a22: float, b0: float, b1: float, b2: float, out: Any
) -> bool:
    """Symmetric 3x3 system by cofactors; False where it is singular."""
    c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
    det = a00 * c00 + a01 * c01 + a02 * c02
    size = (a00 + a11 + a22) / 3
    if not abs(det) > 1e-12 * size * size * size:
        return False
    c11, c12, c22 = a00 * a22 - a02 * a02, a01 * a02 - a00 * a12, a00 * a11 - a01 * a01
    out[0] = (c00 * b0 + c01 * b1 + c02 * b2) / det
    out[1] = (c01 * b0 + c11 * b1 + c12 * b2) / det
    out[2] = (c02 * b0 + c12 * b1 + c22 * b2) / det
    return True


@_njit
def squared_error(t: int, places: Any, view_of: Any, projections: Any, point: Any) -> float:
    """Squared reprojection error of one keypoint, pixels squared; infinite behind the camera."""
    p = projections[view_of[t]]
    w = p[2, 0] * point[0] + p[2, 1] * point[1] + p[2, 2] * point[2] + p[2, 3]
    if w <= 1e-9:
        return np.inf
    u = (p[0, 0] * point[0] + p[0, 1] * point[1] + p[0, 2] * point[2] + p[0, 3]) / w - places[t, 0]
    v = (p[1, 0] * point[0] + p[1, 1] * point[1] + p[1, 2] * point[2] + p[1, 3]) / w - places[t, 1]
    return float(u * u + v * v)


@_njit
def polish(members: Any, count: int, places: Any, view_of: Any, projections: Any, point: Any) -> None:
    """Gauss-Newton on the reprojection errors of `count` members, in place; a step that makes it worse is undone."""
    step, trial = np.empty(3), np.empty(3)
    before = 0.0
    for k in range(count):
        before += squared_error(members[k], places, view_of, projections, point)
    for _ in range(_STEPS):
        a00 = a01 = a02 = a11 = a12 = a22 = b0 = b1 = b2 = 0.0
        for k in range(count):
            t = members[k]
            p = projections[view_of[t]]
            w = p[2, 0] * point[0] + p[2, 1] * point[1] + p[2, 2] * point[2] + p[2, 3]
            if w <= 1e-9:
                return
            u = (p[0, 0] * point[0] + p[0, 1] * point[1] + p[0, 2] * point[2] + p[0, 3]) / w
            v = (p[1, 0] * point[0] + p[1, 1] * point[1] + p[1, 2] * point[2] + p[1, 3]) / w
            for row in range(2):
                value, seen = (u, places[t, 0]) if row == 0 else (v, places[t, 1])
                j0 = (p[row, 0] - value * p[2, 0]) / w
                j1 = (p[row, 1] - value * p[2, 1]) / w
                j2 = (p[row, 2] - value * p[2, 2]) / w
                r = seen - value
                a00 += j0 * j0
                a01 += j0 * j1
                a02 += j0 * j2
                a11 += j1 * j1
                a12 += j1 * j2
                a22 += j2 * j2
                b0 += j0 * r
                b1 += j1 * r
                b2 += j2 * r
        if not _solve(a00, a01, a02, a11, a12, a22, b0, b1, b2, step):
            return
        for k in range(3):
            trial[k] = point[k] + step[k]
        after = 0.0
        for k in range(count):
            after += squared_error(members[k], places, view_of, projections, trial)
        if not after < before:
            return
        point[:] = trial
        if before - after < 1e-6 * before:
            return
        before = after


@_njit
def _explained(members: Any, count: int, places: Any, view_of: Any, projections: Any, point: Any, limit: float) -> bool:
    worst = 0.0
    for k in range(count):
        worst = max(worst, squared_error(members[k], places, view_of, projections, point))
    return worst <= limit


@_njit
def _gather(head: int, following: Any, members: Any, count: int) -> int:
    t = head
    while t >= 0:
        members[count] = t
        count += 1
        t = following[t]
    return count


@_njit
def _one_view_twice(members: Any, count: int, view_of: Any, stamps: Any, stamp: int) -> bool:
    for k in range(count):
        v = view_of[members[k]]
        if stamps[v] == stamp:
            return True
        stamps[v] = stamp
    return False


@_njit
def _grow(
    edges: Any, places: Any, view_of: Any, projections: Any, centers: Any, inverses: Any, max_error: float
) -> Any:
    count = len(places)
    limit = max_error * max_error
    track = np.arange(count)  # a track's number is that of one of its keypoints
    following = np.full(count, -1, np.int64)  # the track's members as a chain that starts at its number
    size = np.ones(count, np.int64)
    points = np.zeros((count, 3))
    stamps, stamp = np.zeros(len(projections), np.int64), 0
    members, point = np.empty(2 * _LONGEST, np.int64), np.empty(3)
    for _sweep in range(2):  # the second finds points that are better placed by now
        for e in range(len(edges)):
            one, other = track[edges[e, 0]], track[edges[e, 1]]
            if one == other:
                continue
            if size[one] < size[other]:
                one, other = other, one
            loner = edges[e, 1] if track[edges[e, 1]] == other else edges[e, 0]
            if size[one] + size[other] > _LONGEST:
                continue
            for alone in range(2):  # the whole smaller track; failing that, its matched keypoint out of a mere pair
                if alone == 1 and (size[other] != 2 or size[one] < 3):
                    break
                number = _gather(one, following, members, 0)
                if alone == 0:
                    number = _gather(other, following, members, number)
                else:
                    members[number] = loner
                    number += 1
                stamp += 1
                if _one_view_twice(members, number, view_of, stamps, stamp):
                    continue
                if not _place(members, number, size[one], points[one], places, view_of, projections,
                              centers, inverses, limit, point):  # fmt: skip
                    continue
                if alone == 1:
                    left = other if loner != other else following[other]
                    track[left], following[left], size[left] = left, -1, 1
                    following[loner] = -1
                for k in range(number):
                    track[members[k]] = one
                    following[members[k]] = members[k + 1] if k + 1 < number else -1
                size[one] = number
                points[one] = point
                break
    for t in range(count):
        if size[track[t]] < 2:
            track[t] = -1
    return track, points


@_njit
def _place(
    members: Any,
    number: int,
    known: int,
    start: Any,
    places: Any,
    view_of: Any,
    projections: Any,
    centers: Any,
    inverses: Any,
    limit: float,
    point: Any,
) -> bool:
    """Find the point of all members; `start` is the point of the first `known` of them, if these are two or more."""
    if known >= 2:
        point[:] = start
        # far from what a settled track says: not worth a fit
        for k in range(known, number):
            if known >= 3 and squared_error(members[k], places, view_of, projections, point) > 16 * limit:
                return False
    elif not intersect(members, number, places, view_of, centers, inverses, point):
        return False
    polish(members, number, places, view_of, projections, point)
    return _explained(members, number, places, view_of, projections, point, limit)
