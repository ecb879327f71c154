"""What stands in a procedural scene: solids, their paint, the light, and where cameras should be.

World: z up, the table's top (or the middle of a single thing) around z = 0, scene units about 20 cm. A seed chooses
colours, patterns, sizes, places and the sun.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.cameras.poses import look_at
from anyview.scene import _sdf as sdf
from anyview.scene import _textures as tex
from anyview.scene._light import LIGHT
from anyview.typing import Pose

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


@dataclass
class Stage:
    """What a view is rendered from, and how it wants to be looked at.

    Attributes:
        solids: (K,) of `SOLID`.
        light: `LIGHT`.
        instances: (K,) id of the thing that a solid belongs to, from 1.
        target: (3,) what cameras look at.
        radius: of the ball of interest around the target; cameras stand where it fills the picture.
        elevations: lowest and highest elevation of the cameras around `axis`, degrees.
        axis: (3,) unit, the middle of the cameras' hemisphere.
        bounds: (2, 3) box of the things.
    """

    solids: Any
    light: Any
    instances: Any
    target: Float64[np.ndarray, "3"]
    radius: float
    elevations: tuple[float, float]
    axis: Float64[np.ndarray, "3"]
    bounds: Float64[np.ndarray, "2 3"]


@dataclass
class _Thing:
    """One solid to be placed: everything but where."""

    kind: int
    size: tuple[float, ...]
    extent: tuple[float, float, float]
    pattern: int
    colors: tuple[str, ...]
    mapping: int = tex.BOX_MAP
    scale: float = 0.2
    radius: float = 1.0
    gloss: float = 1.0


@dataclass
class _Builder:
    rng: np.random.Generator
    rows: list[tuple[_Thing, Any, Any, int]] = field(default_factory=list)

    def add(self, thing: _Thing, center: Any, rotation: Any = None, instance: int = 0) -> None:
        """Put a thing at a place; without an instance it is a new one."""
        number = instance or 1 + max((row[3] for row in self.rows), default=0)
        matrix = np.eye(3) if rotation is None else np.asarray(rotation)
        self.rows.append((thing, np.asarray(center, np.float64), matrix, number))

    def solids(self) -> tuple[Any, Any]:
        """(K,) of `SOLID`, and (K,) instances."""
        solids = np.zeros(len(self.rows), sdf.SOLID)
        for solid, (thing, center, rotation, _) in zip(solids, self.rows, strict=True):
            for name in ("kind", "extent", "pattern", "mapping", "scale", "radius", "gloss"):
                solid[name] = getattr(thing, name)
            solid["size"][: len(thing.size)] = thing.size
            solid["rotation"], solid["center"], solid["ball"] = rotation.T, center, np.linalg.norm(thing.extent)
            solid["colors"], solid["seed"] = [_linear(c) for c in thing.colors], self.rng.integers(1, 1 << 20)
        return solids, np.array([row[3] for row in self.rows], np.int32)


def _linear(color: str) -> Float64[np.ndarray, "3"]:
    """Linear RGB of six hexadecimal digits of sRGB."""
    c = np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _turn(axis: int, angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation about a coordinate axis, radians."""
    c, s = math.cos(angle), math.sin(angle)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[a, a] = out[b, b] = c
    out[a, b], out[b, a] = -s, s
    return out


def _light(rng: np.random.Generator, texture: float, specular: float, horizon: float) -> Any:
    azimuth, height = rng.uniform(0, 2 * math.pi), rng.uniform(0.85, 1.0)
    sun = np.array([math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)])
    colors = (1.5, 1.35, 1.14), (0.51, 0.585, 0.7125), (0.372, 0.3, 0.24)  # sun, sky, ground
    return np.array([(sun, *colors, texture, specular, horizon)], LIGHT)[0]


def _still_life(rng: np.random.Generator, texture: float, specular: float, environment: bool) -> Stage:
    """Things on a round table."""
    b = _Builder(rng)
    light, dark, *hues = _THEMES[int(rng.integers(len(_THEMES)))]
    hues = [hues[i] for i in rng.permutation(len(hues))]
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    table = [
        _Thing(sdf.CYLINDER, (1.55, 0.07, 0.025), (1.55, 1.55, 0.07), tex.PLANKS, wood, tex.FLAT_MAP, 0.24, gloss=0.5),
        _Thing(
            sdf.CYLINDER,
            (1.55, 0.07, 0.025),
            (1.55, 1.55, 0.07),
            tex.TERRAZZO,
            (light, dark, hues[0], hues[1]),
            scale=0.3,
            gloss=0.7,
        ),
        _Thing(
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
        ground = _Thing(
            sdf.PLANE, (), (14.0, 14.0, 0.01), tex.BRICKS, ("8d8478", "a49a8c", "b8ae9f", "6f675e"), tex.FLAT_MAP, 0.8
        )
        b.add(ground, (0, 0, -0.14))
    _furnish(b, light, dark, hues, wood)
    solids, instances = b.solids()
    return Stage(
        solids,
        _light(rng, texture, specular, 11.0 if environment else 0.0),
        instances,
        target=np.array([0, 0, 0.12]),
        radius=1.6,
        elevations=(13.0, 62.0),
        axis=np.array([0.0, 0, 1]),
        bounds=np.array([[-1.55, -1.55, -0.14], [1.55, 1.55, 1.25]]),
    )


def _furnish(b: _Builder, light: str, dark: str, hues: list[str], wood: tuple[str, ...]) -> None:
    """Stand a tall thing near the middle of the table and the others around it, apart from each other."""
    rng = b.rng
    taken: list[tuple[float, float, float]] = []

    def place(foot: float, low: float, high: float) -> tuple[float, float]:
        """A free place whose distance from the middle is within limits; the roomiest of many tries."""
        best, room = (0.0, 0.0), -math.inf
        for _ in range(60):
            rho, phi = rng.uniform(low, high), rng.uniform(0, 2 * math.pi)
            x, y = rho * math.cos(phi), rho * math.sin(phi)
            gap = min((math.hypot(x - u, y - v) - foot - w for u, v, w in taken), default=0.0)
            if min(gap, 0.12) > room:
                best, room = (x, y), min(gap, 0.12)
        taken.append((*best, foot))
        return best

    spin = lambda: _turn(2, rng.uniform(0, 2 * math.pi))  # noqa: E731
    if rng.random() < 0.5:
        x, y = place(0.34, 0.0, 0.18)
        knot = _Thing(
            sdf.KNOT, (0.34, 0.135, 0.095), (0.58, 0.58, 0.24), tex.CLOUDS, (hues[0], hues[1], light, dark), scale=0.9
        )
        b.add(knot, (x, y, 0.565), spin() @ _turn(0, math.pi / 2))
    else:
        x, y = place(0.34, 0.0, 0.18)
        vase = _Thing(
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
    box = _Thing(
        sdf.BOX, (half, half, half, 0.035), (half,) * 3, tex.CHECKER, (light, hues[2], hues[3], dark), scale=half / 2.5
    )
    turn = rng.uniform(0, math.pi)
    b.add(box, (x, y, half), _turn(2, turn))
    small = half * 0.55
    cube = _Thing(sdf.BOX, (small, small, small, 0.02), (small,) * 3, tex.WOOD, wood, scale=0.7, gloss=0.6)
    b.add(cube, (x + 0.02, y - 0.02, 2 * half + small), _turn(2, turn + rng.uniform(0.3, 1.2)))
    width = rng.uniform(0.27, 0.31)
    x, y = place(width * 1.05, 0.7, 1.0)
    pumpkin = _Thing(
        sdf.PUMPKIN,
        (width, 0.8, 0.14),
        (width, width, width * 0.82),
        tex.CLOUDS,
        (hues[1], hues[0], light, hues[1]),
        scale=1.1,
    )
    rotation = spin()
    b.add(pumpkin, (x, y, width * 0.79), rotation)
    stem = _Thing(sdf.CAPSULE, (0.028, 0.06), (0.028, 0.028, 0.09), tex.WOOD, wood, scale=0.4, gloss=0.2)
    b.add(stem, (x, y, width * 1.5), rotation @ _turn(0, 0.25), instance=b.rows[-1][3])
    radius = rng.uniform(0.25, 0.29)
    x, y = place(radius, 0.7, 1.05)
    ball = _Thing(
        sdf.SPHERE,
        (radius,),
        (radius,) * 3,
        tex.STRIPES,
        (hues[4], light, hues[2], light),
        tex.SPHERE_MAP,
        0.09,
        radius,
    )
    b.add(ball, (x, y, radius), spin() @ _turn(0, rng.uniform(0.2, 0.9)))
    tube = rng.uniform(0.085, 0.105)
    x, y = place(0.28 + tube, 0.8, 1.08)
    ring = _Thing(
        sdf.TORUS,
        (0.27, tube),
        (0.27 + tube, 0.27 + tube, tube),
        tex.TERRAZZO,
        (light, hues[0], hues[3], dark),
        scale=0.13,
    )
    b.add(ring, (x, y, tube), spin())
    x, y = place(0.2, 0.75, 1.15)
    skittle = _Thing(
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
    drum = _Thing(
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
    pill = _Thing(
        sdf.CAPSULE,
        (0.1, 0.19),
        (0.1, 0.1, 0.29),
        tex.STRIPES,
        (hues[1], hues[4], light, dark),
        tex.CYLINDER_MAP,
        0.07,
        0.1,
    )
    b.add(pill, (x, y, 0.1), spin() @ _turn(1, math.pi / 2))
    for i in range(3):
        size = rng.uniform(0.065, 0.1)
        x, y = place(size, 0.4, 1.3)
        marble = _Thing(
            sdf.SPHERE, (size,), (size,) * 3, tex.CLOUDS, (hues[i], light, hues[i + 1], dark), scale=0.5, gloss=1.5
        )
        b.add(marble, (x, y, size), spin() @ _turn(0, 1.0))


def _single(thing: Callable[[tuple[str, ...], float], _Thing], tilt: float) -> Callable[..., Stage]:
    """A layout of one thing of radius about 1 around the origin."""

    def build(rng: np.random.Generator, texture: float, specular: float, environment: bool) -> Stage:
        b = _Builder(rng)
        light, dark, *hues = _THEMES[int(rng.integers(len(_THEMES)))]
        one = thing((hues[0], hues[1], light, dark), rng.uniform(0.9, 1.2))
        rotation = _turn(2, rng.uniform(0, 2 * math.pi)) @ _turn(0, tilt)
        b.add(one, (0, 0, 0), rotation)
        is_plane = one.kind == sdf.PLANE
        solids, instances = b.solids()
        reach = np.abs(rotation) @ np.minimum(one.extent, 3.0)
        return Stage(
            solids,
            _light(rng, texture, specular, 1e6 if environment else 0.0),
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
        lambda colors, scale: _Thing(sdf.PLANE, (), (60.0, 60.0, 1e-3), tex.CLOUDS, colors, scale=scale), 0.4
    ),
    "sphere": _single(
        lambda colors, scale: _Thing(sdf.SPHERE, (1.0,), (1.0,) * 3, tex.CLOUDS, colors, scale=scale), 0.3
    ),
    "box": _single(
        lambda colors, scale: _Thing(
            sdf.BOX, (0.8, 0.6, 0.45, 0.0), (0.8, 0.6, 0.45), tex.TERRAZZO, colors, scale=0.3 * scale
        ),
        0.0,
    ),
}


def camera_poses(stage: Stage, count: int, distance: float, rng: np.random.Generator) -> list[Pose]:
    """world_from_cam of cameras spread evenly over a band of the hemisphere (golden angle), with a little jitter."""
    up = stage.axis
    side = np.cross(up, [0.0, 1.0, 0.0] if abs(up[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    front = np.cross(up, side)
    low, high = (math.sin(math.radians(e)) for e in stage.elevations)
    start = rng.uniform(0, 2 * math.pi)
    poses = []
    for i in range(count):
        # The fraction runs so that neighbours in the list are no neighbours in height.
        sine = low + (high - low) * ((i + 0.5) / count)
        azimuth = start + i * math.pi * (3 - math.sqrt(5)) + rng.normal(0, 0.04)
        sine = min(max(sine + rng.normal(0, 0.012), low), high)
        cosine = math.sqrt(1 - sine * sine)
        direction = cosine * (math.cos(azimuth) * side + math.sin(azimuth) * front) + sine * up
        eye = stage.target + distance * rng.uniform(0.97, 1.04) * direction
        aim = stage.target + 0.03 * stage.radius * rng.normal(0, 1, 3)
        sky = np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.97 else np.array([0.0, 1.0, 0.0])
        poses.append(look_at(eye, aim, sky))
    return poses
