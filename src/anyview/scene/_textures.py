"""Procedural surface patterns: value noise and what is made of it.

A pattern is a function of the point in its solid's frame alone, so that every view sees the same paint. Edges are soft
over about the footprint of a pixel. Colours are linear RGB. Letters: (x, y, z) the point, (u, v) the point on the
unrolled surface; both in scene units.
"""

from __future__ import annotations

import math

import numba
import numpy as np

CLOUDS, WOOD, CHECKER, BRICKS, STRIPES, TERRAZZO, PLANKS, MOSAIC, DOTS = range(9)
FLAT_MAP, BOX_MAP, CYLINDER_MAP, SPHERE_MAP = range(4)

jit = numba.njit(cache=True, nogil=True, error_model="numpy")  # a division by zero is infinite, not an error

_LOW = 0xFFFFFFFF
_EDGE = 0.005  # softness of edges between colours, scene units


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
def _hash(i, j, k, seed):  # type: ignore[no-untyped-def]
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
def _smooth(low, high, x):  # type: ignore[no-untyped-def]
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def _unroll(mapping, s, radius, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
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
def _column(u, shift, turns):  # type: ignore[no-untyped-def]
    """Index of the tile, the same at both ends of a round, and the place in it."""
    a = u + shift
    column = math.floor(a)
    index = int(column)
    if turns > 0:
        index %= turns
    return index, a - column


@jit
def _pick(paint, i):  # type: ignore[no-untyped-def]
    return paint.colors[i, 0], paint.colors[i, 1], paint.colors[i, 2]


@jit
def _mix(a, b, t):  # type: ignore[no-untyped-def]
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


@jit
def _times(a, t):  # type: ignore[no-untyped-def]
    return a[0] * t, a[1] * t, a[2] * t


@jit
def _ramp(paint, t):  # type: ignore[no-untyped-def]
    """Through the four colours, t from 0 to 1."""
    t = min(max(t, 0.0), 1.0) * 2.9999
    i = int(t)
    return _mix(_pick(paint, i), _pick(paint, i + 1), _smooth(0.0, 1.0, t - i))


@jit
def _tile_edge(s, t, soft_s, soft_t):  # type: ignore[no-untyped-def]
    """0 on the joint between unit tiles, 1 inside, from the place in the tile (0 to 1)."""
    ds, dt = min(s, 1 - s), min(t, 1 - t)
    return min(_smooth(soft_s, 3 * soft_s, ds), _smooth(soft_t, 3 * soft_t, dt))


@jit
def _grain(paint, x, y, z, seed):  # type: ignore[no-untyped-def]
    """Wood: rings about the z axis, wobbling, with fibres along it."""
    wobble = noise(3 * x, 3 * y, 0.8 * z, seed) - 0.5
    ring = math.sqrt(x * x + y * y) * 18.0 + 4.0 * wobble + 0.5 * z
    late = ring - math.floor(ring)
    late = _smooth(0.05, 0.8, late) * (1 - _smooth(0.85, 1.0, late))
    fibre = noise(60 * x, 60 * y, 5 * z, seed + 3)
    return _ramp(paint, 0.3 + 0.4 * late + 0.6 * (fibre - 0.4))


@jit
def albedo(paint, x, y, z, nx, ny, nz, texture):  # type: ignore[no-untyped-def]
    """Linear RGB reflectance of a solid at a point with a normal, both in its frame.

    `texture` is the share of the surface that is painted; the rest is of one colour, with a soft border between.
    """
    pattern, seed, s = paint.pattern, paint.seed, paint.scale
    painted, plain = 1.0, (0.0, 0.0, 0.0)
    if texture < 1.0:  # two octaves of noise fill the range from 0.2 to 0.8
        plain = _mix(_mix(_pick(paint, 0), _pick(paint, 1), 0.35), _pick(paint, 2), 0.2)
        field = 0.2 + 0.6 * texture
        painted = 1 - _smooth(field - 0.03, field + 0.03, fbm(1.7 * x, 1.7 * y, 1.7 * z, 2, seed + 40))
        if texture <= 0.0 or painted <= 0.0:
            return plain
    if pattern == CLOUDS:
        warp = fbm(2.5 * x / s, 2.5 * y / s, 2.5 * z / s, 2, seed)
        t = fbm(4 * x / s + 3 * warp, 4 * y / s, 4 * z / s - 3 * warp, 4, seed + 5)
        color = _ramp(paint, 1.9 * (t - 0.5) + 0.5)
    elif pattern == WOOD:
        color = _grain(paint, x / s + 0.35, z / s + 0.2, y / s, seed)
    elif pattern == TERRAZZO:
        color = _terrazzo(paint, x / s, y / s, z / s, _EDGE / s, seed)
    else:
        u, v, turns = _unroll(paint.mapping, s, paint.radius, x, y, z, nx, ny, nz)
        color = _tiled(paint, u, v, turns, x, y, z)
    fine = fbm(22 * x, 22 * y, 22 * z, 3, seed + 20)
    return _mix(plain, _times(color, 0.62 + 0.76 * fine), painted)


@jit
def _tiled(paint, u, v, turns, x, y, z):  # type: ignore[no-untyped-def]
    """The patterns that live on the unrolled surface."""
    pattern, seed, s = paint.pattern, paint.seed, paint.scale
    soft = _EDGE / s
    cloud = fbm(8 * x, 8 * y, 8 * z, 3, seed + 2)
    if pattern == CHECKER:
        wave = math.sin(math.pi * u / s) * math.sin(math.pi * v / s)
        color = _mix(_pick(paint, 0), _pick(paint, 1), _smooth(-2 * soft, 2 * soft, wave))
        aged = 0.5 * _smooth(0.52, 0.8, cloud)
        return _mix(color, _pick(paint, 3), aged)
    if pattern == BRICKS:
        row = math.floor(2 * v / s)
        column, across = _column(u / s, 0.5 * (row % 2), turns)
        joint = _tile_edge(across, 2 * v / s - row, 0.4 * soft + 0.012, 0.8 * soft + 0.024)
        tone = 0.7 * _hash(column, int(row), 5, seed) + 0.6 * (cloud - 0.4)
        return _mix(_pick(paint, 3), _ramp(paint, tone), joint)
    if pattern == PLANKS:
        row = math.floor(v / s)
        across = v / s - row
        column, along = _column(u / (5 * s), 4 * _hash(int(row), 3, 9, seed), 0)
        tone = _hash(column, int(row), 1, seed)
        joint = _tile_edge(along, across, 0.1 * soft + 0.002, 0.5 * soft + 0.01)
        color = _grain(paint, 0.5 * across * s + 3 * tone, 0.3 + 2 * z + 0.4 * tone, 0.6 * u + 9 * tone, seed)
        return _times(color, (0.72 + 0.5 * tone) * (0.35 + 0.65 * joint))
    if pattern == MOSAIC:
        return _mosaic(paint, u / s, v / s, turns, soft, seed)
    if pattern == DOTS:
        row = math.floor(v / s)
        column, across = _column(u / s, 0.5 * (row % 2), turns)
        da, db = across - 0.5, v / s - row - 0.5
        inside = 1 - _smooth(0.3 - soft, 0.3 + soft, math.sqrt(da * da + db * db))
        color = _pick(paint, 1 + int(_hash(column, int(row), 7, seed) * 2.999))
        return _times(_mix(_pick(paint, 0), color, inside), 0.7 + 0.6 * cloud)
    # STRIPES, of random colours, wavy; neighbours differ
    b = v / s + 0.35 * (fbm(3 * x, 3 * y, 3 * z, 2, seed + 6) - 0.5)
    band = math.floor(b)
    here, there = _stripe(int(band), seed), _stripe(int(band) + 1, seed)
    thread = 0.8 + 0.4 * noise(40 * x, 40 * y, 110 * z, seed + 8)
    color = _mix(_pick(paint, here), _pick(paint, there), _smooth(1 - 2 * soft, 1.0, b - band))
    return _times(color, thread)


@jit
def _stripe(band, seed):  # type: ignore[no-untyped-def]
    """Index of the colour of a stripe: even ones take the first or the third colour, odd ones the others."""
    return band % 2 + 2 * int(_hash(band, 1, 2, seed) < 0.5)


@jit
def _terrazzo(paint, x, y, z, soft, seed):  # type: ignore[no-untyped-def]
    """Chips of three colours and three sizes in a ground of the first colour; a chip stays inside its cell."""
    color = _pick(paint, 0)
    for layer in range(3):
        # Each layer is finer than the last and turned, so that no rows of cells show.
        x, y, z, soft = 1.05 * x + 0.9 * y + 0.4, 1.05 * y - 0.9 * x + 0.3 * z, 1.35 * z - 0.3 * y + 5.3, 1.4 * soft
        rough = 0.5 * (noise(3.1 * x, 3.1 * y, 3.1 * z, seed + 30 + layer) - 0.5)
        i, j, m = math.floor(x), math.floor(y), math.floor(z)
        first = seed + 11 * layer
        h = _hash(i, j, m, first)
        size = 0.24 + 0.2 * h
        cx = size + (1 - 2 * size) * _hash(i, j, m, first + 1) - (x - i)
        cy = size + (1 - 2 * size) * _hash(i, j, m, first + 2) - (y - j)
        cz = size + (1 - 2 * size) * _hash(i, j, m, first + 3) - (z - m)
        # Between a ball and an octahedron: chips with flat sides.
        reach = 0.5 * math.sqrt(cx * cx + cy * cy + cz * cz) + 0.36 * (abs(cx) + abs(cy) + abs(cz))
        inside = 1 - _smooth(-soft, soft, reach - (0.9 + rough) * size)
        chip = _times(_pick(paint, 1 + int(h * 7919 % 3)), 0.75 + 0.5 * _hash(i, j, m, first + 4))
        color = _mix(color, chip, inside)
    return color


@jit
def _mosaic(paint, u, v, turns, soft, seed):  # type: ignore[no-untyped-def]
    """Voronoi tiles with joints."""
    i, j = math.floor(u), math.floor(v)
    first, second, tile = 9.0, 9.0, 0.0
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            w = a % turns if turns > 0 else a
            du = a + 0.15 + 0.7 * _hash(w, b, 1, seed) - u
            dv = b + 0.15 + 0.7 * _hash(w, b, 2, seed) - v
            d = math.sqrt(du * du + dv * dv)
            if d < first:
                first, second, tile = d, first, _hash(w, b, 3, seed)
            elif d < second:
                second = d
    joint = _smooth(0.04, 0.06 + 2 * soft, second - first)
    return _mix(_times(_pick(paint, 3), 0.5), _ramp(paint, tile), joint)
