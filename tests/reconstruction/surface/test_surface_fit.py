"""Thinning, band, fit and triangles, each against a plain numpy twin or a closed form."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from anyview.reconstruction.surface.band import REACH, Band, build_band
from anyview.reconstruction.surface.implicit import solve, trilinear
from anyview.reconstruction.surface.marching_cubes import case_table, marching_cubes
from anyview.reconstruction.surface.thinning import thin_oriented

Oriented = tuple[np.ndarray, np.ndarray, np.ndarray]


def scatter(count: int, size: float = 9.0, seed: int = 0) -> Oriented:
    """Points in a cube whose lower corner is at (4, 4, 4), with normals and weights, all by chance."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 4 + size * rng.random((count, 3)), normals.astype(np.float32), rng.uniform(0.1, 1, count).astype(np.float32)


def ball(count: int, radius: float, seed: int = 0) -> Oriented:
    """Points on a sphere about (20, 20, 20), far enough from the grid's lower end."""
    _, normals, _ = scatter(count, seed=seed)
    return 20 + radius * normals.astype(np.float64), normals, np.ones(count, np.float32)


def thin_plainly(xyz: np.ndarray, normals: np.ndarray, weight: np.ndarray, cell: float) -> np.ndarray:
    axis = np.abs(normals).argmax(1)
    negative = np.take_along_axis(normals, axis[:, None], 1) < 0
    key = np.column_stack([np.floor(xyz / cell), axis, negative])
    _, first, number = np.unique(key, axis=0, return_index=True, return_inverse=True)
    rows = []
    for k in np.argsort(first):
        mine = number.ravel() == k
        w = weight[mine].astype(np.float64)
        normal = (w[:, None] * normals[mine]).sum(0)
        rows.append([*(w @ xyz[mine] / w.sum()), *(normal / np.linalg.norm(normal)), w.sum()])
    return np.array(rows)


@pytest.mark.parametrize("count", [1, 40, 3000])  # the last makes the table grow
def test_thinning_is_its_twin(count: int) -> None:
    xyz, normals, weight = scatter(count)
    thin = thin_oriented(xyz, normals, weight, np.zeros(3), 0.7)
    twin = thin_plainly(xyz, normals, weight, 0.7)
    assert np.allclose(np.column_stack([thin.xyz, thin.normals, thin.weight]), twin, atol=1e-6)  # measured 6e-8


def test_the_sides_of_a_wall_stay_apart() -> None:
    up = np.array([[0, 0, 1]] * 3 + [[0, 0, -1]] * 2, np.float32)
    xyz = np.array([[0.5, 0.5, 0.6]] * 3 + [[0.5, 0.5, 0.4]] * 2)
    thin = thin_oriented(xyz, up, np.ones(5), np.zeros(3), 1.0)
    assert thin.xyz[:, 2].tolist() == pytest.approx([0.6, 0.4])
    assert thin.normals[:, 2].tolist() == [1, -1]
    assert thin.weight.tolist() == [3, 2]


def test_the_band_is_its_twin() -> None:
    points, normals, weight = scatter(60)
    band = build_band(points, normals, weight)
    size = 24
    sums = np.zeros((size, size, size, 5))
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)
    for p, n, w in zip(points, normals, weight, strict=True):
        offset = grid - p
        share = w * np.prod(np.maximum(0, 1 - np.abs(offset) / REACH) ** 2, axis=-1)
        said = [np.ones((size,) * 3), offset @ n, *np.broadcast_to(n, offset.shape).transpose(3, 0, 1, 2)]
        sums += share[..., None] * np.stack(said, -1)
    there = np.zeros((size,) * 3, bool)
    there[tuple(band.node.T)] = True
    assert (sums[there][:, 0] > 0).all()
    assert not (sums[~there][:, 0] > 1e-7).any()
    at = sums[tuple(band.node.T)]
    assert np.allclose(band.distance, at[:, 1] / at[:, 0], atol=1e-4)
    assert np.allclose(band.normal, at[:, 2:] / (at[:, :1] + 0.2), atol=1e-5)
    index = np.full((size,) * 3, -1)
    index[tuple(band.node.T)] = np.arange(len(band.node))
    for axis in range(3):
        assert (band.after[:, axis] == index[tuple((band.node + np.eye(3, dtype=int)[axis]).T)]).all()
    for k in range(8):
        place = np.floor(points).astype(int) + np.array([k >> 2, k >> 1 & 1, k & 1])
        assert (band.corner[:, k] == index[tuple(place.T)]).all()


def solve_plainly(band: Band, points: np.ndarray, weight: np.ndarray, screening: float) -> np.ndarray:
    """The energy's normal equations, dense."""
    matrix, right = np.zeros((len(band.node),) * 2), np.zeros(len(band.node))
    for i, j, axis in ((i, j, axis) for i, row in enumerate(band.after) for axis, j in enumerate(row) if j >= 0):
        wish = (band.normal[i, axis] + band.normal[j, axis]) / 2
        matrix[[i, j], [i, j]] += 1
        matrix[[i, j], [j, i]] -= 1
        right[[i, j]] += [-wish, wish]
    for corners, share, w in zip(band.corner, trilinear(points), weight, strict=True):
        matrix[np.ix_(corners, corners)] += screening * w * np.outer(share, share)
    return np.linalg.solve(matrix, right)


def test_the_fit_is_its_twin() -> None:
    points, normals, weight = scatter(80, size=5)
    band = build_band(points, normals, weight)
    values = solve(band, points, weight, screening=2.0, tolerance=1e-6)
    twin = solve_plainly(band, points, weight, 2.0)
    assert np.abs(values - twin).max() < 1e-3 * np.abs(twin).max()  # measured 2e-5


def test_trilinear_weights_give_back_linear_values() -> None:
    points, _, _ = scatter(50)
    corners = np.floor(points)[:, None] + [[k >> 2, k >> 1 & 1, k & 1] for k in range(8)]
    assert np.allclose(np.einsum("mk,mkd->md", trilinear(points), corners), points, atol=1e-5)


def test_a_ball_is_found_to_a_fraction_of_a_cell() -> None:
    points, normals, weight = ball(6000, 9.0)
    band = build_band(points, normals, weight)
    vertices, faces = marching_cubes(solve(band, points, weight), band.node, band.after)
    distance = np.linalg.norm(vertices - 20, axis=1)
    assert np.abs(distance - 9).max() < 0.2  # measured 0.05
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.02)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


def full_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(size**3, dtype=np.int32).reshape((size,) * 3)
    after = np.full((size, size, size, 3), -1, np.int32)
    after[:-1, :, :, 0], after[:, :-1, :, 1], after[:, :, :-1, 2] = index[1:], index[:, 1:], index[:, :, 1:]
    node = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1).reshape(-1, 3).astype(np.int32)
    return node, after.reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_triangles_close_around_values_by_chance(seed: int) -> None:
    """Values of random sign meet every case: vertices are the edges' zeros, and no crack stays."""
    size = 9
    values = np.random.default_rng(seed).normal(size=(size,) * 3).astype(np.float32)
    values[[0, -1]] = values[:, [0, -1]] = values[:, :, [0, -1]] = 1  # nothing is cut off by the grid's end
    node, after = full_grid(size)
    vertices, faces = marching_cubes(values.ravel(), node, after)
    zeros = []
    for axis in range(3):
        a, b = (np.take(values, range(k, size - 1 + k), axis).astype(np.float64) for k in (0, 1))
        where = np.argwhere((a < 0) != (b < 0)).astype(float)
        cut = (a < 0) != (b < 0)
        where[:, axis] += a[cut] / (a - b)[cut]
        zeros.append(where)
    twin = np.concatenate(zeros)
    assert np.allclose(vertices[np.lexsort(vertices.T)], twin[np.lexsort(twin.T)], atol=1e-6)
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    directed = Counter(map(tuple, ends.tolist()))
    assert all(directed[b, a] == times for (a, b), times in directed.items())
    assert volume(vertices, faces) > 0


def test_the_cases() -> None:
    count, triangles, edges = case_table()
    assert (count[0], count[255], count.max()) == (0, 0, 5)
    for case in range(256):
        cut = {e for e, (a, b) in enumerate(edges.tolist()) if (case >> a & 1) != (case >> b & 1)}
        assert set(triangles[case, : count[case]].ravel().tolist()) == cut


def test_cells_with_a_missing_corner_are_left_out() -> None:
    node, after = full_grid(3)
    values = (node[:, 0] - 0.5).astype(np.float32)
    _, whole = marching_cubes(values, node, after)
    after[0, 2] = -1
    _, part = marching_cubes(values, node, after)
    assert (len(whole), len(part)) == (8, 6)
