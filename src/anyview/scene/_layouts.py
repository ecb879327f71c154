"""What stands in a procedural scene: solids, their paint, the light, and where cameras should be.

World: z up, the table's top (or the middle of a single thing) around z = 0, scene units about 20 cm. A seed chooses
colours, patterns, sizes, places and the sun.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from anyview.scene import _paint as tex
from anyview.scene import _sdf as sdf
from anyview.scene._ceramics import ceramics
from anyview.scene._stage import Builder, Floor, Stage, Thing, camera_poses, sunlight, turned

__all__ = ["LAYOUTS", "Stage", "camera_poses"]

_THEMES = (  # each: a light, a dark, and five hues
    ("f3e6d0", "2b2a33", "c8553d", "e9a23b", "2f6f8f", "6f9a76", "8c4a5f"),
    ("f7f1e3", "1f2d3a", "e4572e", "f3a712", "29688c", "a8c686", "669bbc"),
    ("efe9e1", "3a2e39", "b6465f", "d8a47f", "1e555c", "f4d35e", "6b9080"),
    ("f6efe6", "22313f", "d1495b", "edae49", "00798c", "66a182", "7d5ba6"),
    ("fbf3e4", "332a29", "a63d40", "e9b872", "5b8e7d", "4a6fa5", "bc6c8f"),
)
_WOODS = (  # dark to light
    ("7a4a24", "a8713c", "cd9a5e", "e6c08c"),
    ("80603f", "a98660", "cfae83", "ead2ae"),
    ("5a3a24", "86562f", "ab7844", "cfa26b"),
)


def _still_life(rng: np.random.Generator, texture: float, specular: float, environment: bool) -> Stage:
    """Things on a round table."""
    b = Builder(rng)
    light, dark, *hues = _THEMES[int(rng.integers(len(_THEMES)))]
    hues = [hues[i] for i in rng.permutation(len(hues))]
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    table = [
        Thing(sdf.CYLINDER, (1.55, 0.07, 0.025), (1.55, 1.55, 0.07), tex.PLANKS, wood, tex.FLAT_MAP, 0.24, gloss=0.5),
        Thing(
            sdf.CYLINDER,
            (1.55, 0.07, 0.025),
            (1.55, 1.55, 0.07),
            tex.TERRAZZO,
            (light, dark, hues[0], hues[1]),
            scale=0.3,
            gloss=0.7,
        ),
        Thing(
            sdf.CYLINDER,
            (1.55, 0.07, 0.025),
            (1.55, 1.55, 0.07),
            tex.MOSAIC,
            (hues[0], hues[3], light, "b9ad9c"),
            tex.FLAT_MAP,
            0.2,
        ),
    ][int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    b.add(table, (0, 0, -0.07))
    if environment:
        ground = Thing(
            sdf.PLANE, (), (14.0, 14.0, 0.01), tex.BRICKS, ("8d8478", "a49a8c", "b8ae9f", "6f675e"), tex.FLAT_MAP, 0.8
        )
        b.add(ground, (0, 0, -0.14))
    _furnish(b, light, dark, hues, wood)
    solids, instances = b.solids()
    return Stage(
        solids,
        sunlight(rng, texture, specular, 11.0 if environment else 0.0),
        instances,
        target=np.array([0, 0, 0.12]),
        radius=1.6,
        elevations=(13.0, 62.0),
        axis=np.array([0.0, 0, 1]),
        bounds=np.array([[-1.55, -1.55, -0.14], [1.55, 1.55, 1.25]]),
    )


def _furnish(b: Builder, light: str, dark: str, hues: list[str], wood: tuple[str, ...]) -> None:
    """Stand a tall thing near the middle of the table and the others around it, apart from each other."""
    rng = b.rng
    place = Floor(rng).place
    spin = lambda: turned(2, rng.uniform(0, 2 * math.pi))  # noqa: E731
    if rng.random() < 0.5:
        x, y = place(0.34, 0.0, 0.18)
        knot = Thing(
            sdf.KNOT, (0.34, 0.135, 0.095), (0.58, 0.58, 0.24), tex.CLOUDS, (hues[0], hues[1], light, dark), scale=0.9
        )
        b.add(knot, (x, y, 0.565), spin() @ turned(0, math.pi / 2))
    else:
        x, y = place(0.34, 0.0, 0.18)
        vase = Thing(
            sdf.VASE,
            (0.31, 0.5, 0.09, 7.0),
            (0.36, 0.36, 0.5),
            tex.STRIPES,
            (hues[0], light, hues[1], hues[4]),
            tex.CYLINDER_MAP,
            0.085,
            0.3,
        )
        b.add(vase, (x, y, 0.5), spin())
    half = rng.uniform(0.2, 0.24)
    x, y = place(half * 1.35, 0.75, 1.05)
    box = Thing(
        sdf.BOX, (half, half, half, 0.035), (half,) * 3, tex.CHECKER, (light, hues[2], hues[3], dark), scale=half / 2.5
    )
    turn = rng.uniform(0, math.pi)
    b.add(box, (x, y, half), turned(2, turn))
    small = half * 0.55
    cube = Thing(sdf.BOX, (small, small, small, 0.02), (small,) * 3, tex.WOOD, wood, scale=0.7, gloss=0.6)
    b.add(cube, (x + 0.02, y - 0.02, 2 * half + small), turned(2, turn + rng.uniform(0.3, 1.2)))
    width = rng.uniform(0.27, 0.31)
    x, y = place(width * 1.05, 0.7, 1.0)
    pumpkin = Thing(
        sdf.PUMPKIN,
        (width, 0.8, 0.14),
        (width, width, width * 0.82),
        tex.CLOUDS,
        (hues[1], hues[0], light, hues[1]),
        scale=1.1,
    )
    rotation = spin()
    b.add(pumpkin, (x, y, width * 0.79), rotation)
    stem = Thing(sdf.CAPSULE, (0.028, 0.06), (0.028, 0.028, 0.09), tex.WOOD, wood, scale=0.4, gloss=0.2)
    b.add(stem, (x, y, width * 1.5), rotation @ turned(0, 0.25), instance=b.rows[-1][3])
    radius = rng.uniform(0.25, 0.29)
    x, y = place(radius, 0.7, 1.05)
    ball = Thing(
        sdf.SPHERE,
        (radius,),
        (radius,) * 3,
        tex.STRIPES,
        (hues[4], light, hues[2], light),
        tex.SPHERE_MAP,
        0.09,
        radius,
    )
    b.add(ball, (x, y, radius), spin() @ turned(0, rng.uniform(0.2, 0.9)))
    tube = rng.uniform(0.085, 0.105)
    x, y = place(0.28 + tube, 0.8, 1.08)
    ring = Thing(
        sdf.TORUS,
        (0.27, tube),
        (0.27 + tube, 0.27 + tube, tube),
        tex.TERRAZZO,
        (light, hues[0], hues[3], dark),
        scale=0.13,
    )
    b.add(ring, (x, y, tube), spin())
    x, y = place(0.2, 0.75, 1.15)
    skittle = Thing(
        sdf.ROUND_CONE,
        (0.2, 0.09, 0.36),
        (0.2, 0.2, 0.45),
        tex.DOTS,
        (hues[3], light, hues[1], hues[0]),
        tex.CYLINDER_MAP,
        0.115,
        0.17,
    )
    b.add(skittle, (x, y, 0.2), spin())
    x, y = place(0.15, 0.8, 1.2)
    drum = Thing(
        sdf.CYLINDER,
        (0.15, 0.2, 0.03),
        (0.15, 0.15, 0.2),
        tex.BRICKS,
        (hues[2], hues[4], hues[0], light),
        tex.CYLINDER_MAP,
        0.13,
        0.15,
    )
    b.add(drum, (x, y, 0.2), spin())
    x, y = place(0.26, 0.7, 1.1)
    pill = Thing(
        sdf.CAPSULE,
        (0.1, 0.19),
        (0.1, 0.1, 0.29),
        tex.STRIPES,
        (hues[1], hues[4], light, dark),
        tex.CYLINDER_MAP,
        0.07,
        0.1,
    )
    b.add(pill, (x, y, 0.1), spin() @ turned(1, math.pi / 2))
    for i in range(3):
        size = rng.uniform(0.065, 0.1)
        x, y = place(size, 0.4, 1.3)
        marble = Thing(
            sdf.SPHERE, (size,), (size,) * 3, tex.CLOUDS, (hues[i], light, hues[i + 1], dark), scale=0.5, gloss=1.5
        )
        b.add(marble, (x, y, size), spin() @ turned(0, 1.0))


def _single(thing: Callable[[tuple[str, ...], float], Thing], tilt: float) -> Callable[..., Stage]:
    """A layout of one thing of radius about 1 around the origin."""

    def build(rng: np.random.Generator, texture: float, specular: float, environment: bool) -> Stage:
        b = Builder(rng)
        light, dark, *hues = _THEMES[int(rng.integers(len(_THEMES)))]
        one = thing((hues[0], hues[1], light, dark), rng.uniform(0.9, 1.2))
        rotation = turned(2, rng.uniform(0, 2 * math.pi)) @ turned(0, tilt)
        b.add(one, (0, 0, 0), rotation)
        is_plane = one.kind == sdf.PLANE
        solids, instances = b.solids()
        reach = np.abs(rotation) @ np.minimum(one.extent, 3.0)
        return Stage(
            solids,
            sunlight(rng, texture, specular, 1e6 if environment else 0.0),
            instances,
            target=np.zeros(3),
            radius=1.15,
            elevations=(58.0, 80.0) if is_plane else (8.0, 65.0),
            axis=rotation[:, 2] if is_plane else np.array([0.0, 0, 1]),
            bounds=np.stack([-reach, reach]),
        )

    return build


LAYOUTS: dict[str, Callable[..., Stage]] = {
    "still_life": _still_life,
    "plane": _single(
        lambda colors, scale: Thing(sdf.PLANE, (), (60.0, 60.0, 1e-3), tex.CLOUDS, colors, scale=scale), 0.4
    ),
    "sphere": _single(
        lambda colors, scale: Thing(sdf.SPHERE, (1.0,), (1.0,) * 3, tex.CLOUDS, colors, scale=scale), 0.3
    ),
    "box": _single(
        lambda colors, scale: Thing(
            sdf.BOX, (0.8, 0.6, 0.45, 0.0), (0.8, 0.6, 0.45), tex.TERRAZZO, colors, scale=0.3 * scale
        ),
        0.0,
    ),
    "ceramics": ceramics,
}
