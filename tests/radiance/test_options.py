"""Every number of a field's options has its range; outside, one sentence."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest

from anyview.errors import OptionError
from anyview.radiance.options import DataOptions, GridOptions, MipOptions, MipTraining

KINDS = {"data": DataOptions, "mip": MipTraining, "mip.model": MipOptions, "grid": GridOptions}
RANGES = {
    "data.near": (0.0, None), "data.far": (0.0, None), "data.downscale": (1, None), "data.memory_gib": (0.0, None),
    "data.holdout": (0, None),
    "mip.batch": (1, None), "mip.delay": (0, None), "mip.delay_mult": (0.0, 1.0), "mip.coarse_weight": (0.0, None),
    "mip.validation_pixels": (1, None), "mip.lr_first": ("above 0", None), "mip.lr_last": ("above 0", None),
    "mip.model.intervals": (2, 8192), "mip.model.degrees": (1, 32), "mip.model.view_degrees": (0, 32),
    "mip.model.depth": (1, 256), "mip.model.width": (1, 8192), "mip.model.skip": (1, None),
    "mip.model.head_width": (1, 8192), "mip.model.density_bias": (-100, 100), "mip.model.rgb_padding": (0, 1),
    "mip.model.resample_padding": (0, 1), "mip.model.density_noise": (0, None),
    "grid.levels": (1, 32), "grid.coarsest": (2, 65536), "grid.finest": (2, 65536), "grid.log2_entries": (4, 26),
    "grid.width": (1, 1024), "grid.cells": (8, 512), "grid.steps": (16, 65536), "grid.first_steps": (16, 65536),
    "grid.distortion": (0, None), "grid.samples": (64, 1 << 26), "grid.last_rate": (0, 1), "grid.least_alpha": (0, 1),
    "grid.reopened": (0, 1), "grid.validation_pixels": (1, None),
    "grid.rate": ("above 0", None),
}  # fmt: skip


def test_no_number_is_forgotten() -> None:
    numbers = {f"{group}.{f.name}" for group, kind in KINDS.items() for f in fields(kind) if _is_number(f.type)}
    assert numbers == {*RANGES, "grid.multisamples"}  # a pattern has points in pairs, see tests/radiance/grid


def _is_number(kind: object) -> bool:
    return str(kind) in ("int", "float", "float | None")


@pytest.mark.parametrize("name", sorted(RANGES))
def test_outside_its_range(name: str) -> None:
    (low, high), (group, _, field) = RANGES[name], name.rpartition(".")
    wanted = low if isinstance(low, str) else f"{low} or more" if high is None else f"{low} to {high}"
    below = 0 if isinstance(low, str) else low - 1
    above = [] if high is None else [high + 1]
    is_whole = next(f.type for f in fields(KINDS[group]) if f.name == field) == "int"
    for value in (below, *above, *(() if is_whole else (math.nan, math.inf, -math.inf))):
        with pytest.raises(OptionError) as error:
            replace(KINDS[group](), **{field: value})
        start = str(error.value).partition(", found")[0].replace("0.0", "0").replace("1.0", "1")
        words = f"option out of range in {name}: expected {wanted}".replace("0.0", "0").replace("1.0", "1")
        assert start == words
    ends = [end for end in (low, high) if isinstance(end, int | float)]
    for end in ends:
        if name not in ("grid.finest", "grid.coarsest"):  # of which one must not be above the other
            replace(KINDS[group](), **{field: end})
