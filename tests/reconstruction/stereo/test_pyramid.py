"""Halved images and planes carried to a finer scale, against sums and planes written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anyview.reconstruction.stereo.pyramid import at_scale, grey_from_rgb, halve, refine_planes

GREYS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 255), fill=st.nothing()
)


@given(GREYS)
@settings(max_examples=60, deadline=None)
def test_halving_is_the_mean_of_what_is_not_masked_out(grey: np.ndarray) -> None:
    half = halve(grey.astype(np.float32))
    assert half.shape == ((grey.shape[0] + 1) // 2, (grey.shape[1] + 1) // 2)
    for (y, x), value in np.ndenumerate(half):
        block = grey[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(float)
        known = block[block > 0]
        assert value == pytest.approx(known.mean() if known.size else 0, abs=2e-5)


def test_scales_stay_between_1_and_255() -> None:
    rng = np.random.default_rng(0)
    grey = (rng.integers(1, 256, (37, 51)) * (rng.random((37, 51)) > 0.4)).astype(np.uint8)
    assert np.array_equal(at_scale(grey, 0), grey)
    for scale in (1, 2, 3):
        coarse = at_scale(grey, scale)
        assert coarse.shape == (-(-37 // 2**scale), -(-51 // 2**scale))
        assert np.all((coarse == 0) | ((coarse >= 1) & (coarse <= 255)))
        unmasked = np.zeros(coarse.shape, bool)
        for y, x in zip(*np.nonzero(grey), strict=True):
            unmasked[y >> scale, x >> scale] = True
        assert np.array_equal(coarse > 0, unmasked)


def test_a_linear_ramp_halves_to_itself_at_the_coarse_pixels_centres() -> None:
    y, x = np.mgrid[:32, :48] + 0.5
    half = halve((10 + 2 * x + 3 * y).astype(np.float32))
    yy, xx = np.mgrid[:16, :24] + 0.5
    assert np.allclose(half, 10 + 2 * (2 * xx) + 3 * (2 * yy), atol=1e-5)  # measured 0; half a pixel would be 1


def test_grey_is_luma_and_only_masked_pixels_are_0() -> None:
    rng = np.random.default_rng(0)
    rgb, mask = rng.random((20, 30, 3)).astype(np.float32), rng.random((20, 30)) > 0.5
    rgb[0, :5], mask[0] = 0, True
    grey = grey_from_rgb(rgb, mask)
    assert np.array_equal(grey == 0, ~mask)
    luma = (rgb.astype(float) @ [0.299, 0.587, 0.114] * 254 + 1)[mask]
    assert np.abs(grey[mask] - luma).max() < 0.501  # rounding
    assert (grey_from_rgb(rgb, None) > 0).all()
    other = np.where(mask[..., None], rgb, rng.random((20, 30, 3))).astype(np.float32)
    assert np.array_equal(grey_from_rgb(other, mask), grey)


@given(seed=st.integers(0, 1000), height=st.integers(2, 15), width=st.integers(2, 15))
@settings(max_examples=40, deadline=None)
def test_one_plane_stays_that_plane(seed: int, height: int, width: int) -> None:
    """Whatever coarse pixel is chosen: inverse depth is linear, so all of them say the same."""
    rng = np.random.default_rng(seed)
    grey = (rng.integers(1, 256, (height, width)) * (rng.random((height, width)) > 0.2)).astype(np.uint8)
    rho0, gx, gy = 0.5, *rng.uniform(-0.01, 0.01, 2)
    fine, coarse = at_scale(grey, 0), at_scale(grey, 1)
    y, x = np.mgrid[: coarse.shape[0], : coarse.shape[1]] + 0.5
    there = coarse > 0
    planes = [there * p for p in (rho0 + gx * x + gy * y, gx + 0 * x, gy + 0 * x)]
    cost, views = rng.uniform(0, 2, coarse.shape), rng.integers(0, 8, coarse.shape)
    rho, ogx, ogy, ocost, oviews = refine_planes(
        fine, coarse, *(p.astype(np.float32) for p in (*planes, cost)), views.astype(np.uint32)
    )
    yy, xx = np.mgrid[:height, :width] + 0.5
    kept = rho > 0
    assert np.array_equal(kept, grey > 0)  # the pixel's own coarse pixel has a plane wherever it is not masked out
    assert np.allclose(rho[kept], (rho0 + gx * xx / 2 + gy * yy / 2)[kept], rtol=1e-6, atol=0)  # measured 1.7e-7
    assert np.allclose(ogx[kept], gx / 2)
    assert np.allclose(ogy[kept], gy / 2)
    assert np.isin(ocost[kept], cost.astype(np.float32)).all()
    assert np.isin(oviews[kept], views).all()
    assert not ogx[~kept].any()
    assert (ocost[~kept] == 2).all()


def test_a_pixel_follows_the_surface_that_looks_like_it() -> None:
    """Dark and bright halves at two depths, cut at an odd column: the coarse column between them holds both."""
    grey = np.full((16, 16), 40, np.uint8)
    grey[:, 7:] = 220
    fine, coarse = at_scale(grey, 0), at_scale(grey, 1)
    rho = np.where(np.arange(8)[None] >= 3, 0.8, 0.2).astype(np.float32) + np.zeros((8, 1), np.float32)
    zero = np.zeros_like(rho)
    out = refine_planes(fine, coarse, rho, zero, zero, zero + np.float32(0.1), zero.astype(np.uint32))[0]
    assert (out[:, :6] == np.float32(0.2)).all()
    assert (out[:, 7:] == np.float32(0.8)).all()
    assert (out[:, 6] == np.float32(0.2)).all()  # its own coarse pixel says 0.8, but is too bright for it
