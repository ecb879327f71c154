"""Two processes train one Mask R-CNN; each checkpoint compares their weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyview.compute import cpu_count
from anyview.training.checkpoint import load_checkpoint
from anyview.training.log import read_log
from little_training import run


@pytest.mark.skipif(cpu_count() < 2, reason="two processes want two cores")
def test_two_processes(tmp_path: Path) -> None:
    settings = ("loop.devices=2", "loop.steps=2", "loop.save_every_seconds=0", "optimiser.ema=0.9", "optimiser.batch=1")
    assert run("synthetic", tmp_path, *settings).step == 2
    log = read_log(tmp_path)
    assert log["items"].tolist() == [2, 2]
    parts = sum(values for name, values in log.items() if name.startswith("loss_"))
    assert log["loss"] == pytest.approx(parts, rel=1e-5)
    state, _ = load_checkpoint(tmp_path / "checkpoints" / "step_00000002.safetensors")
    assert state["trainee"]["batches"]["number"] == 4  # each batch is one process's
    (other,) = state["others"]
    assert other["generator"]["state"].tolist() != state["trainee"]["generator"]["state"].tolist()
