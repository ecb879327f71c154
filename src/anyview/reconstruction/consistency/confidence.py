"""How far a fused point can be trusted, from what is known when it is made: how many views, how alike, how far apart.

A match is off by some part s of a pixel. Seen from two rays that meet at an angle a, a shift of s pixel footprints
across one ray moves the point by s / sin(a) along it; the mean over V - 1 partners of the reference view, each with an
error of its own, is off by 1 / sqrt(V - 1) of that. How large s is, the matching cost c tells: c = 1 - NCC, and for
two windows that show the same texture under noise of its own each, NCC = texture / (texture + noise) in variances, so
that c / (1 - c) is the noise over the texture, and a match's error grows with its square root (the Cramer-Rao bound of
a shift). Together, in pixel footprints:

    e^2 = PIXELS^2  c / (1 - c)  1 / ((V - 1) sin^2 a)

and the confidence is 1 / (1 + e^2): the weight of a measurement whose variance is e^2 footprints, against a guess that
is off by one footprint. It is 1 for what is known well, 1/2 where the expected error is a footprint, and falls to 0
with the inverse square of the error, as the weights of a least-squares fit do.

Letters: N points, J neighbours. World frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anyview.jit import njit

PIXELS = 2.0
"""Error of a match whose noise equals its texture, pixels. `benchmarks/confidence.py` compares the errors that follow
from it with true ones: about right for the points in the middle, too low for the best, which window and pixel grid hold
back alike in all views, and too high for the worst."""

_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}


class Evidence(NamedTuple):
    """What a point's confidence rests on; rows of points that are not kept mean nothing."""

    views: np.ndarray  # (N,) uint8, that lie close to the point; 255 stands for more
    cost: np.ndarray  # (N,) float32, mean of their matching costs, 0 best, 2 worst
    angle: np.ndarray  # (N,) float32, widest between two of their rays, degrees
    confidence: np.ndarray  # (N,) float32, 0 to 1


@njit(**_OPTIONS)
def confidence(views, cost, angle):
    """0 to 1 from the number of views, the mean matching cost (0 to 2) and the widest angle (degrees); numbers."""
    if views < 2 or angle <= 0:
        return 0.0
    alike = min(max(1.0 - cost, 0.01), 1.0)
    sine = np.sin(np.radians(min(angle, 90.0)))
    return 1.0 / (1.0 + PIXELS**2 * max(cost, 0.0) / alike / ((views - 1) * sine**2))


@njit(**_OPTIONS)
def weigh(pixels, cost, centers, fused, estimates):
    """The evidence for each kept point.

    Args:
        pixels: (N,) int32, row-major, of the reference view.
        cost: (H, W) uint8, the reference view's.
        centers: (J + 1, 3) float64, the cameras of the reference and its neighbours, world.
        fused: `Fused`, of `combine`.
        estimates: `Estimates`, that it was made from.

    Returns:
        `Evidence`.
    """
    places, count = fused.member.shape  # the reference itself comes first
    views, angles = np.zeros(count, np.uint8), np.zeros(count, np.float32)
    costs, confident = np.zeros(count, np.float32), np.zeros(count, np.float32)
    rays, flat = np.empty((places, 3)), cost.reshape(-1)
    for i in range(count):
        if not fused.kept[i]:
            continue
        seen, total = 0, 0.0
        for j in range(places):
            if not fused.member[j, i]:
                continue
            total += flat[pixels[i]] if j == 0 else estimates.cost[j - 1, i]
            length = 0.0
            for c in range(3):
                rays[seen, c] = centers[j, c] - fused.xyz[i, c]
                length += rays[seen, c] ** 2
            rays[seen] /= max(np.sqrt(length), 1e-30)
            seen += 1
        widest = 0.0  # squared chord between two unit rays: unlike the cosine, exact for narrow angles
        for a in range(seen):
            for b in range(a):
                chord = 0.0
                for c in range(3):
                    chord += (rays[a, c] - rays[b, c]) ** 2
                widest = max(widest, chord)
        views[i], costs[i] = min(seen, 255), total / seen / 127.5
        angles[i] = np.degrees(2 * np.arcsin(min(0.5 * np.sqrt(widest), 1.0)))
        confident[i] = confidence(views[i], costs[i], angles[i])
    return Evidence(views, costs, angles, confident)
