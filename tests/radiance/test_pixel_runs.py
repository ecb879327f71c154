"""Runs of rows hold the same rows, in the same order, as a list of them would."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyview.radiance.pixel_runs import runs_of


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=30), max_size=4))
def test_every_true_row_is_there_once(parts: list[list[bool]]) -> None:
    flags = [np.array(part, bool) for part in parts]
    wanted = np.flatnonzero(np.concatenate([np.zeros(0, bool), *flags]))
    runs = runs_of(flags)
    assert runs.count == len(wanted)
    assert runs.at(torch.arange(len(wanted))).tolist() == wanted.tolist()
    assert runs.at(torch.arange(len(wanted)).flip(0)).tolist() == wanted[::-1].tolist()
