"""Solids as signed distance functions, and where a ray meets them (sphere tracing, Hart 1996).

Letters: K solids; (x, y, z) a point in a solid's own frame. A distance is negative inside. Each solid is traced by
itself inside its bounding box: the solids need no common distance, and a ray that misses a box costs one test. Where a
bulgy solid's function is steeper than one, it is scaled down so that no step passes through.

Compiled code takes a solid as a record, which is one pointer: arrays would be copied, and their references counted, at
every call, which costs more than the geometry. It writes `NOTHING`, since a literal -1 would be compiled for anew.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anyview.scene._paint import PAINT, jit
from anyview.scene._shells import CUP, shell_distance

NOTHING: Any = np.int64(-1)
PLANE, SPHERE, BOX, TORUS, CYLINDER, CAPSULE, ROUND_CONE, KNOT, VASE, PUMPKIN = range(10)

_CLOSE = 1e-10  # a root is known to this length along the ray, scene units
_NEAR = 1e-3  # distance from which on the surface counts as smooth, scene units
_MOST_STEPS = 200


SOLID = np.dtype(
    [
        ("kind", np.int64),  # one of the constants above
        ("size", np.float64, 4),  # the lengths that the kind asks for, see `distance`
        ("rotation", np.float64, (3, 3)),  # object_from_world
        ("center", np.float64, 3),  # the solid's origin in the world
        ("extent", np.float64, 3),  # half sides of the bounding box in the solid's frame
        ("ball", np.float64),  # radius of the ball around that box
        *PAINT,
    ]
)


@jit
def distance(solid, x, y, z):  # type: ignore[no-untyped-def]
    """Signed distance (or a lower bound of it) from a point in the frame of a solid."""
    kind = solid.kind
    s0, s1, s2, s3 = solid.size[0], solid.size[1], solid.size[2], solid.size[3]
    if kind == SPHERE:  # radius
        return math.sqrt(x * x + y * y + z * z) - s0
    if kind == CYLINDER:  # radius, half height, rounding; axis z
        radial = math.sqrt(x * x + y * y) - s0 + s2
        axial = abs(z) - s1 + s2
        return _corner(radial, axial) - s2
    if kind == BOX:  # three half sides, rounding
        qx, qy, qz = abs(x) - s0 + s3, abs(y) - s1 + s3, abs(z) - s2 + s3
        ox, oy, oz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
        return math.sqrt(ox * ox + oy * oy + oz * oz) + min(max(qx, max(qy, qz)), 0.0) - s3
    if kind == TORUS:  # radius of the ring, radius of the tube; axis z
        ring = math.sqrt(x * x + y * y) - s0
        return math.sqrt(ring * ring + z * z) - s1
    if kind == CAPSULE:  # radius, half height without the caps; axis z
        axial = z - min(max(z, -s1), s1)
        return math.sqrt(x * x + y * y + axial * axial) - s0
    if kind == ROUND_CONE:  # radius of the ball at the origin, of the one above it, and how far above
        radial = math.sqrt(x * x + y * y)
        lean = (s0 - s1) / s2
        rise = math.sqrt(1.0 - lean * lean)
        along = rise * z - lean * radial
        if along < 0.0:
            return math.sqrt(radial * radial + z * z) - s0
        if along > rise * s2:
            return math.sqrt(radial * radial + (z - s2) * (z - s2)) - s1
        return rise * radial + lean * z - s0
    if kind == KNOT:  # radius of the ring, of the winding, of the tube: a trefoil, two strands that turn 3/2 times
        turn = 1.5 * math.atan2(y, x)
        ring = math.sqrt(x * x + y * y) - s0
        across = abs(math.cos(turn) * ring + math.sin(turn) * z) - s1
        up = math.cos(turn) * z - math.sin(turn) * ring
        return 0.62 * (math.sqrt(across * across + up * up) - s2)
    if kind == VASE:  # radius, half height, depth of the flutes, twist of the seven flutes per unit of height
        ring = math.sqrt(x * x + y * y)
        c, s = _turned(x, y, ring, 7)
        flute = 1.0 + s2 * (c * math.cos(s3 * z) - s * math.sin(s3 * z))
        belly = 0.78 + 0.24 * math.sin(2.6 * z / s1 + 0.9)
        return 0.6 * (_corner(ring - s0 * belly * flute + 0.04, abs(z) - s1 + 0.04) - 0.04)
    if kind == PUMPKIN:  # radius, height over width, depth of the ten ribs
        ring = math.sqrt(x * x + y * y)
        c, _ = _turned(x, y, ring, 5)
        wide = ring * ring / (0.16 * s0 * s0)
        wide = wide / (1.0 + wide)  # 0 on the axis, where the ribs end in a dimple
        rib = math.sqrt(c * c + 0.004) - 1.0
        high = z / s1
        return 0.55 * s1 * (math.sqrt(ring * ring + high * high) - s0 * (1.0 + s2 * rib * wide - 0.14 * (1.0 - wide)))
    if kind >= CUP:
        return shell_distance(kind, s0, s1, s2, s3, x, y, z)
    return z  # PLANE: everything below z = 0


@jit
def _turned(x, y, ring, times):  # type: ignore[no-untyped-def]
    """Cosine and sine of a multiple of the angle of (x, y), by powers of a complex number."""
    if ring == 0.0:
        return 1.0, 0.0
    u, v = x / ring, y / ring
    c, s = u, v
    for _ in range(times - 1):
        c, s = c * u - s * v, c * v + s * u
    return c, s


@jit
def _corner(a, b):  # type: ignore[no-untyped-def]
    """Distance to the quadrant a < 0, b < 0."""
    return math.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2) + min(max(a, b), 0.0)


@jit
def normal(solid, x, y, z):  # type: ignore[no-untyped-def]
    """Outward unit normal in the solid's frame, by central differences (error about 1e-9 on a sphere of radius 1)."""
    gx, gy, gz = 0.0, 0.0, 0.0
    for side in range(6):  # in a loop, because each call in the source is compiled anew
        h = 1e-5 if side < 3 else -1e-5
        hx, hy, hz = h * (side % 3 == 0), h * (side % 3 == 1), h * (side % 3 == 2)
        f = distance(solid, x + hx, y + hy, z + hz)
        gx, gy, gz = gx + f * hx, gy + f * hy, gz + f * hz
    scale = 1.0 / math.sqrt(gx * gx + gy * gy + gz * gz)
    return gx * scale, gy * scale, gz * scale


@jit
def to_object(solid, x, y, z):  # type: ignore[no-untyped-def]
    """A direction of the world in the solid's frame."""
    return (
        solid.rotation[0, 0] * x + solid.rotation[0, 1] * y + solid.rotation[0, 2] * z,
        solid.rotation[1, 0] * x + solid.rotation[1, 1] * y + solid.rotation[1, 2] * z,
        solid.rotation[2, 0] * x + solid.rotation[2, 1] * y + solid.rotation[2, 2] * z,
    )


@jit
def to_world(solid, x, y, z):  # type: ignore[no-untyped-def]
    """A direction of the solid's frame in the world."""
    return (
        solid.rotation[0, 0] * x + solid.rotation[1, 0] * y + solid.rotation[2, 0] * z,
        solid.rotation[0, 1] * x + solid.rotation[1, 1] * y + solid.rotation[2, 1] * z,
        solid.rotation[0, 2] * x + solid.rotation[1, 2] * y + solid.rotation[2, 2] * z,
    )


@jit
def span(solid, ox, oy, oz, dx, dy, dz, more):  # type: ignore[no-untyped-def]
    """Where a ray in the solid's frame enters and leaves its box enlarged by `more`; it misses if enter > leave."""
    enter, leave = 0.0, math.inf
    for axis in range(3):
        half = solid.extent[axis] + more
        o, d = (ox, dx) if axis == 0 else ((oy, dy) if axis == 1 else (oz, dz))
        if d == 0.0:
            if abs(o) > half:
                return math.inf, 0.0
        else:
            a, b = (-half - o) / d, (half - o) / d
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    return enter, leave


@jit
def passes(solid, px, py, pz, dx, dy, dz, more):  # type: ignore[no-untyped-def]
    """Whether a line stays outside the ball around a solid's box; (px, py, pz) is its start as seen from the solid."""
    reach = solid.ball + more
    along = px * dx + py * dy + pz * dz
    return px * px + py * py + pz * pz - along * along > reach * reach


@jit
def _root(solid, ox, oy, oz, dx, dy, dz, enter, leave):  # type: ignore[no-untyped-def]
    """First root of the distance along a unit ray in the solid's frame, or infinity.

    Steps go as far as the last slope promises. Far from the surface, a step whose two free balls do not touch is taken
    back (Keinert et al. 2014), so that nothing is jumped over. Near it, that would crawl along grazing rays: there the
    step is trusted, since seen along a ray a bulge is convex and a secant never passes its first root. Behind the
    surface, the root is closed in by false position.
    """
    t = enter
    f = distance(solid, ox + t * dx, oy + t * dy, oz + t * dz)
    if f <= 0.0:
        return t
    slope = -1.0
    for _ in range(_MOST_STEPS):
        if f < _NEAR:
            step = min(max(f / -slope, f), 3 * _NEAR) + _CLOSE if slope < 0.0 else max(f, 0.5 * _NEAR)
        else:
            step = min(max(f / -slope, f), 4.0 * f) if slope < 0.0 else f
        ahead = t + step
        g = distance(solid, ox + ahead * dx, oy + ahead * dy, oz + ahead * dz)
        # What is hollow may be left and met again within one step, so there a step into the wall counts as well.
        if f >= _NEAR and (g > 0.0 or solid.kind >= CUP) and step > f + abs(g):
            step = f
            ahead = t + step
            g = distance(solid, ox + ahead * dx, oy + ahead * dy, oz + ahead * dz)
        if g <= 0.0:
            return _close_in(solid, ox, oy, oz, dx, dy, dz, t, f, ahead, g)
        if g < _CLOSE:
            return ahead
        if ahead > leave:
            return math.inf
        slope = (g - f) / step
        t, f = ahead, g
    return math.inf


@jit
def _close_in(solid, ox, oy, oz, dx, dy, dz, a, fa, b, fb):  # type: ignore[no-untyped-def]
    """Root between a (outside) and b (inside) by false position, Illinois variant."""
    side = 0
    for _ in range(60):
        if b - a < _CLOSE or fb == 0.0:
            break
        c = b - fb * (b - a) / (fb - fa)
        f = distance(solid, ox + c * dx, oy + c * dy, oz + c * dz)
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


@jit
def meet(solid, ox, oy, oz, dx, dy, dz, best):  # type: ignore[no-untyped-def]
    """Distance to a solid along a unit ray in the world; infinity where it misses, or enters no nearer than `best`."""
    px, py, pz = ox - solid.center[0], oy - solid.center[1], oz - solid.center[2]
    if passes(solid, px, py, pz, dx, dy, dz, 1e-9):
        return math.inf
    px, py, pz = to_object(solid, px, py, pz)
    dx, dy, dz = to_object(solid, dx, dy, dz)
    enter, leave = span(solid, px, py, pz, dx, dy, dz, 1e-9)
    if enter > leave or enter >= best:
        return math.inf
    return _root(solid, px, py, pz, dx, dy, dz, enter, leave)


@jit
def trace(solids, guess, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """The nearest solid along a unit ray in the world: (distance, its index), or (infinity, -1).

    `guess` is tried first (-1 for none): where it is hit, most others need not be traced.
    """
    best, found = math.inf, NOTHING
    if guess >= 0:
        best = meet(solids[guess], ox, oy, oz, dx, dy, dz, best)
        if best < math.inf:
            found = guess
    for k in range(len(solids)):
        if k != guess:
            t = meet(solids[k], ox, oy, oz, dx, dy, dz, best)
            if t < best:
                best, found = t, k
    return best, found
