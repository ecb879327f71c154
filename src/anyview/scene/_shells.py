"""Signed distances of hollow ware, handles and a bust: solids of the layout "ceramics", added to those of `_sdf`.

Letters: (x, y, z) a point in the solid's own frame, ring its distance from the z axis. The first three are exact
distances: to a curve in the plane of (ring, z) or in the xy plane, less the half thickness. The bust joins balls and
capsules by the quadratic smooth minimum (I. Quilez): a mean of distances, so never steeper than one.
"""

from __future__ import annotations

import math

from anyview.scene._paint import jit

CUP, BOWL, HANDLE, BUST = range(10, 14)


@jit
def shell_distance(kind, s0, s1, s2, s3, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance (for the bust, a lower bound of it) of the kinds of this file."""
    ring = math.sqrt(x * x + y * y)
    if kind == CUP:  # radius of the floor, half height, half thickness, radius of the rim; axis z, open above
        wall = _to_segment(ring, z, s0, -s1, s3, s1)
        floor = _to_segment(ring, z, 0.0, -s1, s0, -s1)
        return min(wall, floor) - s2
    if kind == BOWL:  # radius, height of the rim's plane over the middle, half thickness; axis z, open above
        rim = math.sqrt(s0 * s0 - s1 * s1)
        if z * rim <= ring * s1:  # below the rim as seen from the middle of the sphere
            return abs(math.sqrt(ring * ring + z * z) - s0) - s2
        return math.hypot(ring - rim, z - s1) - s2
    if kind == HANDLE:  # radius of the arc, of the tube, half the angle that it spans; in the xy plane, around +x
        if abs(math.atan2(y, x)) < s2:
            return math.hypot(ring - s0, z) - s1
        ex, ey = s0 * math.cos(s2), s0 * math.sin(s2)
        return math.sqrt((x - ex) ** 2 + (abs(y) - ey) ** 2 + z * z) - s1
    # BUST: scale; looks along +x, from -1.06 to 0.92 in height
    x, y, z = x / s0, y / s0, z / s0
    body = _joined(_to_rod(x, y, z, 0.0, 0.42, -0.62, 0.26), _to_ball(x, y, z, 0.05, -0.72, 0.34), 0.2)
    body = _joined(body, _to_ball(x, y, z, -0.04, -0.25, 0.17), 0.3)
    head = _joined(_to_ball(x, y, z, -0.04, 0.55, 0.36), _to_ball(x, y, z, 0.12, 0.24, 0.19), 0.25)
    head = _joined(head, _to_ball(x, y, z, -0.04, 0.08, 0.18), 0.2)
    nose = math.hypot(_to_segment(x, z, 0.3, 0.5, 0.36, 0.36), y) - 0.05
    return s0 * _joined(_joined(head, nose, 0.08), body, 0.25)


@jit
def _to_segment(u, v, au, av, bu, bv):  # type: ignore[no-untyped-def]
    """Distance in the plane from (u, v) to the segment from a to b."""
    du, dv = bu - au, bv - av
    t = min(max(((u - au) * du + (v - av) * dv) / (du * du + dv * dv), 0.0), 1.0)
    return math.hypot(u - au - t * du, v - av - t * dv)


@jit
def _to_ball(x, y, z, at_x, at_z, radius):  # type: ignore[no-untyped-def]
    return math.sqrt((x - at_x) ** 2 + y * y + (z - at_z) ** 2) - radius


@jit
def _to_rod(x, y, z, at_x, half, at_z, radius):  # type: ignore[no-untyped-def]
    """Distance to a capsule along y."""
    beyond = max(abs(y) - half, 0.0)
    return math.sqrt((x - at_x) ** 2 + beyond * beyond + (z - at_z) ** 2) - radius


@jit
def _joined(a, b, width):  # type: ignore[no-untyped-def]
    """Smooth minimum: two surfaces flow into each other where their distances differ by less than `width`."""
    h = max(width - abs(a - b), 0.0) / width
    return min(a, b) - 0.25 * width * h * h
