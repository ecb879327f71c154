"""Finishes with hardly any texture: glaze, plaster, plastic, lacquer, faint wood, and a printed label on plain ground.

What stereo gets from them is shading, noise and the label's edges. Letters as in `_paint`.
"""

from __future__ import annotations

import math

from anyview.scene._paint import (
    BOX_MAP,
    DECAL,
    EDGE,
    FAINT_WOOD,
    fbm,
    grain,
    jit,
    mix,
    pick,
    random,
    smooth,
    unroll,
)

_ROWS = 7  # of print on a label; the upper three are a picture
_LETTERS = 22  # of print in a row


@jit
def finish(paint, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Linear RGB of a finish: it drifts between the first two colours over lengths of `scale`."""
    seed, s = paint.seed, paint.scale
    if paint.pattern == FAINT_WOOD:
        return grain(paint, x / s + 0.35, z / s + 0.2, y / s, seed)
    if paint.pattern != DECAL:
        return mix(pick(paint, 0), pick(paint, 1), fbm(x / s, y / s, z / s, 2, seed))
    plain = mix(pick(paint, 0), pick(paint, 1), fbm(0.5 * x / s, 0.5 * y / s, 0.5 * z / s, 2, seed))
    u, v, turns = unroll(paint.mapping, s, paint.radius, x, y, z, nx, ny, nz)
    if turns == 0 and (paint.mapping != BOX_MAP or nx < 0.8):
        return plain  # lids, and the sides of a box that bear no label
    return _print(paint, (u - 0.5 * turns * s) / s, v / s, EDGE / s, plain, seed)


@jit
def _print(paint, a, b, soft, plain, seed):  # type: ignore[no-untyped-def]
    """A label of half width 1 and half height 0.75 around the origin: third colour, ink of the fourth."""
    width, height = abs(a), abs(b) / 0.75
    if width > 1 + soft or height > 1 + 2 * soft:
        return plain
    inside = smooth(-soft, soft, 1 - width) * smooth(-soft, soft, 0.75 * (1 - height))
    row, column = math.floor((0.75 - b) / 1.5 * _ROWS), math.floor((a + 1) / 2 * _LETTERS)
    if row < 3:  # a disc with a ring in it
        d = math.hypot(a, b - 0.36)
        ink = smooth(-soft, soft, 0.25 - d) * (1 - smooth(-soft, soft, 0.17 - d) * smooth(-soft, soft, d - 0.11))
    else:
        across = (0.75 - b) / 1.5 * _ROWS - row
        along = (a + 1) / 2 * _LETTERS - column
        word = random(int(row), int(column) // 4, 1, seed) < 0.75 and random(int(row), int(column), 2, seed) < 0.8
        ink = 0.0
        if word and width < 0.86:
            tall = 0.5 + 0.35 * random(int(row), int(column), 3, seed)
            ink = smooth(0.0, 2 * soft * _ROWS, across - 0.9 + tall) * smooth(0.0, soft * _ROWS, 0.9 - across)
            ink *= smooth(0.0, soft * _LETTERS, along) * smooth(0.0, soft * _LETTERS, 0.85 - along)
    return mix(plain, mix(pick(paint, 2), pick(paint, 3), ink), inside)
