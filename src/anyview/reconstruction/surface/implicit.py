"""The function whose zero is the surface: screened Poisson (Kazhdan and Hoppe 2013, equation 2) on a band of a grid.

Over the nodes' values f the energy is

    sum over edges (i, j) of (f_j - f_i - m_ij)^2  +  SCREENING * sum over points of w_p (sum_k t_pk f_k)^2

with m the mean normal of the two nodes along the edge (shorter where points are few), lengths in cells, and t the
trilinear weights of the corners of the point's cell. Theirs asks for an indicator's gradient, which is a bump at the
surface, and so for a whole space to solve in; ours asks for a distance's gradient, the unit normal, which a band around
the points is enough for: nothing holds it at its rim, and its points hold it everywhere, so that conjugate gradients
need few steps and no multigrid.
Letters: M points, K nodes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from anyview.jit import njit
from anyview.reconstruction.surface.band import Band

SCREENING = 1.0
"""How much the points' wishes count against those of the normals: more shows noise, and ragged rims."""

_TOLERANCE = 1e-3  # of the residual, relative to where it started
_STEPS = 200  # at most; some forty are usual


def solve(
    band: Band,
    points: Float64[np.ndarray, "M 3"],
    weight: Float32[np.ndarray, "M"],
    screening: float = SCREENING,
    tolerance: float = _TOLERANCE,
) -> Float32[np.ndarray, "K"]:
    """Values at the nodes, in cells; negative inside.

    Conjugate gradients from the band's own mean distances, preconditioned by the diagonal.

    Args:
        band: around the points.
        points: in cells from the grid's origin.
        weight: of each point's wish to lie on the surface.
        screening: how much the points' wishes count against those of the normals.
        tolerance: of the residual's norm, relative to where it started.
    """
    share = trilinear(points)
    pull = np.float32(screening) * weight
    values = band.distance.copy()
    diagonal = _diagonal(band.after, band.corner, share, pull)
    residual = _slope(band.after, band.normal)
    product = np.empty_like(values)
    _apply(values, band.after, band.corner, share, pull, product)
    residual -= product
    search = residual / diagonal
    energy = _dot(residual, search)
    least = energy * tolerance**2
    for _ in range(_STEPS):
        if energy <= least or energy == 0:
            break
        _apply(search, band.after, band.corner, share, pull, product)
        length = energy / _dot(search, product)
        before = energy
        energy = _advance(values, residual, search, product, diagonal, np.float32(length))
        _turn(search, residual, diagonal, np.float32(energy / before))
    return values


def trilinear(points: Float64[np.ndarray, "M 3"]) -> Float32[np.ndarray, "M 8"]:
    """Weights of the corners of each point's cell, x slowest, z fastest; a row adds up to one."""
    part = points - np.floor(points)
    x, y, z = (np.stack([1 - part[:, k], part[:, k]], 1) for k in range(3))
    product = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return np.ascontiguousarray(product.reshape(-1, 8), np.float32)


@njit(nogil=True, cache=True)
def _slope(after: NDArray[np.int32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """The right side: what the edges' wishes add up to at each node."""
    out = np.zeros(len(after), np.float32)
    for i in range(len(after)):
        for axis in range(3):
            j = after[i, axis]
            if j >= 0:
                wish = np.float32(0.5) * (normal[i, axis] + normal[j, axis])
                out[i] -= wish
                out[j] += wish
    return out


@njit(nogil=True, cache=True)
def _diagonal(
    after: NDArray[np.int32], corner: NDArray[np.int32], share: NDArray[np.float32], pull: NDArray[np.float32]
) -> NDArray[np.float32]:
    out = np.zeros(len(after), np.float32)
    for i in range(len(after)):
        for axis in range(3):
            if after[i, axis] >= 0:
                out[i] += np.float32(1)
                out[after[i, axis]] += np.float32(1)
    for p in range(len(corner)):
        for k in range(8):
            out[corner[p, k]] += pull[p] * share[p, k] * share[p, k]
    return np.maximum(out, np.float32(1e-6))


@njit(nogil=True, cache=True)
def _apply(
    values: NDArray[np.float32],
    after: NDArray[np.int32],
    corner: NDArray[np.int32],
    share: NDArray[np.float32],
    pull: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """The energy's matrix times the values."""
    out[:] = np.float32(0)
    for i in range(len(after)):
        for axis in range(3):
            j = after[i, axis]
            if j >= 0:
                change = values[j] - values[i]
                out[i] -= change
                out[j] += change
    for p in range(len(corner)):
        total = np.float32(0)
        for k in range(8):
            total += share[p, k] * values[corner[p, k]]
        total *= pull[p]
        for k in range(8):
            out[corner[p, k]] += share[p, k] * total


@njit(nogil=True, cache=True)
def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    total = 0.0
    for i in range(len(a)):
        total += float(a[i]) * float(b[i])
    return total


@njit(nogil=True, cache=True)
def _advance(
    values: NDArray[np.float32],
    residual: NDArray[np.float32],
    search: NDArray[np.float32],
    product: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    length: np.float32,
) -> float:
    total = 0.0
    for i in range(len(values)):
        values[i] += length * search[i]
        residual[i] -= length * product[i]
        total += float(residual[i]) * float(residual[i] / diagonal[i])
    return total


@njit(nogil=True, cache=True)
def _turn(
    search: NDArray[np.float32], residual: NDArray[np.float32], diagonal: NDArray[np.float32], keep: np.float32
) -> None:
    for i in range(len(search)):
        search[i] = residual[i] / diagonal[i] + keep * search[i]
