"""What a pass does to one view, sweep by sweep: the same list for the processor and for a GPU.

A sweep visits a lattice of pixels, in any order or all at once, because it reads nowhere what it writes elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

START, SEARCH, IMPROVE = 0, 1, 2
"""Kinds of sweeps: `search.start`, `search.search`, `improve.improve`."""


@dataclass(frozen=True)
class Pass:
    """What one pass does.

    Attributes:
        scale: 0 is full size, k is halved k times.
        joint: sweeps of the global search, with joint view selection over all sources.
        light: sweeps that align and propagate, before which the sources are those of the pass before.
        alignments: most least-squares steps per pixel and sweep.
        geometric: weight of the forward-backward error, per pixel at this scale; above 0, only pixels whose depth
            too few sources agree with are worked on.
    """

    scale: int
    joint: int = 0
    light: int = 0
    alignments: int = 0
    geometric: float = 0.0


class Sweep(NamedTuple):
    """One sweep; `search.py` and `improve.py` explain the settings."""

    kind: int
    lattice: int  # search: the colour, x + y even or odd; improve: 0 even x and y, 1 odd x and y, 2 the rest
    most: int  # sources that a pixel's cost is averaged over
    alignments: int
    iteration: int
    seed: int
    geometric: np.float32


class Lattice(NamedTuple):
    """The pixels y = first + rows * i, x = columns * k + ((y + parity) mod columns), for all i and k from 0 up."""

    first: int
    rows: int
    columns: int
    parity: int


def sweeps(plan: Pass, most: int, seed: int, begin: bool) -> Iterator[Sweep]:
    """A pass's sweeps in their order; with `begin`, random planes come first."""
    if begin:
        yield Sweep(START, 0, most, 0, 0, seed, np.float32(0))
    geometric = np.float32(plan.geometric)
    for iteration in range(plan.joint):
        for color in (0, 1):
            yield Sweep(SEARCH, color, most, plan.alignments, iteration, seed + 1 + iteration, geometric)
    for _ in range(plan.light):
        for lattice in (0, 1, 2):
            yield Sweep(IMPROVE, lattice, most, plan.alignments, 0, 0, geometric)


def lattice_of(sweep: Sweep) -> Lattice:
    """The pixels that a sweep visits."""
    if sweep.kind == START:
        return Lattice(0, 1, 1, 0)
    if sweep.kind == SEARCH:
        return Lattice(0, 1, 2, sweep.lattice)
    return Lattice(0, 1, 2, 1) if sweep.lattice == 2 else Lattice(sweep.lattice, 2, 2, 0)


def lattice_shape(lattice: Lattice, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the lattice that can hold pixels of an image."""
    return -(-max(height - lattice.first, 0) // lattice.rows), -(-width // lattice.columns)
