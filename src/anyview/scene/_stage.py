"""What a procedural scene is put together from: things with their paint, free places, light, and where cameras stand.

World: z up, scene units about 20 cm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.cameras.poses import look_at
from anyview.scene import _paint as paint
from anyview.scene import _sdf as sdf
from anyview.scene._light import LIGHT
from anyview.typing import Pose


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
class Thing:
    """One solid to be placed: everything but where."""

    kind: int
    size: tuple[float, ...]
    extent: tuple[float, float, float]
    pattern: int
    colors: tuple[str, ...]
    mapping: int = paint.BOX_MAP
    scale: float = 0.2
    radius: float = 1.0
    gloss: float = 1.0


@dataclass
class Builder:
    rng: np.random.Generator
    rows: list[tuple[Thing, Any, Any, int]] = field(default_factory=list)

    def add(self, thing: Thing, center: Any, rotation: Any = None, instance: int = 0) -> None:
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


def turned(axis: int, angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation about a coordinate axis, radians."""
    c, s = math.cos(angle), math.sin(angle)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[a, a] = out[b, b] = c
    out[a, b], out[b, a] = -s, s
    return out


def sunlight(rng: np.random.Generator, texture: float, specular: float, horizon: float) -> Any:
    azimuth, height = rng.uniform(0, 2 * math.pi), rng.uniform(0.85, 1.0)
    sun = np.array([math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)])
    colors = (1.5, 1.35, 1.14), (0.51, 0.585, 0.7125), (0.372, 0.3, 0.24)  # sun, sky, ground
    return np.array([(sun, *colors, texture, specular, horizon)], LIGHT)[0]


class Floor:
    """Free places on a floor around the origin, apart from each other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._taken: list[tuple[float, float, float]] = []

    def place(self, foot: float, low: float, high: float) -> tuple[float, float]:
        """A free place for a foot of this radius, at a distance from the middle within limits; the roomiest of many."""
        best, room = (0.0, 0.0), -math.inf
        for _ in range(60):
            rho, phi = self._rng.uniform(low, high), self._rng.uniform(0, 2 * math.pi)
            x, y = rho * math.cos(phi), rho * math.sin(phi)
            gap = min((math.hypot(x - u, y - v) - foot - w for u, v, w in self._taken), default=0.0)
            if min(gap, 0.12) > room:
                best, room = (x, y), min(gap, 0.12)
        self._taken.append((*best, foot))
        return best


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
