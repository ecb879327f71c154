"""Procedural surface patterns: value noise and what is made of it.

A pattern is a function of the point in its solid's frame alone, so that every view sees the same paint. Edges are soft
over about the footprint of a pixel. Colours are linear RGB. Letters: (x, y, z) the point, (u, v) the point on the
unrolled surface; both in scene units.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

CLOUDS, WOOD, CHECKER, BRICKS, STRIPES, TERRAZZO, PLANKS, MOSAIC, DOTS = range(9)
FLAT_MAP, BOX_MAP, CYLINDER_MAP, SPHERE_MAP = range(4)

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")

_EDGE = 0.005  # softness of edges between colours, scene units


class Paints(NamedTuple):
    """What K solids are painted with.

    Attributes:
        pattern, mapping: (K,) int64, constants above.
        scale: (K,), size of the pattern's unit, scene units.
        radius: (K,), of the cylinder or sphere that the pattern is unrolled from, scene units.
        colors: (K, 4, 3), linear RGB.
        seed: (K,) int64.
        gloss: (K,), relative strength of highlights.
    """

    pattern: np.ndarray[Any, Any]
    mapping: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    radius: np.ndarray[Any, Any]
    colors: np.ndarray[Any, Any]
    seed: np.ndarray[Any, Any]
    gloss: np.ndarray[Any, Any]


@_jit
def _hash(i, j, k, seed):  # type: ignore[no-untyped-def]
    """A number in [0, 1) for each lattice point."""
    h = (i * 374761393 + j * 668265263 + k * 1274126177 + seed * 974634667) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 3266489917) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@_jit
def noise(x, y, z, seed):  # type: ignore[no-untyped-def]
    """Value noise in [0, 1], lattice of unit spacing, quintic blending."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    a, b, c = x - i, y - j, z - k
    i, j, k = int(i), int(j), int(k)
    a = a * a * a * (a * (a * 6 - 15) + 10)
    b = b * b * b * (b * (b * 6 - 15) + 10)
    c = c * c * c * (c * (c * 6 - 15) + 10)
    low = (_hash(i, j, k, seed) * (1 - a) + _hash(i + 1, j, k, seed) * a) * (1 - b) + (
        _hash(i, j + 1, k, seed) * (1 - a) + _hash(i + 1, j + 1, k, seed) * a
    ) * b
    high = (_hash(i, j, k + 1, seed) * (1 - a) + _hash(i + 1, j, k + 1, seed) * a) * (1 - b) + (
        _hash(i, j + 1, k + 1, seed) * (1 - a) + _hash(i + 1, j + 1, k + 1, seed) * a
    ) * b
    return low * (1 - c) + high * c


@_jit
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


@_jit
def _smooth(low, high, x):  # type: ignore[no-untyped-def]
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@_jit
def _unroll(mapping, s, radius, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """(u, v) of a surface point with its normal, and how many tiles of size s go round (even), or 0 where nothing does."""
    if mapping == BOX_MAP:
        if abs(nx) >= abs(ny) and abs(nx) >= abs(nz):
            return y, z, 0
        if abs(ny) >= abs(nz):
            return x, z, 0
        return x, y, 0
    if mapping == SPHERE_MAP or (mapping == CYLINDER_MAP and abs(nz) < 0.8):
        turns = 2 * max(1, int(math.floor(0.5 + math.pi * radius / s)))
        u = (math.atan2(y, x) / (2 * math.pi) + 0.5) * turns * s
        if mapping == CYLINDER_MAP:
            return u, z, turns
        return u, radius * math.atan2(z, math.sqrt(x * x + y * y)), turns
    return x, y, 0


@_jit
def _column(u, shift, turns):  # type: ignore[no-untyped-def]
    """Index of the tile, the same at both ends of a round, and the place in it."""
    a = u + shift
    column = math.floor(a)
    index = int(column)
    if turns > 0:
        index %= turns
    return index, a - column


@_jit
def _ramp(colors, t):  # type: ignore[no-untyped-def]
    """Through the four colours, t from 0 to 1."""
    t = min(max(t, 0.0), 1.0) * 2.9999
    i = int(t)
    f = _smooth(0.0, 1.0, t - i)
    return _mix(colors[i, 0], colors[i, 1], colors[i, 2], colors[i + 1, 0], colors[i + 1, 1], colors[i + 1, 2], f)


@_jit
def _mix(r, g, b, r2, g2, b2, t):  # type: ignore[no-untyped-def]
    return r + (r2 - r) * t, g + (g2 - g) * t, b + (b2 - b) * t


@_jit
def _tile_edge(s, t, soft_s, soft_t):  # type: ignore[no-untyped-def]
    """0 on the joint between unit tiles, 1 inside, from the place in the tile (0 to 1)."""
    ds, dt = min(s, 1 - s), min(t, 1 - t)
    return min(_smooth(soft_s, 3 * soft_s, ds), _smooth(soft_t, 3 * soft_t, dt))


@_jit
def _grain(colors, x, y, z, seed):  # type: ignore[no-untyped-def]
    """Wood: rings about the z axis, wobbling, with fibres along it."""
    wobble = noise(3 * x, 3 * y, 0.8 * z, seed) - 0.5
    ring = math.sqrt(x * x + y * y) * 14.0 + 5.0 * wobble + 0.6 * z
    late = ring - math.floor(ring)
    late = _smooth(0.1, 0.75, late) * (1 - _smooth(0.85, 1.0, late))
    fibre = noise(55 * x, 55 * y, 4 * z, seed + 3)
    return _ramp(colors, 0.12 + 0.55 * late + 0.45 * (fibre - 0.35))


@_jit
def albedo(paints, k, x, y, z, nx, ny, nz, texture):  # type: ignore[no-untyped-def]
    """Linear RGB reflectance of solid k at a point with a normal, both in its frame.

    `texture` is the share of the surface that is painted; the rest is of one colour, with a soft border between.
    """
    colors, seed, s = paints.colors[k], paints.seed[k], paints.scale[k]
    pattern = paints.pattern[k]
    r = 0.45 * colors[0, 0] + 0.25 * colors[1, 0] + 0.15 * colors[2, 0] + 0.15 * colors[3, 0]
    g = 0.45 * colors[0, 1] + 0.25 * colors[1, 1] + 0.15 * colors[2, 1] + 0.15 * colors[3, 1]
    b = 0.45 * colors[0, 2] + 0.25 * colors[1, 2] + 0.15 * colors[2, 2] + 0.15 * colors[3, 2]
    painted = 1.0
    if texture < 1.0:  # 0.2 to 0.8 is the range that two octaves fill
        field = 0.2 + 0.6 * texture
        painted = 1 - _smooth(field - 0.03, field + 0.03, fbm(1.7 * x, 1.7 * y, 1.7 * z, 2, seed + 40))
        if texture <= 0.0 or painted <= 0.0:
            return r, g, b
    fine = fbm(22 * x, 22 * y, 22 * z, 3, seed + 20)
    if pattern == CLOUDS:
        warp = fbm(2.5 * x / s, 2.5 * y / s, 2.5 * z / s, 3, seed)
        t = fbm(4 * x / s + 3 * warp, 4 * y / s, 4 * z / s - 3 * warp, 5, seed + 5)
        pr, pg, pb = _ramp(colors, 1.9 * (t - 0.5) + 0.5)
    elif pattern == WOOD:
        pr, pg, pb = _grain(colors, x / s + 0.35, z / s + 0.2, y / s, seed)
    elif pattern == TERRAZZO:
        pr, pg, pb = _terrazzo(colors, x / s, y / s, z / s, _EDGE / s, seed)
    else:
        u, v, turns = _unroll(paints.mapping[k], s, paints.radius[k], x, y, z, nx, ny, nz)
        pr, pg, pb = _tiled(pattern, colors, u, v, s, turns, x, y, z, seed)
    shade = 0.62 + 0.76 * fine
    pr, pg, pb = pr * shade, pg * shade, pb * shade
    return _mix(r, g, b, pr, pg, pb, painted)


@_jit
def _tiled(pattern, colors, u, v, s, turns, x, y, z, seed):  # type: ignore[no-untyped-def]
    """The patterns that live on the unrolled surface."""
    soft = _EDGE / s
    if pattern == CHECKER:
        wave = math.sin(math.pi * u / s) * math.sin(math.pi * v / s)
        t = _smooth(-2 * soft, 2 * soft, wave)
        aged = fbm(9 * x, 9 * y, 9 * z, 3, seed + 9)
        r, g, h = _mix(colors[0, 0], colors[0, 1], colors[0, 2], colors[1, 0], colors[1, 1], colors[1, 2], t)
        return _mix(r, g, h, colors[3, 0], colors[3, 1], colors[3, 2], 0.5 * _smooth(0.52, 0.8, aged))
    if pattern == BRICKS:
        row = math.floor(2 * v / s)
        column, across = _column(u / s, 0.5 * (row % 2), turns)
        joint = _tile_edge(across, 2 * v / s - row, 0.4 * soft + 0.012, 0.8 * soft + 0.024)
        tone = _hash(column, int(row), 5, seed)
        r, g, h = _ramp(colors, 0.7 * tone + 0.6 * (fbm(8 * x, 8 * y, 8 * z, 3, seed + 2) - 0.4))
        return _mix(colors[3, 0], colors[3, 1], colors[3, 2], r, g, h, joint)
    if pattern == PLANKS:
        row = math.floor(v / s)
        across = v / s - row
        column, along = _column(u / (5 * s), 4 * _hash(int(row), 3, 9, seed), 0)
        tone = _hash(column, int(row), 1, seed)
        joint = _tile_edge(along, across, 0.1 * soft + 0.002, 0.5 * soft + 0.01)
        r, g, h = _grain(colors, 0.5 * across * s + 3 * tone, 0.3 + 2 * z + 0.4 * tone, 0.6 * u + 9 * tone, seed)
        bright = (0.72 + 0.5 * tone) * (0.35 + 0.65 * joint)
        return r * bright, g * bright, h * bright
    if pattern == MOSAIC:
        return _mosaic(colors, u / s, v / s, turns, soft, seed)
    if pattern == DOTS:
        row = math.floor(v / s)
        column, across = _column(u / s, 0.5 * (row % 2), turns)
        da, db = across - 0.5, v / s - row - 0.5
        inside = 1 - _smooth(0.3 - soft, 0.3 + soft, math.sqrt(da * da + db * db))
        c = 1 + int(_hash(column, int(row), 7, seed) * 2.999)
        haze = 0.7 + 0.6 * fbm(6 * x, 6 * y, 6 * z, 3, seed + 4)
        r, g, h = _mix(colors[0, 0], colors[0, 1], colors[0, 2], colors[c, 0], colors[c, 1], colors[c, 2], inside)
        return r * haze, g * haze, h * haze
    # STRIPES, of random widths, wavy
    b = v / s + 0.35 * (fbm(3 * x, 3 * y, 3 * z, 2, seed + 6) - 0.5)
    band = math.floor(b)
    across = b - band
    i, j = int(_hash(int(band), 1, 2, seed) * 3.999), int(_hash(int(band) + 1, 1, 2, seed) * 3.999)
    t = _smooth(1 - 2 * soft, 1.0, across)
    thread = 0.8 + 0.4 * noise(40 * x, 40 * y, 110 * z, seed + 8)
    r, g, h = _mix(colors[i, 0], colors[i, 1], colors[i, 2], colors[j, 0], colors[j, 1], colors[j, 2], t)
    return r * thread, g * thread, h * thread


@_jit
def _terrazzo(colors, x, y, z, soft, seed):  # type: ignore[no-untyped-def]
    """Chips of three colours and two sizes in a light ground; a chip stays inside its cell."""
    r, g, b = colors[0, 0], colors[0, 1], colors[0, 2]
    for layer in range(3):
        rough = 0.3 * (noise(2.2 * x, 2.2 * y, 2.2 * z, seed + 30 + layer) - 0.5)
        i, j, k = math.floor(x), math.floor(y), math.floor(z)
        ii, jj, kk = int(i), int(j), int(k)
        h = _hash(ii, jj, kk, seed + 11 * layer)
        size = 0.24 + 0.2 * h
        cx = size + (1 - 2 * size) * _hash(ii, jj, kk, seed + 11 * layer + 1) - (x - i)
        cy = size + (1 - 2 * size) * _hash(ii, jj, kk, seed + 11 * layer + 2) - (y - j)
        cz = size + (1 - 2 * size) * _hash(ii, jj, kk, seed + 11 * layer + 3) - (z - k)
        # Between a ball and an octahedron: chips with flat sides.
        reach = 0.5 * math.sqrt(cx * cx + cy * cy + cz * cz) + 0.36 * (abs(cx) + abs(cy) + abs(cz))
        t = 1 - _smooth(-soft, soft, reach - (0.9 + rough) * size)
        c = 1 + int(h * 7919 % 3)
        tone = 0.75 + 0.5 * _hash(ii, jj, kk, seed + 11 * layer + 4)
        r, g, b = _mix(r, g, b, colors[c, 0] * tone, colors[c, 1] * tone, colors[c, 2] * tone, t)
        x, y, z, soft = 1.7 * x + 3.1, 1.7 * y + 1.7, 1.7 * z + 5.3, 1.7 * soft
    return r, g, b


@_jit
def _mosaic(colors, u, v, turns, soft, seed):  # type: ignore[no-untyped-def]
    """Voronoi tiles with joints."""
    i, j = math.floor(u), math.floor(v)
    first, second, tile = 9.0, 9.0, 0.0
    for di in range(-1, 2):
        for dj in range(-1, 2):
            a, b = int(i) + di, int(j) + dj
            w = a % turns if turns > 0 else a
            du = a + 0.15 + 0.7 * _hash(w, b, 1, seed) - u
            dv = b + 0.15 + 0.7 * _hash(w, b, 2, seed) - v
            d = math.sqrt(du * du + dv * dv)
            if d < first:
                first, second, tile = d, first, _hash(w, b, 3, seed)
            elif d < second:
                second = d
    joint = _smooth(0.04, 0.06 + 2 * soft, second - first)
    r, g, b = _ramp(colors, tile)
    return _mix(0.5 * colors[3, 0], 0.5 * colors[3, 1], 0.5 * colors[3, 2], r, g, b, joint)
