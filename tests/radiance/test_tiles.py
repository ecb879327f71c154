"""Products by tiles: any shape and strides, against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.jit import njit
from anyview.radiance.kernels.tiles import make_tile, multiply, turn

GUARD = np.float32(12345.0)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(
    ("rows", "count", "columns"),
    [(1, 1, 1), (8, 16, 32), (13, 7, 53), (6, 0, 16), (5, 96, 15), (48, 33, 64), (17, 3, 48), (2, 9, 31), (0, 4, 16)],
)
def test_a_product_is_numpys(rows: int, count: int, columns: int, accumulate: bool, transposed: bool) -> None:
    draw = np.random.default_rng(rows * count + columns)
    x = draw.standard_normal((rows, count)).astype(np.float32)
    w = draw.standard_normal((count, columns)).astype(np.float32)
    y = draw.standard_normal((rows, columns)).astype(np.float32)
    pad = 3  # each matrix lies inside a bigger one
    a = np.full((count, rows + pad) if transposed else (rows, count + pad), GUARD)
    (a.T if transposed else a)[:rows, :count] = x
    b = np.full((count, columns + pad), GUARD)
    b[:, :columns] = w
    c = np.full((rows, columns + pad), GUARD)
    c[:, :columns] = y
    flat = [np.concatenate([np.full(2, GUARD), m.ravel(), np.full(40, GUARD)]) for m in (a, b, c)]
    ar, ak = (1, rows + pad) if transposed else (count + pad, 1)
    multiply(flat[0], 2, ar, ak, rows, count, flat[1], 2, columns + pad, columns, flat[2], 2, columns + pad, accumulate)
    found = flat[2][2:-40].reshape(c.shape)
    wanted = x.astype(np.float64) @ w + (y if accumulate else 0)
    scale = np.abs(x).astype(np.float64) @ np.abs(w) + 1
    assert (np.abs(found[:, :columns] - wanted) <= 2e-7 * scale * max(count, 1) ** 0.5).all()  # measured: 1.2e-7
    assert (found[:, columns:] == GUARD).all()
    assert (flat[2][:2] == GUARD).all() and (flat[2][-40:] == GUARD).all()  # noqa: PT018


@pytest.mark.parametrize(("rows", "lanes"), [(1, 4), (3, 8), (4, 16), (8, 32)])
def test_a_tile_of_any_size(rows: int, lanes: int) -> None:
    tile = make_tile(rows, lanes)

    @njit
    def once(a, b, c):  # type: ignore[no-untyped-def]
        tile(a, 0, 5, 1, b, 0, lanes, c, 0, lanes, 5, False)

    draw = np.random.default_rng(0)
    a, b = (draw.random(shape, dtype=np.float32) for shape in ((rows, 5), (5, lanes)))
    c = np.zeros((rows, lanes), np.float32)
    once(a.ravel(), b.ravel(), c.reshape(-1))
    assert np.allclose(c, a @ b, rtol=1e-6)


def test_sixteen_by_sixteen_numbers_are_transposed() -> None:
    @njit
    def once(a, b):  # type: ignore[no-untyped-def]
        turn(a, 3, 20, b, 5, 18)

    a, b = np.arange(3 + 16 * 20, dtype=np.float32), np.full(5 + 16 * 18, GUARD)
    once(a, b)
    rows = b[5:].reshape(16, 18)
    assert (rows[:, :16] == a[3:].reshape(16, 20)[:, :16].T).all()
    assert (rows[:, 16:] == GUARD).all()
    assert (b[:5] == GUARD).all()
