"""Smoothing of planes: the readable twin, a surface that is a plane, and an edge."""

from __future__ import annotations

import numpy as np

from anyview.reconstruction.stereo import reference
from anyview.reconstruction.stereo.smoothing import smooth_planes

f4 = np.float32
STEP = 0.004


def noisy_planes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, H, W) planes of a slanted surface with a step in depth and pixels that have none, and costs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:30, :40]
    rho = 0.3 + 0.001 * x - 0.0005 * y + 0.1 * (x > 20) + rng.normal(0, 0.3 * STEP, x.shape)
    slope_x, slope_y = 0.001 + rng.normal(0, 0.05 * STEP, x.shape), -0.0005 + rng.normal(0, 0.05 * STEP, x.shape)
    rho[rng.random(x.shape) < 0.1] = 0
    return np.stack([rho, slope_x, slope_y]).astype(f4), rng.uniform(0, 0.8, x.shape).astype(f4)


def test_smooth_planes_are_the_twins() -> None:
    planes, cost = noisy_planes(0)
    got = np.stack(smooth_planes(*planes, cost, f4(STEP), 4))
    exact = planes.astype(np.float64)
    worst = 0.0
    for (y, x), own in np.ndenumerate(planes[0]):
        if own == 0:
            assert not got[:, y, x].any()
        elif x % 3 == 0:
            want = reference.smooth_plane(exact, cost.astype(np.float64), STEP, 4, x, y)
            worst = max(worst, np.abs(got[:, y, x] - want).max())
    assert worst < 1e-6, worst


def test_noise_falls_and_edges_stay() -> None:
    planes, cost = noisy_planes(1)
    y, x = np.mgrid[:30, :40]
    truth = 0.3 + 0.001 * x - 0.0005 * y + 0.1 * (x > 20)
    rho, slope_x, _ = smooth_planes(*planes, cost, f4(STEP), 4)
    kept = planes[0] > 0
    before, after = np.std((planes[0] - truth)[kept]), np.std((rho - truth)[kept])
    assert after < 0.3 * before, after / before
    assert np.std(slope_x[kept]) < 0.3 * np.std(planes[1][kept])
    assert np.abs(rho - truth)[kept].max() < STEP  # nothing of the far side in the near one: they are 25 steps apart


def test_neighbours_further_away_than_the_image_is_wide() -> None:
    planes, cost = noisy_planes(0)
    narrow = np.ascontiguousarray(planes[:, :, :6]), np.ascontiguousarray(cost[:, :6])
    far, whole = (np.stack(smooth_planes(*narrow[0], narrow[1], f4(STEP), radius)) for radius in (64, 32))
    assert np.array_equal(far, whole)
    assert np.isfinite(far).all()
