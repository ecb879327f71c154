"""Single pictures of things strewn on the ground, each with its class and mask: training data without end.

Solids, paint, sun, ground and camera are drawn from a seed and a number, so any picture can be made by itself. The
masks are exact at pixel centres. World: z up, the ground at z = 0, scene units about 20 cm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int32, UInt8

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import OptionError
from anyview.scene import _paint as paint
from anyview.scene import _sdf as sdf
from anyview.scene._stage import Builder, Floor, Stage, Thing, sunlight, turned
from anyview.scene.synthetic import develop, render_view
from anyview.typing import Pose

CLASSES = ("sphere", "box", "torus", "cylinder", "capsule", "cone")
"""What the things are; a cone has rounded ends."""

_GROUNDS = (  # pattern and scale
    (paint.GLAZE, 2.0),
    (paint.FAINT_WOOD, 0.7),
    (paint.CLOUDS, 1.0),
    (paint.PLANKS, 0.3),
    (paint.TERRAZZO, 0.25),
    (paint.MOSAIC, 0.3),
)
_PATTERNS = (paint.GLAZE, paint.CLOUDS, paint.CHECKER, paint.STRIPES, paint.DOTS, paint.TERRAZZO)
_REACH = 0.9  # of the middles of things around the world's origin
_FIELD_OF_VIEW = math.radians(42.0)  # across the picture's shorter side


@dataclass(frozen=True, eq=False)
class ThingsPicture:
    """A picture and what is in it.

    Attributes:
        rgb: 8-bit sRGB.
        instance: number of the thing at each pixel centre, from 1; 0 on the ground and in the sky.
        kinds: class of each thing, an index into `CLASSES`, also of those that are out of sight.
    """

    rgb: UInt8[np.ndarray, "H W 3"] = field(repr=False)
    instance: Int32[np.ndarray, "H W"] = field(repr=False)
    kinds: tuple[int, ...]


def render_things(seed: int, number: int, size: tuple[int, int] = (160, 160), most: int = 7) -> ThingsPicture:
    """One picture of things on the ground; the same arguments give the same bytes.

    Args:
        seed: of a series of pictures.
        number: of the picture in it.
        size: width and height, pixels.
        most: things at most, at least one.

    Raises:
        OptionError: a negative seed or number, no pixels, or no things.
    """
    if min(seed, number) < 0 or min(size) < 1 or most < 1:
        actual = f"seed {seed}, number {number}, {size[0]}x{size[1]}, {most} things"
        raise OptionError(
            "no such picture", expected="seed and number from 0, and at least 1x1 and one thing", actual=actual
        )
    rng = np.random.default_rng([seed, number, 23])
    builder, kinds = Builder(rng), []
    _ground(builder)
    floor = Floor(rng)
    for _ in range(int(rng.integers(1, most + 1))):
        kinds.append(_strew(builder, floor))
    width, height = size
    focal = 0.5 * min(size) / math.tan(0.5 * _FIELD_OF_VIEW)
    camera = Camera.pinhole(width, height, focal, focal, width / 2, height / 2)
    solids, instances = builder.solids()
    stage = Stage(
        solids,
        sunlight(rng, texture=rng.uniform(0.3, 1.0), specular=rng.uniform(0.0, 0.6), horizon=11.0),
        np.maximum(instances - 1, 0),  # the ground was the first
        target=np.zeros(3),
        radius=_REACH,
        elevations=(20.0, 75.0),
        axis=np.array([0.0, 0, 1]),
        bounds=np.array([[-2.0, -2, 0], [2, 2, 1]]),
    )
    linear, truth = render_view(stage, camera, _pose(rng))
    noise = float(rng.uniform(0, 0.02))
    return ThingsPicture(develop(linear, noise, 0.0, False, rng), truth.instance, tuple(kinds))


def _pose(rng: np.random.Generator) -> Pose:
    """A camera that looks down on the middle, roughly."""
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(22, 75))
    around = np.array([math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), 0.0])
    eye = rng.uniform(2.2, 3.8) * (around + np.array([0.0, 0, math.sin(elevation)]))
    aim = np.append(rng.normal(0, 0.15, 2), rng.uniform(0, 0.25))
    return look_at(eye, aim, np.array([0.0, 0, 1]))


def _ground(builder: Builder) -> None:
    """One of six patterns in shades of one colour; those that cost least are the most frequent."""
    rng = builder.rng
    pattern, scale = _GROUNDS[int(rng.choice(len(_GROUNDS), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]))]
    base = rng.uniform(0.25, 0.85, 3)
    colors = tuple(_hex(base * f) for f in rng.uniform(0.75, 1.15, 4))
    builder.add(Thing(sdf.PLANE, (), (14.0, 14.0, 0.01), pattern, colors, paint.FLAT_MAP, scale, gloss=0.2), (0, 0, 0))


@dataclass(frozen=True)
class _Shape:
    """A solid: its lengths, half sides of its box, how it is painted, and how high its middle is where it stands."""

    kind: int
    lengths: tuple[float, ...]
    extent: tuple[float, float, float]
    mapping: int
    stands: float
    lies: float


def _shape(name: str, s: float, a: float, b: float) -> _Shape:
    """A shape of about radius s; a and b are proportions from 1/2 to 1."""
    if name == "sphere":
        return _Shape(sdf.SPHERE, (s,), (s, s, s), paint.SPHERE_MAP, s, s)
    if name == "box":
        deep, high = a * s, b * s
        return _Shape(sdf.BOX, (s, deep, high, 0.06 * s), (s, deep, high), paint.BOX_MAP, high, deep)
    if name == "torus":
        tube = (0.2 + 0.2 * a) * s
        wide = s + tube
        return _Shape(sdf.TORUS, (s, tube), (wide, wide, tube), paint.BOX_MAP, tube, wide)
    if name == "cylinder":
        r, half = 0.7 * s, (2 * a - 0.6) * s
        return _Shape(sdf.CYLINDER, (r, half, 0.05 * s), (r, r, half), paint.CYLINDER_MAP, half, r)
    if name == "capsule":
        r, half = (0.3 + 0.2 * b) * s, (0.6 + 0.6 * a) * s
        return _Shape(sdf.CAPSULE, (r, half), (r, r, half + r), paint.CYLINDER_MAP, half + r, r)
    r, high = 0.75 * s, (1 + a) * s  # the origin is the middle of the lower, larger ball
    return _Shape(sdf.ROUND_CONE, (r, 0.25 * r, high), (r, r, high + 0.25 * r), paint.CYLINDER_MAP, r, r)


def _strew(builder: Builder, floor: Floor) -> int:
    """Put one thing of a random class on the ground, standing or lying, and say which."""
    rng = builder.rng
    kind = int(rng.integers(len(CLASSES)))
    shape = _shape(CLASSES[kind], rng.uniform(0.14, 0.34), *rng.uniform(0.5, 1.0, 2))
    lies = rng.random() < 0.4
    rotation = turned(2, rng.uniform(0, 2 * math.pi)) @ (turned(0, math.pi / 2) if lies else np.eye(3))
    colors = tuple(_hex(rng.uniform(0.05, 0.95, 3)) for _ in range(4))
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    thing = Thing(
        shape.kind, shape.lengths, shape.extent, pattern, colors, shape.mapping, rng.uniform(0.08, 0.2),
        shape.extent[0], rng.uniform(0.2, 1.4),
    )  # fmt: skip
    x, y = floor.place(max(shape.extent), 0.0, _REACH)
    builder.add(thing, (x, y, shape.lies if lies else shape.stands), rotation)
    return kind


def _hex(color: Float64[np.ndarray, "3"]) -> str:
    """Six hexadecimal digits of sRGB in [0, 1]."""
    return "".join(f"{round(255 * min(max(float(c), 0.0), 1.0)):02x}" for c in color)
