"""What every surface pattern is made of: value noise, colours, and surfaces unrolled to a plane.

Letters: (x, y, z) a point in its solid's frame, (nx, ny, nz) its normal, (u, v) the point on the unrolled surface; all
in scene units. Colours are linear RGB.
"""

from __future__ import annotations

import math

import numpy as np

from anyview.jit import njit

CLOUDS, WOOD, CHECKER, BRICKS, STRIPES, TERRAZZO, PLANKS, MOSAIC, DOTS, GLAZE, FAINT_WOOD, DECAL = range(12)
FLAT_MAP, BOX_MAP, CYLINDER_MAP, SPHERE_MAP = range(4)

jit = njit(cache=True, nogil=True, error_model="numpy")  # a division by zero is infinite, not an error

EDGE = 0.005  # softness of edges between colours, scene units
_LOW = 0xFFFFFFFF

PAINT = [
    ("pattern", np.int64),  # constants above
    ("mapping", np.int64),
    ("scale", np.float64),  # size of the pattern's unit, scene units
    ("radius", np.float64),  # of the cylinder or sphere that the pattern is unrolled from, scene units
    ("colors", np.float64, (4, 3)),  # linear RGB
    ("seed", np.int64),
    ("gloss", np.float64),  # relative strength of highlights
]


@jit
def _scramble(h):  # type: ignore[no-untyped-def]
    """A number in [0, 1) from a lattice point's linear code."""
    h = ((h ^ (h >> 15)) * 739982445) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 695872825) & 0xFFFFFFFF
    return (h >> 8) * (1.0 / 16777216.0)


@jit
def random(i, j, k, seed):  # type: ignore[no-untyped-def]
    """A number in [0, 1) for each lattice point."""
    return _scramble((i * 374761393 + j * 668265263 + k * 1274126177 + seed * 974634667) & _LOW)


@jit
def noise(x, y, z, seed):  # type: ignore[no-untyped-def]
    """Value noise in [0, 1], lattice of unit spacing, quintic blending."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    a, b, c = x - i, y - j, z - k
    a = a * a * a * (a * (a * 6 - 15) + 10)
    b = b * b * b * (b * (b * 6 - 15) + 10)
    c = c * c * c * (c * (c * 6 - 15) + 10)
    h = int(i) * 374761393 + int(j) * 668265263 + int(k) * 1274126177 + seed * 974634667
    # The eight corners' codes are sums: one multiplication serves all.
    p, q, r, s = h, h + 374761393, h + 668265263, h + 374761393 + 668265263
    p0, q0, r0, s0 = _scramble(p & _LOW), _scramble(q & _LOW), _scramble(r & _LOW), _scramble(s & _LOW)
    p, q, r, s = p + 1274126177, q + 1274126177, r + 1274126177, s + 1274126177
    p1, q1, r1, s1 = _scramble(p & _LOW), _scramble(q & _LOW), _scramble(r & _LOW), _scramble(s & _LOW)
    low = (p0 + (q0 - p0) * a) * (1 - b) + (r0 + (s0 - r0) * a) * b
    high = (p1 + (q1 - p1) * a) * (1 - b) + (r1 + (s1 - r1) * a) * b
    return low + (high - low) * c


@jit
def fbm(x, y, z, octaves, seed):  # type: ignore[no-untyped-def]
    """Octaves of noise, each turned against the last so that lattices do not line up; in [0, 1], mean 1/2."""
    total, amplitude, norm = 0.0, 0.5, 0.0
    for octave in range(octaves):
        total += amplitude * noise(x, y, z, seed + octave)
        norm += amplitude
        amplitude *= 0.55
        x, y, z = 1.6 * x + 1.2 * y, 1.6 * y - 1.2 * x, 2.0 * z + 7.3
        y, z = 0.8 * y - 0.6 * z, 0.8 * z + 0.6 * y
    return total / norm


@jit
def smooth(low, high, x):  # type: ignore[no-untyped-def]
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def unroll(mapping, s, radius, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """(u, v) of a surface point, and how many tiles of size s go round (an even number), or 0 where nothing does."""
    if mapping == BOX_MAP:
        if abs(nx) >= abs(ny) and abs(nx) >= abs(nz):
            return y, z, 0
        if abs(ny) >= abs(nz):
            return x, z, 0
        return x, y, 0
    if mapping == SPHERE_MAP or (mapping == CYLINDER_MAP and abs(nz) < 0.8):
        turns = 2 * max(1, math.floor(0.5 + math.pi * radius / s))
        u = (math.atan2(y, x) / (2 * math.pi) + 0.5) * turns * s
        if mapping == CYLINDER_MAP:
            return u, z, turns
        return u, radius * math.atan2(z, math.sqrt(x * x + y * y)), turns
    return x, y, 0


@jit
def column_of(u, shift, turns):  # type: ignore[no-untyped-def]
    """Index of the tile, the same at both ends of a round, and the place in it."""
    a = u + shift
    column = math.floor(a)
    index = int(column)
    if turns > 0:
        index %= turns
    return index, a - column


@jit
def pick(paint, i):  # type: ignore[no-untyped-def]
    return paint.colors[i, 0], paint.colors[i, 1], paint.colors[i, 2]


@jit
def mix(a, b, t):  # type: ignore[no-untyped-def]
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


@jit
def times(a, t):  # type: ignore[no-untyped-def]
    return a[0] * t, a[1] * t, a[2] * t


@jit
def ramp(paint, t):  # type: ignore[no-untyped-def]
    """Through the four colours, t from 0 to 1."""
    t = min(max(t, 0.0), 1.0) * 2.9999
    i = int(t)
    return mix(pick(paint, i), pick(paint, i + 1), smooth(0.0, 1.0, t - i))


@jit
def grain(paint, x, y, z, seed):  # type: ignore[no-untyped-def]
    """Wood: rings about the z axis, wobbling, with fibres along it."""
    wobble = noise(3 * x, 3 * y, 0.8 * z, seed) - 0.5
    ring = math.sqrt(x * x + y * y) * 18.0 + 4.0 * wobble + 0.5 * z
    late = ring - math.floor(ring)
    late = smooth(0.05, 0.8, late) * (1 - smooth(0.85, 1.0, late))
    fibre = noise(60 * x, 60 * y, 5 * z, seed + 3)
    return ramp(paint, 0.3 + 0.4 * late + 0.6 * (fibre - 0.4))
