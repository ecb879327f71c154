"""Solids as signed distance functions, and where a ray meets them (sphere tracing, Hart 1996).

Letters: K solids; (x, y, z) a point in a solid's own frame. A distance is negative inside. Each solid is traced by itself
inside its bounding box: the solids need no common distance, and a ray that misses a box costs one test. Where a bulgy
solid's function is steeper than one, it is scaled down so that no step passes through.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

PLANE, SPHERE, BOX, TORUS, CYLINDER, CAPSULE, ROUND_CONE, KNOT, VASE, PUMPKIN = range(10)

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")

_CLOSE = 1e-10  # a root is known to this length along the ray, scene units
_MOST_STEPS = 400


class Solids(NamedTuple):
    """K solids as arrays, which is how compiled code takes them.

    Attributes:
        kind: (K,) int64, one of the constants above.
        size: (K, 5) float64, the lengths that the kind asks for (see `distance`).
        rotation: (K, 3, 3), object_from_world.
        center: (K, 3), the solid's origin in the world.
        extent: (K, 3), half sides of the bounding box in the solid's frame.
    """

    kind: np.ndarray[Any, Any]
    size: np.ndarray[Any, Any]
    rotation: np.ndarray[Any, Any]
    center: np.ndarray[Any, Any]
    extent: np.ndarray[Any, Any]


@_jit
def distance(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance (or a lower bound of it) from a point in the frame of solid k."""
    kind, size = solids.kind[k], solids.size[k]
    if kind == SPHERE:  # radius
        return math.sqrt(x * x + y * y + z * z) - size[0]
    if kind == CYLINDER:  # radius, half height, rounding; axis z
        radial = math.sqrt(x * x + y * y) - size[0] + size[2]
        axial = abs(z) - size[1] + size[2]
        return _corner(radial, axial) - size[2]
    if kind == BOX:  # three half sides, rounding
        qx, qy, qz = abs(x) - size[0] + size[3], abs(y) - size[1] + size[3], abs(z) - size[2] + size[3]
        ox, oy, oz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
        return math.sqrt(ox * ox + oy * oy + oz * oz) + min(max(qx, max(qy, qz)), 0.0) - size[3]
    if kind == TORUS:  # radius of the ring, radius of the tube; axis z
        ring = math.sqrt(x * x + y * y) - size[0]
        return math.sqrt(ring * ring + z * z) - size[1]
    if kind == CAPSULE:  # radius, half height without the caps; axis z
        axial = z - min(max(z, -size[1]), size[1])
        return math.sqrt(x * x + y * y + axial * axial) - size[0]
    if kind == ROUND_CONE:  # radius of the ball at the origin, of the one above it, and how far above
        radial = math.sqrt(x * x + y * y)
        lean = (size[0] - size[1]) / size[2]
        rise = math.sqrt(1.0 - lean * lean)
        along = rise * z - lean * radial
        if along < 0.0:
            return math.sqrt(radial * radial + z * z) - size[0]
        if along > rise * size[2]:
            return math.sqrt(radial * radial + (z - size[2]) * (z - size[2])) - size[1]
        return rise * radial + lean * z - size[0]
    if kind == KNOT:  # radius of the ring, of the winding, of the tube: a trefoil, two strands that turn 3/2 times
        turn = 1.5 * math.atan2(y, x)
        ring = math.sqrt(x * x + y * y) - size[0]
        across = abs(math.cos(turn) * ring + math.sin(turn) * z) - size[1]
        up = math.cos(turn) * z - math.sin(turn) * ring
        return 0.62 * (math.sqrt(across * across + up * up) - size[2])
    if kind == VASE:  # radius, half height, depth of the flutes, their number, twist per unit of height
        belly = 0.78 + 0.24 * math.sin(2.6 * z / size[1] + 0.4)
        flute = 1.0 + size[2] * math.cos(size[3] * (math.atan2(y, x) + size[4] * z))
        radial = math.sqrt(x * x + y * y) - size[0] * belly * flute + 0.04
        return 0.6 * (_corner(radial, abs(z) - size[1] + 0.04) - 0.04)
    if kind == PUMPKIN:  # radius, height over width, depth of the ribs, their number
        high = z / size[1]
        radial = x * x + y * y
        reach = math.sqrt(radial + high * high)
        ribs = abs(math.cos(0.5 * size[3] * math.atan2(y, x))) ** 0.7 - 1.0
        dimple = math.exp(-radial / (0.09 * size[0] * size[0]))
        return 0.55 * size[1] * (reach - size[0] * (1.0 + size[2] * ribs * (1.0 - dimple) - 0.12 * dimple))
    return z  # PLANE: everything below z = 0


@_jit
def _corner(a, b):  # type: ignore[no-untyped-def]
    """Distance to the quadrant a < 0, b < 0."""
    return math.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2) + min(max(a, b), 0.0)


@_jit
def normal(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """Outward unit normal in the solid's frame, by central differences (error about 1e-9 on a sphere of radius 1)."""
    h = 1e-5
    gx = distance(solids, k, x + h, y, z) - distance(solids, k, x - h, y, z)
    gy = distance(solids, k, x, y + h, z) - distance(solids, k, x, y - h, z)
    gz = distance(solids, k, x, y, z + h) - distance(solids, k, x, y, z - h)
    scale = 1.0 / math.sqrt(gx * gx + gy * gy + gz * gz)
    return gx * scale, gy * scale, gz * scale


@_jit
def to_object(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """A direction of the world in the solid's frame."""
    r = solids.rotation[k]
    return (
        r[0, 0] * x + r[0, 1] * y + r[0, 2] * z,
        r[1, 0] * x + r[1, 1] * y + r[1, 2] * z,
        r[2, 0] * x + r[2, 1] * y + r[2, 2] * z,
    )


@_jit
def to_world(solids, k, x, y, z):  # type: ignore[no-untyped-def]
    """A direction of the solid's frame in the world."""
    r = solids.rotation[k]
    return (
        r[0, 0] * x + r[1, 0] * y + r[2, 0] * z,
        r[0, 1] * x + r[1, 1] * y + r[2, 1] * z,
        r[0, 2] * x + r[1, 2] * y + r[2, 2] * z,
    )


@_jit
def span(solids, k, ox, oy, oz, dx, dy, dz, more):  # type: ignore[no-untyped-def]
    """Where a ray in the solid's frame enters and leaves its box enlarged by `more`; it misses if enter > leave."""
    enter, leave = 0.0, math.inf
    for axis in range(3):
        half = solids.extent[k, axis] + more
        o, d = (ox, dx) if axis == 0 else ((oy, dy) if axis == 1 else (oz, dz))
        if d == 0.0:
            if abs(o) > half:
                return math.inf, 0.0
        else:
            a, b = (-half - o) / d, (half - o) / d
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    return enter, leave


@_jit
def _meet(solids, k, ox, oy, oz, dx, dy, dz, enter, leave):  # type: ignore[no-untyped-def]
    """First root of the distance along a unit ray in the solid's frame, or infinity.

    Steps go as far as the last slope promises a plane would be; a step whose two free balls do not touch is taken back
    (Keinert et al. 2014), so that nothing is jumped over. Past the surface, the root is closed in by false position.
    """
    t = enter
    f = distance(solids, k, ox + t * dx, oy + t * dy, oz + t * dz)
    if f <= 0.0:
        return t
    slope = -1.0
    for _ in range(_MOST_STEPS):
        step = min(f / -slope + _CLOSE, 4.0 * f) if slope < -0.25 else f
        ahead = t + step
        g = distance(solids, k, ox + ahead * dx, oy + ahead * dy, oz + ahead * dz)
        if g > 0.0 and step > f + g:
            step = f
            ahead = t + step
            g = distance(solids, k, ox + ahead * dx, oy + ahead * dy, oz + ahead * dz)
        if g <= 0.0:
            return _close_in(solids, k, ox, oy, oz, dx, dy, dz, t, f, ahead, g)
        if g < _CLOSE:
            return ahead
        if ahead > leave:
            return math.inf
        slope = (g - f) / step
        t, f = ahead, g
    return math.inf


@_jit
def _close_in(solids, k, ox, oy, oz, dx, dy, dz, a, fa, b, fb):  # type: ignore[no-untyped-def]
    """Root between a (outside) and b (inside) by false position, Illinois variant."""
    side = 0
    for _ in range(60):
        if b - a < _CLOSE or fb == 0.0:
            break
        c = b - fb * (b - a) / (fb - fa)
        f = distance(solids, k, ox + c * dx, oy + c * dy, oz + c * dz)
        if abs(f) < 0.1 * _CLOSE:
            return c
        if f > 0.0:
            a, fa = c, f
            if side == 1:
                fb *= 0.5
            side = 1
        else:
            b, fb = c, f
            if side == -1:
                fa *= 0.5
            side = -1
    return b


@_jit
def trace(solids, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """The nearest solid along a unit ray in the world: (distance, its index), or (infinity, -1)."""
    best, found = math.inf, -1
    for k in range(len(solids.kind)):
        c = solids.center[k]
        px, py, pz = to_object(solids, k, ox - c[0], oy - c[1], oz - c[2])
        qx, qy, qz = to_object(solids, k, dx, dy, dz)
        enter, leave = span(solids, k, px, py, pz, qx, qy, qz, 1e-9)
        if enter > leave or enter >= best:
            continue
        t = _meet(solids, k, px, py, pz, qx, qy, qz, enter, leave)
        if t < best:
            best, found = t, k
    return best, found
