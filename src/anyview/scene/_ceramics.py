"""The layout "ceramics": glazed and plain things whose surface shows stereo little but shading, highlights and edges.

Everyday things that photographs are taken of: glazed jar, mug and bowl, a plaster bust, smooth plastic, a painted tin
and a carton with printed labels, on a table with faint grain. Colours of a surface drift by a few grey levels only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anyview.scene import _paint as paint
from anyview.scene import _sdf as sdf
from anyview.scene import _shells as shells
from anyview.scene._stage import Builder, Floor, Stage, Thing, sunlight, turned

_GLAZES = ("ece8dd", "a9c3b0", "38598f", "c98a4b", "7b2f33", "8fb3c9", "d8c7a8", "4c4f55")
_PLASTICS = ("d84a3a", "e9b93a", "3f8f6b", "3d6fb3", "e8e8ea", "77569b")
_PLASTERS = ("e8e4db", "ded8cc", "d9d6d2")
_BOARDS = ("b98a5c", "d2ac7c", "8d6544", "c9c2b4")
_LABELS = (("f2ede0", "22313f"), ("f3e2a9", "7b2f33"), ("e9eef0", "1e555c"))
_DRIFT = 0.965  # of sRGB, from a finish's first colour to its second


def ceramics(rng: np.random.Generator, texture: float, specular: float, environment: bool) -> Stage:
    """Glazed, plain and printed things on a table."""
    b, floor = Builder(rng), Floor(rng)
    board = _BOARDS[int(rng.integers(len(_BOARDS)))]
    grain = tuple(_darker(board, 1 - i * (1 - _DRIFT) / 3) for i in range(4))
    table = Thing(
        sdf.CYLINDER, (1.35, 0.05, 0.02), (1.35, 1.35, 0.05), paint.FAINT_WOOD, grain, paint.FLAT_MAP, 0.7, gloss=0.4
    )
    b.add(table, (0, 0, -0.05))
    if environment:
        ground = Thing(sdf.PLANE, (), (14.0, 14.0, 0.01), paint.GLAZE, _drift("a49a8c"), scale=2.0, gloss=0.0)
        b.add(ground, (0, 0, -0.1))
    glazes = [_GLAZES[i] for i in rng.permutation(len(_GLAZES))]
    plastics = [_PLASTICS[i] for i in rng.permutation(len(_PLASTICS))]
    labels = [_LABELS[i] for i in rng.permutation(len(_LABELS))]
    _jar(b, floor, glazes[0])
    _bust(b, floor, _PLASTERS[int(rng.integers(len(_PLASTERS)))])
    _carton(b, floor, glazes[1] if rng.random() < 0.5 else "eae6de", labels[0])
    _tin(b, floor, glazes[2], labels[1])
    _mug(b, floor, glazes[3], labels[2][1])
    _bowl(b, floor, glazes[4])
    _plastic(b, floor, plastics)
    solids, instances = b.solids()
    return Stage(
        solids,
        sunlight(rng, texture, specular, 11.0 if environment else 0.0),
        instances,
        target=np.array([0, 0, 0.15]),
        radius=1.42,
        elevations=(13.0, 62.0),
        axis=np.array([0.0, 0, 1]),
        bounds=np.array([[-1.35, -1.35, -0.1], [1.35, 1.35, 1.3]]),
    )


def _darker(color: str, factor: float) -> str:
    """Six hexadecimal digits of sRGB, each channel times a factor."""
    return "".join(f"{round(int(color[i : i + 2], 16) * factor):02x}" for i in (0, 2, 4))


def _drift(color: str, paper: str = "ffffff", ink: str = "000000") -> tuple[str, ...]:
    """A finish's four colours: the ground from one to the other, a label's paper and its ink."""
    return color, _darker(color, _DRIFT), paper, ink


def _spin(b: Builder) -> Any:
    return turned(2, b.rng.uniform(0, 2 * math.pi))


def _jar(b: Builder, floor: Floor, color: str) -> None:
    """A big glazed jar with a lid and a knob on it."""
    width, half = b.rng.uniform(0.3, 0.34), b.rng.uniform(0.42, 0.48)
    x, y = floor.place(width * 1.02, 0.0, 0.2)
    rotation, colors = _spin(b), _drift(color)
    body = Thing(
        sdf.VASE, (width, half, 0.0, 0.0), (width * 1.05, width * 1.05, half), paint.GLAZE, colors, scale=0.5, gloss=1.4
    )
    b.add(body, (x, y, half), rotation)
    mouth = width * (0.78 + 0.24 * math.sin(3.5))  # where the belly's curve ends
    number = b.rows[-1][3]
    lid = Thing(
        shells.BOWL, (mouth * 1.3, -mouth * 0.8, 0.018), (mouth * 1.4,) * 3, paint.GLAZE, colors, scale=0.5, gloss=1.4
    )
    b.add(lid, (x, y, 2 * half - 0.8 * mouth + 0.015), turned(0, math.pi), instance=number)
    knob = Thing(sdf.SPHERE, (0.05,), (0.05,) * 3, paint.GLAZE, colors, scale=0.5, gloss=1.4)
    b.add(knob, (x, y, 2 * half + 0.5 * mouth + 0.07), instance=number)


def _bust(b: Builder, floor: Floor, color: str) -> None:
    """A plaster bust on a round foot, matt."""
    size = b.rng.uniform(0.36, 0.42)
    x, y = floor.place(size * 0.75, 0.65, 0.95)
    rotation = _spin(b)
    foot = Thing(
        sdf.CYLINDER, (size * 0.4, 0.06, 0.012), (size * 0.4, size * 0.4, 0.06), paint.GLAZE, _drift(color), scale=0.6
    )
    foot.gloss = 0.02
    b.add(foot, (x, y, 0.06), rotation)
    bust = Thing(
        shells.BUST, (size,), (size * 0.7, size * 0.75, size * 1.1), paint.GLAZE, _drift(color), scale=0.6, gloss=0.02
    )
    b.add(bust, (x, y, 0.06 + size * 1.06), rotation, instance=b.rows[-1][3])


def _carton(b: Builder, floor: Floor, color: str, label: tuple[str, str]) -> None:
    """A carton with large plain sides; one of them bears a label."""
    half = np.array([b.rng.uniform(0.16, 0.2), b.rng.uniform(0.26, 0.32), b.rng.uniform(0.3, 0.36)])
    x, y = floor.place(float(np.hypot(half[0], half[1])), 0.7, 0.95)
    box = Thing(sdf.BOX, (*half, 0.008), tuple(half), paint.DECAL, _drift(color, *label), scale=0.17, gloss=0.15)
    b.add(box, (x, y, half[2]), _spin(b))


def _tin(b: Builder, floor: Floor, color: str, label: tuple[str, str]) -> None:
    """A painted tin with beaded rims and a label."""
    radius, half = b.rng.uniform(0.17, 0.2), b.rng.uniform(0.2, 0.26)
    x, y = floor.place(radius * 1.1, 0.7, 1.05)
    rotation, colors = _spin(b), _drift(color, *label)
    body = Thing(
        sdf.CYLINDER,
        (radius, half, 0.006),
        (radius, radius, half),
        paint.DECAL,
        colors,
        paint.CYLINDER_MAP,
        0.16,
        radius,
        1.1,
    )
    b.add(body, (x, y, half), rotation)
    for z in (0.014, 2 * half - 0.004):
        rim = Thing(sdf.TORUS, (radius, 0.014), (radius + 0.014, radius + 0.014, 0.014), paint.GLAZE, colors, scale=0.4)
        b.add(rim, (x, y, z), rotation, instance=b.rows[-1][3])


def _mug(b: Builder, floor: Floor, color: str, ink: str) -> None:
    """A glazed mug with a handle and print on its wall."""
    low, rim, half, wall = b.rng.uniform(0.15, 0.17), b.rng.uniform(0.17, 0.2), b.rng.uniform(0.17, 0.2), 0.017
    x, y = floor.place(rim + 0.12, 0.65, 1.0)
    rotation, colors = _spin(b), _drift(color, color, ink if color != ink else "f3e2a9")
    wide = max(low, rim) + wall
    cup = Thing(
        shells.CUP,
        (low, half, wall, rim),
        (wide, wide, half + wall),
        paint.DECAL,
        colors,
        paint.CYLINDER_MAP,
        0.12,
        0.5 * (low + rim),
        1.4,
    )
    b.add(cup, (x, y, half + wall), rotation)
    arc, tube = 0.62 * half, 0.026
    handle = Thing(
        shells.HANDLE, (arc, tube, 1.75), (arc + tube, arc + tube, tube), paint.GLAZE, colors, scale=0.5, gloss=1.4
    )
    # The ends stop just outside the middle of the wall: they come out of it nowhere inside.
    away = 0.5 * (low + rim) + 0.016 + arc * 0.18
    center = np.array([x, y, half + wall]) + rotation @ np.array([0.0, away, 0.0])
    b.add(handle, center, rotation @ turned(2, math.pi / 2) @ turned(0, math.pi / 2), instance=b.rows[-1][3])


def _bowl(b: Builder, floor: Floor, color: str) -> None:
    """A glazed bowl on a foot ring."""
    radius = b.rng.uniform(0.27, 0.31)
    x, y = floor.place(radius * 1.05, 0.65, 1.0)
    rotation, colors = _spin(b), _drift(color)
    wide = radius + 0.016
    bowl = Thing(
        shells.BOWL, (radius, -0.15 * radius, 0.016), (wide, wide, wide), paint.GLAZE, colors, scale=0.5, gloss=1.4
    )
    b.add(bowl, (x, y, radius + 0.03), rotation)
    foot = Thing(
        sdf.CYLINDER, (radius * 0.42, 0.03, 0.008), (radius * 0.42, radius * 0.42, 0.03), paint.GLAZE, colors, scale=0.5
    )
    b.add(foot, (x, y, 0.03), rotation, instance=b.rows[-1][3])


def _plastic(b: Builder, floor: Floor, colors: list[str]) -> None:
    """Smooth plastic: a skittle, a ball and a ring."""
    x, y = floor.place(0.17, 0.7, 1.1)
    skittle = Thing(
        sdf.ROUND_CONE, (0.17, 0.08, 0.32), (0.17, 0.17, 0.4), paint.GLAZE, _drift(colors[0]), scale=0.6, gloss=0.9
    )
    b.add(skittle, (x, y, 0.17), _spin(b))
    radius = b.rng.uniform(0.16, 0.2)
    x, y = floor.place(radius, 0.65, 1.1)
    ball = Thing(sdf.SPHERE, (radius,), (radius,) * 3, paint.GLAZE, _drift(colors[1]), scale=0.6, gloss=0.9)
    b.add(ball, (x, y, radius), _spin(b))
    tube = b.rng.uniform(0.05, 0.065)
    x, y = floor.place(0.2 + tube, 0.65, 1.05)
    wide = 0.18 + tube
    ring = Thing(sdf.TORUS, (0.18, tube), (wide, wide, tube), paint.GLAZE, _drift(colors[2]), scale=0.6, gloss=0.9)
    b.add(ring, (x, y, tube), _spin(b))
