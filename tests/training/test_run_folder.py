"""A run's folder as every engine opens it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyview.errors import WorkspaceError
from anyview.training.checkpoint import Found
from anyview.training.run_folder import averaged, check_model, fits_the_model


def test_the_average_counts_where_there_is_one() -> None:
    state = {"network": {"a": torch.zeros(1), "steps": torch.ones(1)}}
    assert float(averaged(state, "network")["a"]) == 0
    weights = averaged({**state, "ema": {"averages": {"a": torch.full((1,), 2.0)}}}, "network")
    assert (float(weights["a"]), float(weights["steps"])) == (2, 1)  # buffers have no average


def test_a_checkpoint_of_another_model_is_named() -> None:
    found = Found({}, {"model": "mip", "version": 2}, Path("run/checkpoints/best.safetensors"))
    check_model(found, Path("run"), "mip", 2)
    with pytest.raises(WorkspaceError, match=r"another model in run: expected mip, version 3, found mip, version 2"):
        check_model(found, Path("run"), "mip", 3)


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("size mismatch"), TypeError("x"), ValueError("y")])
def test_a_state_that_does_not_fit_is_said(error: Exception) -> None:
    with pytest.raises(WorkspaceError, match=r"does not fit the model in best\.safetensors"), fits_the_model(
        Path("best.safetensors")
    ):  # fmt: skip
        raise error
