"""Two processes with a batch each learn what one learns with both batches, up to the order of sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from anyview.compute import cpu_count
from anyview.training.checkpoint import load_checkpoint
from anyview.training.log import read_log
from anyview.training.options import LoopOptions
from anyview.training.several import as_one
from anyview.training.trainee import Moment
from several_fields import STEPS, scenario, with_both_batches
from small_trainee import Notes, same
from soft_run import soft_scene

pytestmark = pytest.mark.skipif(cpu_count() < 2, reason="two processes want two cores")
Done = tuple[str, Path, list[dict[str, Any]], Notes]


@pytest.fixture(scope="module", params=["mip", "grid"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Of each field: the scenario's folder, what both processes have seen, what was told."""
    folder, notes = tmp_path_factory.mktemp(request.param), Notes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        seen = as_one(LoopOptions(device="cpu", devices=2), scenario, notes, request.param, soft_scene(), folder)
    return request.param, folder, seen, notes


def state(run: Path, step: int) -> dict[str, Any]:
    return load_checkpoint(run / "checkpoints" / f"step_{step:08d}.safetensors")[0]["trainee"]


def checkpoint(run: Path, step: int) -> dict[str, Any]:
    return load_checkpoint(run / "checkpoints" / f"step_{step:08d}.safetensors")[0]["trainee"]


def test_two_learn_as_one_with_both_batches(done: Done) -> None:
    """Of all numbers the largest is 0.6; rates are 0.005 and 0.01."""
    field, folder, _, _ = done
    log = read_log(folder / "plain")
    with with_both_batches(field) as made:
        for step in range(1, STEPS + 1):
            scalars = made.step(Moment(step - 1, (step - 1) / STEPS))
            (row,) = (log["step"] == step).nonzero()[0]
            assert log["loss"][row] == pytest.approx(float(scalars["loss"]), rel=1e-6)  # off by 2e-7
            assert log["items"][row] == scalars["items"]
            found = checkpoint(folder / "plain", step)
            for name, part in made.state().items():
                if name in ("model", "field"):
                    weights = {key: value for key, value in part.state_dict().items() if "occupancy" not in key}
                    for key, value in weights.items():
                        torch.testing.assert_close(found[name][key], value, rtol=0, atol=1e-6)  # off by 3e-7, 1e-8
                elif "adam" in name:
                    for index, own in part.state_dict()["state"].items():
                        mean = "mean" if name == "table_adam" else "exp_avg"  # of gradients
                        error = (found[name]["state"][index][mean] - own[mean]).abs().max()
                        assert error < 3e-6 * own[mean].abs().max()  # off by 5e-7


def test_only_the_first_tells_and_writes(done: Done) -> None:
    _, folder, _, notes = done
    assert notes.stages == [("reading images", 3), ("training", STEPS)]
    assert {path.name for path in folder.iterdir()} >= {"plain", "little"}
    assert [path.name for path in (folder / "plain" / "validation").iterdir()] == [f"{STEPS:08d}.png"]


def test_too_little_memory_in_one_is_heeded_by_all(done: Done) -> None:
    field, folder, seen, _ = done
    assert [one["notes"] for one in seen] == [["out of memory: a step's rays are 2 parts from here on"]] * 2
    assert checkpoint(folder / "little", 1)["parts"] == {"count": 2}
    assert len(read_log(folder / "little")["step"]) == STEPS
    pixels = folder / "little" / "pixels.bin"  # which both read
    assert pixels.stat().st_size == 3 * 16 * 16 * 4
    if field == "mip":  # the same pixels, in parts
        losses = [read_log(folder / run)["loss"][0] for run in ("plain", "little")]
        assert losses[1] == pytest.approx(losses[0], rel=0.1)  # places along rays are drawn in another order


@pytest.mark.parametrize("contraction", ["none", "cube"])
def test_cells_are_the_same_in_both(done: Done, contraction: str) -> None:
    field, _, seen, _ = done
    if field == "mip":
        return
    first, second = (one[contraction] for one in seen)
    assert same(first, second)
    opened = first["occupancy.open"].float().mean()
    assert 0.05 < opened < 0.95
    assert float(first["occupancy.updates"]) == STEPS
