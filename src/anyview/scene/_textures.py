"""Procedural surface patterns: what can be seen from afar, and told apart by stereo.

A pattern is a function of the point in its solid's frame alone, so that every view sees the same paint. Edges are soft
over about the footprint of a pixel. Colours are linear RGB. Letters: (x, y, z) the point, (u, v) the point on the
unrolled surface; both in scene units.
"""

from __future__ import annotations

import math

from anyview.scene._finishes import finish
from anyview.scene._paint import (
    BRICKS,
    CHECKER,
    CLOUDS,
    DOTS,
    EDGE,
    GLAZE,
    MOSAIC,
    PLANKS,
    TERRAZZO,
    WOOD,
    column_of,
    fbm,
    grain,
    jit,
    mix,
    noise,
    pick,
    ramp,
    random,
    smooth,
    times,
    unroll,
)


@jit
def _tile_edge(s, t, soft_s, soft_t):  # type: ignore[no-untyped-def]
    """0 on the joint between unit tiles, 1 inside, from the place in the tile (0 to 1)."""
    ds, dt = min(s, 1 - s), min(t, 1 - t)
    return min(smooth(soft_s, 3 * soft_s, ds), smooth(soft_t, 3 * soft_t, dt))


@jit
def albedo(paint, x, y, z, nx, ny, nz, texture):  # type: ignore[no-untyped-def]
    """Linear RGB reflectance of a solid at a point with a normal, both in its frame.

    `texture` is the share of the surface that is painted; the rest is of one colour, with a soft border between.
    """
    pattern, seed, s = paint.pattern, paint.seed, paint.scale
    painted, plain = 1.0, (0.0, 0.0, 0.0)
    if texture < 1.0:  # two octaves of noise fill the range from 0.2 to 0.8
        plain = mix(mix(pick(paint, 0), pick(paint, 1), 0.35), pick(paint, 2), 0.2)
        field = 0.2 + 0.6 * texture
        painted = 1 - smooth(field - 0.03, field + 0.03, fbm(1.7 * x, 1.7 * y, 1.7 * z, 2, seed + 40))
        if texture <= 0.0 or painted <= 0.0:
            return plain
    if pattern >= GLAZE:
        return mix(plain, finish(paint, x, y, z, nx, ny, nz), painted)
    if pattern == CLOUDS:
        warp = fbm(2.5 * x / s, 2.5 * y / s, 2.5 * z / s, 2, seed)
        t = fbm(4 * x / s + 3 * warp, 4 * y / s, 4 * z / s - 3 * warp, 4, seed + 5)
        color = ramp(paint, 1.9 * (t - 0.5) + 0.5)
    elif pattern == WOOD:
        color = grain(paint, x / s + 0.35, z / s + 0.2, y / s, seed)
    elif pattern == TERRAZZO:
        color = _terrazzo(paint, x / s, y / s, z / s, EDGE / s, seed)
    else:
        u, v, turns = unroll(paint.mapping, s, paint.radius, x, y, z, nx, ny, nz)
        color = _tiled(paint, u, v, turns, x, y, z)
    fine = fbm(22 * x, 22 * y, 22 * z, 3, seed + 20)
    return mix(plain, times(color, 0.62 + 0.76 * fine), painted)


@jit
def _tiled(paint, u, v, turns, x, y, z):  # type: ignore[no-untyped-def]
    """The patterns that live on the unrolled surface."""
    pattern, seed, s = paint.pattern, paint.seed, paint.scale
    soft = EDGE / s
    cloud = fbm(8 * x, 8 * y, 8 * z, 3, seed + 2)
    if pattern == CHECKER:
        wave = math.sin(math.pi * u / s) * math.sin(math.pi * v / s)
        color = mix(pick(paint, 0), pick(paint, 1), smooth(-2 * soft, 2 * soft, wave))
        aged = 0.5 * smooth(0.52, 0.8, cloud)
        return mix(color, pick(paint, 3), aged)
    if pattern == BRICKS:
        row = math.floor(2 * v / s)
        column, across = column_of(u / s, 0.5 * (row % 2), turns)
        joint = _tile_edge(across, 2 * v / s - row, 0.4 * soft + 0.012, 0.8 * soft + 0.024)
        tone = 0.7 * random(column, int(row), 5, seed) + 0.6 * (cloud - 0.4)
        return mix(pick(paint, 3), ramp(paint, tone), joint)
    if pattern == PLANKS:
        row = math.floor(v / s)
        across = v / s - row
        column, along = column_of(u / (5 * s), 4 * random(int(row), 3, 9, seed), 0)
        tone = random(column, int(row), 1, seed)
        joint = _tile_edge(along, across, 0.1 * soft + 0.002, 0.5 * soft + 0.01)
        color = grain(paint, 0.5 * across * s + 3 * tone, 0.3 + 2 * z + 0.4 * tone, 0.6 * u + 9 * tone, seed)
        return times(color, (0.72 + 0.5 * tone) * (0.35 + 0.65 * joint))
    if pattern == MOSAIC:
        return _mosaic(paint, u / s, v / s, turns, soft, seed)
    if pattern == DOTS:
        row = math.floor(v / s)
        column, across = column_of(u / s, 0.5 * (row % 2), turns)
        da, db = across - 0.5, v / s - row - 0.5
        inside = 1 - smooth(0.3 - soft, 0.3 + soft, math.sqrt(da * da + db * db))
        color = pick(paint, 1 + int(random(column, int(row), 7, seed) * 2.999))
        return times(mix(pick(paint, 0), color, inside), 0.7 + 0.6 * cloud)
    # STRIPES, of random colours, wavy; neighbours differ
    b = v / s + 0.35 * (fbm(3 * x, 3 * y, 3 * z, 2, seed + 6) - 0.5)
    band = math.floor(b)
    here, there = _stripe(int(band), seed), _stripe(int(band) + 1, seed)
    thread = 0.8 + 0.4 * noise(40 * x, 40 * y, 110 * z, seed + 8)
    color = mix(pick(paint, here), pick(paint, there), smooth(1 - 2 * soft, 1.0, b - band))
    return times(color, thread)


@jit
def _stripe(band, seed):  # type: ignore[no-untyped-def]
    """Index of the colour of a stripe: even ones take the first or the third colour, odd ones the others."""
    return band % 2 + 2 * int(random(band, 1, 2, seed) < 0.5)


@jit
def _terrazzo(paint, x, y, z, soft, seed):  # type: ignore[no-untyped-def]
    """Chips of three colours and three sizes in a ground of the first colour; a chip stays inside its cell."""
    color = pick(paint, 0)
    for layer in range(3):
        # Each layer is finer than the last and turned, so that no rows of cells show.
        x, y, z, soft = 1.05 * x + 0.9 * y + 0.4, 1.05 * y - 0.9 * x + 0.3 * z, 1.35 * z - 0.3 * y + 5.3, 1.4 * soft
        rough = 0.5 * (noise(3.1 * x, 3.1 * y, 3.1 * z, seed + 30 + layer) - 0.5)
        i, j, m = math.floor(x), math.floor(y), math.floor(z)
        first = seed + 11 * layer
        h = random(i, j, m, first)
        size = 0.24 + 0.2 * h
        cx = size + (1 - 2 * size) * random(i, j, m, first + 1) - (x - i)
        cy = size + (1 - 2 * size) * random(i, j, m, first + 2) - (y - j)
        cz = size + (1 - 2 * size) * random(i, j, m, first + 3) - (z - m)
        # Between a ball and an octahedron: chips with flat sides.
        reach = 0.5 * math.sqrt(cx * cx + cy * cy + cz * cz) + 0.36 * (abs(cx) + abs(cy) + abs(cz))
        inside = 1 - smooth(-soft, soft, reach - (0.9 + rough) * size)
        chip = times(pick(paint, 1 + int(h * 7919 % 3)), 0.75 + 0.5 * random(i, j, m, first + 4))
        color = mix(color, chip, inside)
    return color


@jit
def _mosaic(paint, u, v, turns, soft, seed):  # type: ignore[no-untyped-def]
    """Voronoi tiles with joints."""
    i, j = math.floor(u), math.floor(v)
    first, second, tile = 9.0, 9.0, 0.0
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            w = a % turns if turns > 0 else a
            du = a + 0.15 + 0.7 * random(w, b, 1, seed) - u
            dv = b + 0.15 + 0.7 * random(w, b, 2, seed) - v
            d = math.sqrt(du * du + dv * dv)
            if d < first:
                first, second, tile = d, first, random(w, b, 3, seed)
            elif d < second:
                second = d
    joint = smooth(0.04, 0.06 + 2 * soft, second - first)
    return mix(times(pick(paint, 3), 0.5), ramp(paint, tile), joint)
