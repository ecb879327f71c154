"""The loop in two processes: they learn what one would with both batches; only the first writes; all stop together."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anyview.compute import cpu_count
from anyview.errors import OptionError
from anyview.training.checkpoint import load_checkpoint
from anyview.training.group import Group
from anyview.training.log import TIME_COLUMNS, read_log
from anyview.training.loop import train
from anyview.training.several import as_one
from shared_trainee import OPTIONS, Shared, draw, loss_of, scenario
from small_trainee import Notes, same

pytestmark = pytest.mark.skipif(cpu_count() < 2, reason="two processes want two cores")
Done = tuple[Path, list[dict[str, Any]], Notes]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The scenario's folder, what both processes have seen, what was told."""
    folder, notes = tmp_path_factory.mktemp("runs"), Notes()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        yield folder, as_one(OPTIONS, scenario, notes, folder), notes
    signal.signal(signal.SIGINT, before)


def state(run: Path, step: int) -> tuple[Any, dict[str, Any]]:
    return load_checkpoint(run / "checkpoints" / f"step_{step:08d}.safetensors")


def test_two_learn_as_one_with_both_batches(done: Done) -> None:
    folder, _, _ = done
    torch.manual_seed(3)
    net = nn.Linear(3, 2)
    adam = torch.optim.Adam(net.parameters(), 0.1)
    second = Group(1, 2)
    generators = [torch.Generator().manual_seed(1), torch.Generator().manual_seed(second.seed(1))]
    own = [torch.default_generator, torch.Generator().manual_seed(second.seed(3))]
    log = dict(zip(*(read_log(folder / "whole")[name].tolist() for name in ("step", "loss")), strict=True))
    for step in range(1, 13):
        loss = loss_of(net, torch.cat([draw(*pair) for pair in zip(generators, own, strict=True)]))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % 3 == 0:
            assert log[step] == pytest.approx(float(loss.detach()), rel=1e-5)
        if step in (5, 10):  # a validation draws, in the first process alone
            torch.randn((), generator=generators[0])
        for name, value in net.named_parameters():
            torch.testing.assert_close(
                state(folder / "whole", step)[0]["trainee"]["net"][name], value, rtol=0, atol=2e-6
            )


def test_only_the_first_validates_and_writes(done: Done) -> None:
    folder, seen, notes = done
    assert [one["validated"] for one in seen] == [3, 0]
    assert seen[0]["digest"] == seen[1]["digest"]
    assert read_log(folder / "whole")["step"].tolist() == [3, 5, 6, 9, 10, 12]
    assert notes.stages == [("training", 12)]
    assert not list(folder.rglob("*.tmp*"))


def test_all_stop_together_and_go_on(done: Done) -> None:
    folder, seen, _ = done
    assert [(one["stopped"], one["resumed"]) for one in seen] == [(True, 12)] * 2
    for step in (3, 12):
        (found, meta), (wanted, said) = (state(folder / run, step) for run in ("stopped", "whole"))
        assert same(found, wanted)
        assert meta["config"] == said["config"]
        assert len(found["others"]) == 1
    rows = [read_log(folder / run) for run in ("stopped", "whole")]
    for name in rows[0].keys() - {*TIME_COLUMNS}:
        assert same(rows[0][name].tolist(), rows[1][name].tolist())


def test_poison_anywhere_stops_all(done: Done) -> None:
    folder, seen, _ = done
    run = folder / "poisoned"
    assert {one["poisoned"] for one in seen} == {
        f"the loss is not finite in step 4 of {run}; the batch of step 4 is in nan_batch_4.safetensors, and earlier "
        "checkpoints stay; try a lower learning rate in another --out"
    }
    batch, _ = load_checkpoint(run / "nan_batch_4.safetensors")
    assert {name: tuple(value.shape) for name, value in batch.items()} == {"data": (6, 3), "process 2/data": (6, 3)}
    assert not torch.equal(batch["data"], batch["process 2/data"])


def test_weights_that_grow_apart_are_noticed(done: Done) -> None:
    folder, seen, _ = done
    assert {one["apart"] for one in seen} == {
        f"the weights are no longer the same in all processes in step 6 of {folder / 'apart'}; train on devices of one "
        "kind, or on one"
    }


def test_a_limit_of_time_is_everybody_s(done: Done) -> None:
    _, seen, _ = done
    (steps, best), others = seen[0]["limited"], seen[1]["limited"]
    assert steps > 1
    assert 0 < best <= steps
    assert others == (steps, best)


def test_another_number_of_processes_is_refused(done: Done) -> None:
    folder, _, _ = done
    with pytest.raises(OptionError) as caught:
        train(Shared(), folder / "whole", replace(OPTIONS, devices=1, steps=20), {})
    assert str(caught.value) == (
        f"option `loop.devices` is not what this run began with in {folder / 'whole'}: expected 2, found 1; leave it "
        "as it was, or choose another --out"
    )


def test_a_model_that_nobody_starts_processes_for(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        train(Shared(), tmp_path, OPTIONS, {})
    assert str(caught.value) == "this model trains on one device in loop.devices: expected 1, found 2"
