"""How a training ends: in time, poisoned, on a full disk, by a second Ctrl-C; and what is told until then."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anyview.errors import OptionError, TrainingError, WorkspaceError
from anyview.training.checkpoint import Checkpoints, load_checkpoint
from anyview.training.clock import Clock
from anyview.training.interruption import Interruption
from anyview.training.loop import LoopOptions, TrainingResult, train
from anyview.training.trainee import GeneratorState
from anyview.training.watch import LossWatch, bad_weights
from small_trainee import Killed, Notes, Small, at, kill

OPTIONS = LoopOptions(steps=1000, log_every=10, validate_every=20, save_every_seconds=1e9, device="cpu")


class Time:
    """A clock that only this file moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    for module in ("clock", "loop", "session", "telling"):
        monkeypatch.setattr(f"anyview.training.{module}.monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def usual_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Timed(Small):
    """Each setup, step and validation takes its seconds."""

    def __init__(
        self, time: Time, step: float = 1.0, validation: float = 10.0, setup: float = 0.0, **more: Any
    ) -> None:
        super().__init__(**more)
        self.time, self.seconds = time, (setup, step, validation)

    def setup(self, fabric: Any) -> None:
        self.time.now += self.seconds[0]
        super().setup(fabric)

    def step(self, moment: Any) -> Any:
        self.time.now += self.seconds[1]
        return super().step(moment)

    def validate(self, moment: Any) -> Any:
        self.time.now += self.seconds[2]
        return super().validate(moment)


def run(out: Path, trainee: Small, options: LoopOptions = OPTIONS, notes: Notes | None = None) -> TrainingResult:
    return train(trainee, out, options, {}, notes or Notes())


# time


def test_it_ends_in_time_validation_included(tmp_path: Path, time: Time) -> None:
    trainee = Timed(time, setup=5)
    began = time.now
    result = run(tmp_path, trainee, replace(OPTIONS, max_minutes=2))
    # 5 + 20 + 10 + 20 + 10 + 20 + 10 + 15 + 10
    assert [m.step for m in trainee.validated] == [20, 40, 60, 75]
    assert time.now - began == result.seconds == 120
    assert trainee.validated[-1].share == 1
    shares = [m.share for m in trainee.moments]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(109 / 110)
    assert run(tmp_path, Timed(time), replace(OPTIONS, max_minutes=2)) == result  # finished
    assert time.now - began == 120


def test_it_ends_in_time_pictures_included(tmp_path: Path, time: Time) -> None:
    class Slow(Timed):
        def picture(self, moment: Any) -> None:
            self.time.now += 2

    result = run(tmp_path, Slow(time, setup=5), replace(OPTIONS, max_minutes=2))
    # 5 + 20 + 12 + 20 + 12 + 20 + 12 + 7 + 12
    assert (result.step, result.seconds) == (67, 120)
    assert not (tmp_path / "validation").exists()


def test_minutes_count_over_all_parts(tmp_path: Path, time: Time) -> None:
    options = replace(OPTIONS, max_minutes=2, save_every_seconds=0)
    with pytest.raises(Killed):
        run(tmp_path, Timed(time, after=at(50, kill)), options)
    time.now += 1e6  # the night
    rest = Timed(time)
    # 49 steps and two validations took 69 s; the last validation's 10 s are kept for the one at the end
    result = run(tmp_path, rest, options)
    assert [m.step for m in rest.validated] == [60, 80]
    assert rest.moments[0].share == pytest.approx(69 / 110)
    assert result.seconds == 69 + 11 + 10 + 20 + 10
    more = run(tmp_path, Timed(time), replace(options, max_minutes=3))
    assert more.seconds == 180


def test_a_first_validation_tells_in_time_how_long_the_last_one_takes(tmp_path: Path, time: Time) -> None:
    trainee = Timed(time, validation=30)
    result = run(tmp_path, trainee, replace(OPTIONS, steps=None, max_minutes=2, validate_every=10**6))
    assert [m.step for m in trainee.validated] == [31, 60]  # 31 + 30 + 29 + 30
    assert result.seconds == 120


def test_a_validation_that_is_due_when_time_is_over_is_made_once(tmp_path: Path, time: Time) -> None:
    trainee = Timed(time, validation=50)
    result = run(tmp_path, trainee, replace(OPTIONS, max_minutes=2))
    assert [m.step for m in trainee.validated] == [20]
    assert result.seconds == 70  # another step would leave no time for another validation
    assert result.step == 20


def test_without_a_number_of_steps_time_alone_ends_it(tmp_path: Path, time: Time) -> None:
    trainee, notes = Timed(time, setup=5), Notes()
    options = replace(OPTIONS, steps=None, max_minutes=2)
    result = run(tmp_path, trainee, options, notes)
    assert [m.step for m in trainee.validated] == [20, 40, 60, 75]
    assert result.seconds == 120
    assert notes.stages == [("training", 1000 - 41)]  # thousandths of the time; 5 of 120 seconds were over
    assert notes.said[0].startswith("step 10, loss ")
    assert run(tmp_path, Timed(time), options) == result  # finished
    more = run(tmp_path, Timed(time), replace(options, max_minutes=3))
    assert more.seconds == 180
    assert run(tmp_path, Timed(time), replace(OPTIONS, steps=more.step)) == more
    longer = run(tmp_path, Timed(time), replace(OPTIONS, steps=more.step + 3))
    assert longer.step == more.step + 3


def test_an_end_must_be_told(tmp_path: Path) -> None:
    trainee = Small()
    with pytest.raises(OptionError) as error:
        run(tmp_path / "run", trainee, replace(OPTIONS, steps=None))
    assert str(error.value) == "nothing says when training ends: expected a number of steps, or of minutes"
    assert not (tmp_path / "run").exists()


def test_steps_end_it_before_the_time_is_over(tmp_path: Path, time: Time) -> None:
    result = run(tmp_path, Timed(time), replace(OPTIONS, steps=30, max_minutes=60))
    assert (result.step, result.seconds) == (30, 50)


def test_checkpoints_are_saved_by_time(tmp_path: Path, time: Time) -> None:
    seen: list[str] = []
    folder = tmp_path / "checkpoints"

    def look(step: int) -> None:
        seen.extend(p.name for p in folder.glob("step_*") if p.name not in seen)

    run(tmp_path, Timed(time, after=look), replace(OPTIONS, steps=30, save_every_seconds=8))
    look(30)
    # at step 20 there is a validation of ten seconds
    assert sorted(int(name[5:13]) for name in seen) == [8, 16, 20, 28, 30]


def test_the_share_never_goes_back(time: Time) -> None:
    clock = Clock(100, 1.0, time.now, before=30.0)
    assert clock.share(0) == 0.5
    clock.reserve = 20
    assert clock.share(10) == 0.75
    clock.reserve = 0
    assert clock.share(10) == 0.75
    assert clock.share(90) == 0.9
    time.now += 31
    assert clock.share(90) == 1
    assert Clock(100, 1.0, time.now, 0.0, reserve=90.0).share(0) == 1  # not even time to validate
    assert Clock(3, None, time.now, 1e9).share(1) == 1 / 3


# poison


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    trainee = Small()
    trainee.loss = lambda step, loss: loss * float("inf") if step == 17 else loss
    with pytest.raises(TrainingError) as caught:
        run(tmp_path, trainee, replace(OPTIONS, save_every_seconds=0))
    assert str(caught.value) == (
        f"the loss is not finite in step 17 of {tmp_path}; the batch of step 17 is in nan_batch_17.safetensors, and "
        "earlier checkpoints stay; try a lower learning rate in another --out"
    )
    batch, meta = load_checkpoint(tmp_path / "nan_batch_17.safetensors")
    assert torch.equal(batch["data"], trainee.data)
    assert meta == {"model": "small", "step": 17}
    assert sorted(p.name[5:13] for p in (tmp_path / "checkpoints").iterdir()) == ["00000015", "00000016"]


@pytest.mark.parametrize("loss", [float("nan"), torch.tensor(float("nan")), torch.tensor([float("-inf")])])
def test_all_that_is_not_finite(loss: Any) -> None:
    watch = LossWatch()
    assert not watch.see(1, 3.0)
    assert not watch.see(2, torch.tensor(2.0))
    assert watch.first() is None
    assert watch.see(3, loss)
    assert watch.see(4, 1.0)
    assert watch.first() == 3


def test_marks_left_on_a_device_are_read_later() -> None:
    watch = LossWatch()
    for step in range(1, 6):
        watch._see_later(step, torch.tensor(float("nan") if step in (3, 4) else 1.0))
    assert watch._first > 5
    assert watch.first() == 3


def test_poisoned_weights_never_become_a_checkpoint(tmp_path: Path) -> None:
    trainee = Small()

    def poison(step: int) -> None:
        if step == 13:  # the loss of this step was fine
            with torch.no_grad():
                trainee.critic.module.weight[0, 1] = float("inf")

    trainee.after = poison
    with pytest.raises(TrainingError) as caught:
        run(tmp_path, trainee, replace(OPTIONS, save_every_seconds=0))
    words = str(caught.value)
    assert words.startswith("the weights `critic._forward_module.weight` are not finite in step 13 of ")
    assert "batch of step 13 is in nan_batch_13.safetensors" in words
    found = Checkpoints(tmp_path / "checkpoints").latest(pytest.fail)
    assert found is not None
    assert found[1]["run"]["step"] == 12
    assert torch.isfinite(found[0]["trainee"]["critic"]["weight"]).all()


def test_poison_is_not_saved_on_ctrl_c_nor_as_the_best(tmp_path: Path) -> None:
    def both() -> None:
        signal.raise_signal(signal.SIGINT)
        trainee.loss = lambda step, loss: float("nan")

    trainee = Small(at(3, both))
    with pytest.raises(TrainingError):
        run(tmp_path, trainee)
    assert not (tmp_path / "checkpoints").exists()

    def spoil() -> None:
        nn.init.constant_(other.net.module[0].weight, float("nan"))

    other = Small(at(20, spoil))
    other.figures = lambda moment: {"psnr": 1.0}
    with pytest.raises(TrainingError):
        run(tmp_path, other)
    assert not (tmp_path / "checkpoints").exists()


def test_bad_weights_are_named() -> None:
    good, bad = nn.Linear(2, 2), nn.Linear(2, 2)
    bad.register_buffer("mask", torch.tensor(float("-inf")))
    assert bad_weights({"a": good, "b": bad, "c": 3}) is None  # buffers may be infinite
    nn.init.constant_(bad.bias, float("nan"))
    assert bad_weights({"a": good, "b": bad}) == "b.bias"
    assert bad_weights({}) is None


# a full disk


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.fsync

    def full(descriptor: int) -> None:
        if "step_00000004" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    options = replace(OPTIONS, steps=10, save_every_seconds=0)
    with pytest.raises(WorkspaceError) as caught:
        run(tmp_path, Small(), options)
    path = tmp_path / "checkpoints" / "step_00000004.safetensors"
    assert str(caught.value) == f"disk is full in {path}; free space and run the same command: it resumes"
    assert sorted(p.name[5:13] for p in path.parent.iterdir()) == ["00000002", "00000003"]
    monkeypatch.undo()
    rest = Small()
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    run(tmp_path, rest, options)
    assert rest.moments[0].step == 3


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with pytest.raises(WorkspaceError, match=r"^disk is full in "):
            run(disk / "run", Small(width=60_000), replace(OPTIONS, steps=3, save_every_seconds=0, keep=1))
        (disk / "run" / "other").write_bytes(b"")
        assert not list((disk / "run" / "checkpoints").glob(".*"))  # nothing half written
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# signals


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    reached: list[int] = []

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append(1)
        signal.raise_signal(signal.SIGTERM)
        reached.append(2)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Small(at(5, twice)))
    assert reached == [1]
    assert not (tmp_path / "checkpoints").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert not interruption.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_train_without_signals(tmp_path: Path) -> None:
    results: list[TrainingResult] = []
    options = replace(OPTIONS, steps=3)
    thread = threading.Thread(target=lambda: results.append(run(tmp_path, Small(), options)))
    thread.start()
    thread.join()
    assert results[0].step == 3


# telling


def test_what_is_told(tmp_path: Path, time: Time) -> None:
    notes = Notes()
    trainee = Timed(time, step=4, validation=0)
    trainee.loss = lambda step, loss: 0.125
    trainee.figures = lambda moment: {"psnr": 21.347}
    run(tmp_path, trainee, replace(OPTIONS, steps=60), notes)
    assert notes.said[:2] == [
        "step 3/60, loss 0.125, 1.5 rows/s, about 4 min left",
        "step 6/60, loss 0.125, 1.5 rows/s, about 4 min left",
    ]
    assert notes.said[-1] == "step 60/60, loss 0.125, 1.5 rows/s, psnr 21.35, about 0 s left"


def test_the_figure_that_chooses_the_best_is_told(tmp_path: Path, time: Time) -> None:
    notes = Notes()
    trainee = Timed(time, step=4, validation=0)
    trainee.loss = lambda step, loss: 0.125
    trainee.figures = lambda moment: {"psnr": 21.347, "mask_ap": 0.41236}
    run(tmp_path, trainee, replace(OPTIONS, steps=60, better="mask_ap"), notes)
    assert notes.said[0] == "step 3/60, loss 0.125, 1.5 rows/s, about 4 min left"
    assert notes.said[-1] == "step 60/60, loss 0.125, 1.5 rows/s, mask ap 0.4124, about 0 s left"


# random sequences


def test_a_generator_goes_on_where_it_was() -> None:
    first, second = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    torch.rand(7, generator=first)
    GeneratorState(second).load_state_dict(GeneratorState(first).state_dict())
    assert torch.equal(torch.rand(9, generator=first), torch.rand(9, generator=second))


def test_a_generators_state_of_another_kind_of_device_decides_the_sequence() -> None:
    draws = []
    for seed in (1, 1, 2):
        state = {"device": "cuda", "state": torch.full((16,), seed, dtype=torch.uint8)}
        generator = torch.Generator()
        GeneratorState(generator).load_state_dict(state)
        draws.append(torch.rand(3, generator=generator))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
