"""Numbers as colours, for depth and errors. Letters: H rows, W columns."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Bool, Float, UInt8

_PERCENTILES = (1, 99)  # of depth, at the ends of its colours


def depth_limits(depths: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """Ends of a scale of colours: the 1st and 99th percentile of what is not 0 (none), scene units; 0 and 1 where there
    is nothing."""
    there = depths[depths > 0]
    if not there.size:
        return 0.0, 1.0
    low, high = np.percentile(there, _PERCENTILES)
    return float(low), float(high)


def colored(
    values: Float[np.ndarray, "H W"],
    low: float,
    high: float,
    name: str = "turbo",
    none: Bool[np.ndarray, "H W"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """One of matplotlib's colour maps between two values; beyond them its ends.

    Args:
        values: any unit.
        low, high: of the scale.
        name: of the map.
        none: where there is no value: black.
    """
    share = (np.nan_to_num(values) - low) / max(high - low, 1e-12)
    pixels: UInt8[np.ndarray, "H W 3"] = _table(name)[(share.clip(0, 1) * 255).astype(np.uint8)]
    if none is not None:
        pixels[none] = 0
    return pixels


@cache
def _table(name: str) -> UInt8[np.ndarray, "256 3"]:
    from matplotlib import colormaps

    table: UInt8[np.ndarray, "256 3"] = np.rint(colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return table
