"""Planes to try at a pixel: at random, the surroundings', its own perturbed; and which are admissible.

Planes are (rho, gx, gy), see `window.py`. Sources: Galliani et al. 2015 (checkerboard), Xu and Tao 2019 (adaptive
sampling). `reference.py` says the same in plain numpy; the tests compare them.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from anyview.jit import njit
from anyview.reconstruction.stereo.hashing import uniform
from anyview.reconstruction.stereo.window import PART

f4 = np.float32
u4 = np.uint32

REGIONS = 8
"""Neighbourhoods that each offer one plane."""

WORST = 9.0
"""Stands for any mean cost above the limit, and for that of masked pixels."""

NEAR = 0.5
"""Planes within so many pixels of displacement are alike: alignment goes from one to the other."""

TILT = 0.3
"""Planes are alike if their slopes differ by less than this share per pixel of what their places may differ by."""

ONE_PLANE = 0.5
"""Four pixels lie in one plane if, moved to the same pixel, their planes differ by less, pixels of displacement."""


class Scratch(NamedTuple):
    """Work space for one pixel: candidates, and their costs against each source."""

    costs: np.ndarray  # (REGIONS + 1, S) float32, photometric; the last row is the pixel's own plane's
    scores: np.ndarray  # (S,) float32
    chosen: np.ndarray  # (S,) int32, the selected sources
    rho: np.ndarray  # (REGIONS + 1,) float32
    gx: np.ndarray
    gy: np.ndarray
    times: np.ndarray  # (REGIONS + 1,) int32, how many regions offered this plane or one alike
    price: np.ndarray  # (REGIONS + 1,) float32, what the plane costs where it comes from


class State(NamedTuple):
    """One plane per pixel, (H, W) each."""

    rho: np.ndarray  # float32
    gx: np.ndarray  # float32, per pixel
    gy: np.ndarray
    cost: np.ndarray  # float32, mean over the selected views
    views: np.ndarray  # uint32, bit j set where source j is selected


@njit(**PART)
def admissible(ref, x, y, rho, gx, gy):
    """Whether a plane lies in the depth range and faces the camera within about 80 degrees."""
    if not (rho >= ref.rho_min and rho <= ref.rho_max):
        return False
    rx, ry = (f4(x) + f4(0.5) - ref.center_x) / ref.focal_x, (f4(y) + f4(0.5) - ref.center_y) / ref.focal_y
    nx, ny = gx * ref.focal_x, gy * ref.focal_y
    nz = rho - nx * rx - ny * ry
    return rho * rho > f4(0.03) * (nx * nx + ny * ny + nz * nz) * (rx * rx + ry * ry + f4(1))


@njit(**PART)
def random_plane(ref, x, y, key):
    """A plane with uniform inverse depth and a normal within about 50 degrees of the viewing ray."""
    rho = ref.rho_min + (ref.rho_max - ref.rho_min) * uniform(key, 1)
    gx, gy = random_slope(ref, x, y, rho, key)
    return rho, gx, gy


@njit(**PART)
def random_slope(ref, x, y, rho, key):
    """Slope of a plane whose normal leaves the viewing ray by a uniform vector of at most 1.2 (tan 50 degrees)."""
    angle = f4(6.2831853) * uniform(key, 2)
    radius = f4(1.2) * sqrt(uniform(key, 3))
    rx, ry = (f4(x) + f4(0.5) - ref.center_x) / ref.focal_x, (f4(y) + f4(0.5) - ref.center_y) / ref.focal_y
    norm = f4(1) / sqrt(rx * rx + ry * ry + f4(1))
    nx, ny, nz = rx * norm + radius * np.cos(angle), ry * norm + radius * np.sin(angle), norm
    along = nx * rx + ny * ry + nz
    return nx * rho / (ref.focal_x * along), ny * rho / (ref.focal_y * along)


@njit(**PART)
def perturbed(ref, rho, gx, gy, size, key):
    """The plane shifted and tilted at random, by at most `size` pixels of displacement each."""
    unit = f4(2) * size * ref.rho_step
    return (
        rho + (uniform(key, 1) - f4(0.5)) * unit,
        gx + (uniform(key, 2) - f4(0.5)) * unit * f4(0.2),
        gy + (uniform(key, 3) - f4(0.5)) * unit * f4(0.2),
    )


@njit(**PART)
def region_best(cost, x, y, region):
    """Index y * W + x of the cheapest pixel in one of the eight regions around (x, y), or -1.

    Regions 0-3 are the near V (0,1) (+-1,2) (+-2,3) (+-3,4) up, down, left, right; 4-7 the far line (0,3), (0,5) ...
    (0,23). All of them hold pixels of the other colour only. Masked pixels have a cost of WORST.
    """
    height, width = cost.shape
    near, direction = region < 4, region & 3
    upright = direction < 2
    along_x = 0 if upright else (1 if direction == 3 else -1)
    along_y = (1 if direction == 1 else -1) if upright else 0
    across_x, across_y = (1, 0) if upright else (0, 1)
    reach, side = (4, 3) if near else (23, 0)
    end_x, end_y = x + reach * along_x, y + reach * along_y
    within = (
        end_x >= side * across_x and end_x + side * across_x < width
        and end_y >= side * across_y and end_y + side * across_y < height
    )  # fmt: skip
    best, lowest = -1, f4(WORST)
    for k in range(7 if near else 11):
        along = 1 + (k + 1) // 2 if near else 3 + 2 * k
        across = (along - 1) * (1 if k & 1 else -1) if near else 0
        xx, yy = x + along * along_x + across * across_x, y + along * along_y + across * across_y
        if within or (0 <= xx < width and 0 <= yy < height):
            c = cost[u4(yy), u4(xx)]
            best = yy * width + xx if c < lowest else best
            lowest = min(c, lowest)
    return best


@njit(**PART)
def alike(rho, gx, gy, other_rho, other_gx, other_gy, limit):
    """Whether two planes of one pixel differ by less than `limit`, inverse depth, and tilt alike for that."""
    tilt = abs(gx - other_gx) + abs(gy - other_gy)
    return abs(rho - other_rho) < limit and tilt < f4(TILT) * limit


@njit(**PART)
def collect_candidates(ref, state, scratch, x, y):
    """The regions' planes, moved to this pixel; one alike to its own or an earlier one only adds to that one's `times`.

    Returns how many.
    """
    width = ref.grey.shape[1]
    rho, gx, gy = state.rho[y, x], state.gx[y, x], state.gy[y, x]
    limit = f4(NEAR) * ref.rho_step
    n = 0
    for h in range(REGIONS + 1):
        scratch.times[h] = 0
    for region in range(REGIONS):
        at = region_best(state.cost, x, y, region)
        if at < 0:
            continue
        qy, qx = at // width, at % width
        ngx, ngy = state.gx[qy, qx], state.gy[qy, qx]
        nrho = state.rho[qy, qx] + ngx * f4(x - qx) + ngy * f4(y - qy)
        if not admissible(ref, x, y, nrho, ngx, ngy):
            continue
        same = REGIONS if alike(rho, gx, gy, nrho, ngx, ngy, limit) else -1
        for t in range(n):
            if same < 0 and alike(scratch.rho[t], scratch.gx[t], scratch.gy[t], nrho, ngx, ngy, limit):
                same = t
        if same >= 0:
            scratch.times[same] += 1
            continue
        scratch.times[n] = 1
        scratch.rho[n], scratch.gx[n], scratch.gy[n] = nrho, ngx, ngy
        scratch.price[n] = state.cost[qy, qx]
        n += 1
    return n


@njit(**PART)
def take_cheapest(price, n):
    """The index of the lowest of the first `n` prices, which is raised so that the next call finds another."""
    best = 0
    for t in range(1, n):
        if price[t] < price[best]:
            best = t
    price[best] = f4(2 * WORST)
    return best


@njit(**PART)
def between(ref, state, x, y, diagonal):
    """The mean of the planes of the four adjacent (or diagonal) pixels, moved here, where those are one plane.

    Windows of adjacent pixels share most of their taps: what the four agree on, a window here would only repeat.

    Returns whether they agree, then the plane, its cost, and the views of the cheapest of the four.
    """
    height, width = ref.grey.shape
    zero = f4(0)
    if x < 1 or y < 1 or x >= width - 1 or y >= height - 1:
        return False, zero, zero, zero, zero, u4(0)
    rho, gx, gy, cost = zero, zero, zero, zero
    low, high, xlow, xhigh, ylow, yhigh = f4(1e30), f4(-1e30), f4(1e30), f4(-1e30), f4(1e30), f4(-1e30)
    views = u4(0)
    lowest = f4(9)
    for k in range(4):
        dx = (1 if k & 1 else -1) if diagonal or k < 2 else 0
        dy = (1 if k & 2 else -1) if diagonal else (0 if k < 2 else (1 if k & 1 else -1))
        xx, yy = x + dx, y + dy
        if ref.grey[yy, xx] <= zero:
            return False, zero, zero, zero, zero, u4(0)
        qx, qy = state.gx[yy, xx], state.gy[yy, xx]
        q = state.rho[yy, xx] - qx * f4(dx) - qy * f4(dy)
        m = state.cost[yy, xx]
        rho, gx, gy, cost = rho + q, gx + qx, gy + qy, cost + m
        low, xlow, ylow = min(low, q), min(xlow, qx), min(ylow, qy)
        high, xhigh, yhigh = max(high, q), max(xhigh, qx), max(yhigh, qy)
        if m < lowest:
            lowest = m
            views = state.views[yy, xx]
    spread = max(high - low, max(xhigh - xlow, yhigh - ylow))
    quarter = f4(0.25)
    return spread < f4(ONE_PLANE) * ref.rho_step, rho * quarter, gx * quarter, gy * quarter, cost * quarter, views
