"""The parts of texturing against brute force, closed forms and their twins in numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from anyview.errors import OptionError
from anyview.reconstruction.texture import kernels as kernels
from anyview.reconstruction.texture.atlas import Patches, pack
from anyview.reconstruction.texture.candidates import continued, without_outliers
from anyview.reconstruction.texture.levelling import relax, relax_plainly
from anyview.reconstruction.texture.views import energy, minimise


def field(faces: int, places: int, pairs: list[tuple[int, int]], seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 1, (faces, places)).astype(np.float32)
    cost[rng.uniform(size=cost.shape) < 0.15] = np.inf
    cost[:, 0] = np.minimum(cost[:, 0], 1)
    names = np.stack([rng.permutation(places + 1)[:places] for _ in range(faces)]).astype(np.int32)
    return cost, names, np.array(pairs, np.int32), rng.uniform(0.1, 0.8, len(pairs)).astype(np.float32)


def least(problem: tuple[np.ndarray, ...]) -> float:
    """By trying everything."""
    cost = problem[0]
    return min(
        energy(*problem, np.array(label, np.int32))
        for label in itertools.product(range(cost.shape[1]), repeat=len(cost))
    )


@pytest.mark.parametrize("seed", range(8))
def test_views_on_a_chain_are_chosen_best(seed: int) -> None:
    problem = field(7, 3, [(i, i + 1) for i in range(6)], seed)
    assert energy(*problem, minimise(*problem)) == pytest.approx(least(problem), abs=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_views_with_loops_are_chosen_nearly_best(seed: int) -> None:
    problem = field(8, 3, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5)], seed)
    greedy = energy(*problem, np.argmin(problem[0], 1).astype(np.int32))
    found, best = energy(*problem, minimise(*problem)), least(problem)
    assert found <= greedy + 1e-6
    assert found <= 1.05 * best + 1e-5


def test_relax_is_its_twin_and_ends_at_a_straight_line() -> None:
    count = 9
    line = np.full((count, 4), -1, np.int32)
    for i in range(count):
        line[i, 0] = {0: -1, 1: 0}.get(i, i - 1)
        line[i, 1] = i + 1 if i < count - 1 else -2
    value = np.zeros((count, 3), np.float32)
    value[0] = [1, -2, 0.5]
    fast = value.copy()
    relax(fast, line, 1, 5)
    assert np.allclose(fast, relax_plainly(value, line, 1, 5), atol=1e-6)  # measured 0 to 6e-8
    relax(fast, line, 1, 2000)
    assert np.allclose(fast, value[0] * (1 - np.arange(count) / count)[:, None], atol=1e-5)


def score_plainly(photo: kernels.Photograph, points: np.ndarray, face: np.ndarray) -> tuple[float, np.ndarray]:
    """Weight and mean colour of one face, as the docstring of `score` has it."""
    fx, fy, cx, cy = photo.camera
    a, b, c = points[face]
    image = np.array([[fx * p[0] / p[2] + cx, fy * p[1] / p[2] + cy] for p in (a, b, c)])
    if (image < 0).any() or (image >= photo.depth.shape[::-1]).any():
        return 0.0, np.zeros(3)
    area = 0.5 * abs(np.linalg.det(np.stack([image[1] - image[0], image[2] - image[0]])))
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    cosine = -normal @ middle / np.linalg.norm(normal) / np.linalg.norm(middle)
    slope = np.tan(np.arccos(cosine))
    m = int(np.clip(np.ceil(0.5 * np.sqrt(area)), 1, 6))
    node = {(i, j): a + (b - a) * (i - j) / m + (c - a) * j / m for i in range(m + 1) for j in range(i + 1)}
    small = [(node[i, j], node[i + 1, j], node[i + 1, j + 1]) for i in range(m) for j in range(i + 1)]
    small += [(node[i, j], node[i, j + 1], node[i + 1, j + 1]) for i in range(1, m) for j in range(i)]
    seen, doubt, detail, color = 0, 0, 0.0, np.zeros(3)
    for corners in small:
        x, y, z = np.mean(corners, 0)
        column, row = int(fx * x / z + cx), int(fy * y / z + cy)
        pixel = z / fx * (1 + slope)
        if photo.state[row, column] == 0 or photo.depth[row, column] < z - pixel:
            continue
        seen += 1
        doubt += bool(photo.state[row, column] == 1 or photo.near[row, column] < z - 3 * pixel)
        detail += photo.gradient[row, column]
        color += photo.image[row, column]
    assert len(small) == m * m
    if cosine < 0.1 or seen < 0.5 * m * m:
        return 0.0, np.zeros(3)
    return area * (0.02 + detail / seen) * (seen / m**2) ** 8 * (1 - 0.9 * doubt / seen), color / seen


def test_score_is_its_twin() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(2.6, 3.6, (60, 80)).astype(np.float32)
    photo = kernels.Photograph(
        rng.uniform(0, 1, (60, 80, 3)).astype(np.float32), rng.uniform(0, 0.2, (60, 80)).astype(np.float32),
        rng.integers(0, 6, (60, 80)).clip(0, 2).astype(np.uint8), depth, depth - np.float32(0.1),
        np.array([70.0, 75.0, 40.0, 30.0]),
    )  # fmt: skip
    centre = rng.uniform([-1, -0.8, 2.2], [1, 0.8, 3.2], (200, 3))
    points = (centre[:, None] + rng.normal(0, 0.12, (200, 3, 3))).reshape(-1, 3)
    faces = np.arange(600, dtype=np.int32).reshape(-1, 3)
    out = kernels.Candidates(
        np.full((200, 2), -1, np.int32), np.zeros((200, 2), np.float32), np.zeros((200, 2, 3), np.float32),
        np.zeros((200, 2), bool),
    )  # fmt: skip
    kernels.score(7, photo, points, faces, 0, 200, out)
    kept = 0
    for f in range(200):
        weight, color = score_plainly(photo, points, faces[f])
        place = int(out.weight[f].argmax())
        assert out.weight[f, place] == pytest.approx(weight, rel=1e-4, abs=1e-7)
        if weight > 0:
            kept += 1
            assert out.source[f, place] == 7
            assert np.allclose(out.color[f, place], color, atol=1e-5)
    assert 30 < kept < 190


def test_the_view_in_which_a_face_looks_otherwise_goes() -> None:
    color = np.full((2, 6, 3), 0.5, np.float32)
    color += np.linspace(-0.01, 0.01, 6, dtype=np.float32)[None, :, None]
    color[0, 3] = [0.9, 0.2, 0.2]
    source = np.tile(np.arange(6, dtype=np.int32), (2, 1))
    source[1, 3:] = -1
    weight = (source >= 0).astype(np.float32)
    out = without_outliers(kernels.Candidates(source, weight, color, np.ones((2, 6), bool)))
    assert out.source.tolist() == [[0, 1, 2, -1, 4, 5], [0, 1, 2, -1, -1, -1]]
    assert out.weight[0, 3] == 0
    color[1, 2] = 0.9  # two against one is no vote
    assert without_outliers(kernels.Candidates(source, weight, color, np.ones((2, 6), bool))).source[1, 2] == 2


def test_colours_go_on_past_the_mask() -> None:
    image = np.zeros((5, 7, 3), np.float32)
    there = np.zeros((5, 7), bool)
    there[2, 1], there[2, 5] = True, True
    image[2, 1], image[2, 5] = [1, 0, 0], [0, 1, 0]
    out = continued(image, there)
    assert (out[:, :3] == [1, 0, 0]).all()
    assert (out[:, 4:] == [0, 1, 0]).all()


def test_a_texture_with_no_room_for_its_patches_is_refused() -> None:
    count = 400  # triangles apart from each other, each seen by a view of its own
    corners = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    own = np.arange(count, dtype=np.int32)
    patches = Patches(own, own, corners, corners.ravel(), np.repeat(own, 3))
    flat = np.tile([[0.0, 0], [20, 0], [0, 20]], (count, 1))
    assert max(pack(patches, flat, 1024).height, pack(patches, flat, 1024).width) <= 1024
    with pytest.raises(OptionError, match=r"texture_size: expected room for 400 patches .* found 64"):
        pack(patches, flat, 64)
