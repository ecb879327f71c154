"""The part of an image that is shown before and after."""

from __future__ import annotations

import numpy as np
import pytest

from anyview.superresolution.preview import Preview


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_clear_is_white(channels: int, dtype: type) -> None:
    most = np.iinfo(dtype).max
    image = np.full((12, 20, channels), most // 4, dtype)
    alpha = np.full((12, 20, 1), most, dtype)
    alpha[:, :10] = 0
    preview = Preview(image, 2, alpha)
    large = np.concatenate([image, alpha], 2).repeat(2, 0).repeat(2, 1)
    for top in range(0, 24, 7):  # in bands
        preview.see(large[top : top + 7])
    for shown in (preview.before, preview.after):
        assert shown.shape == (24, 40, 3)
        assert (shown[:, :16] == 255).all()
        np.testing.assert_allclose(shown[:, 24:], 63, atol=1)


def test_without_alpha_colours_are_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    preview = Preview(image, 2)
    large = image.repeat(2, 0).repeat(2, 1)
    preview.see(large)
    np.testing.assert_array_equal(preview.after, large)
