"""The loop: a run that is stopped in any way ends with the same tensors as one that is not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from anyview.errors import OptionError, OutOfMemoryError, WorkspaceError
from anyview.training.checkpoint import Checkpoints, load_checkpoint
from anyview.training.log import TIME_COLUMNS, read_log
from anyview.training.loop import LoopOptions, TrainingResult, train
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Workspace
from small_trainee import Illustrating, Killed, Notes, Small, at, kill, same

OPTIONS = LoopOptions(steps=24, log_every=3, validate_every=5, save_every_seconds=0, seed=3, device="cpu")
CONFIG = {"width": 4, "data": {"name": "noise", "sizes": (1, 2)}}


@pytest.fixture(autouse=True)
def usual_ctrl_c() -> Iterator[None]:
    """Where tests run in the background, Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # the loop has put it back
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)


def run(out: Path, trainee: Small | None = None, options: LoopOptions = OPTIONS, **more: Any) -> TrainingResult:
    return train(trainee or Small(), out, options, {**CONFIG, **more})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        run(out)
    return out


def check_same(out: Path, whole: Path) -> None:
    """Tensors, structure and log of two runs, all but their times."""
    for name in ("step_00000024.safetensors", "best.safetensors"):
        (state, meta), (wanted, said) = (load_checkpoint(folder / "checkpoints" / name) for folder in (out, whole))
        assert same(state, wanted), name
        for times in (meta["run"], said["run"]):
            del times["seconds"], times["reserve"]
        assert meta == said
    found, expected = read_log(out), read_log(whole)
    assert list(found) == list(expected)
    for column in found:
        if column not in TIME_COLUMNS:
            assert same(found[column].tolist(), expected[column].tolist()), column


def test_an_undisturbed_run(whole: Path) -> None:
    log = read_log(whole)
    assert log["step"].tolist() == [3, 5, 6, 9, 10, 12, 15, 18, 20, 21, 24]
    assert list(log) == ["step", "loss", "items", "lr", "seconds", "validation/psnr"]
    assert [s for s, v in zip(log["step"], log["validation/psnr"], strict=True) if v == v] == [5, 10, 15, 20, 24]
    names = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert names == ["best.safetensors", "step_00000023.safetensors", "step_00000024.safetensors"]


def test_what_is_told_of_the_moment(tmp_path: Path) -> None:
    trainee = Small()
    run(tmp_path, trainee)
    assert [m.step for m in trainee.moments] == [*range(24)]
    assert [m.share for m in trainee.moments] == [s / 24 for s in range(24)]
    assert [(m.step, m.share) for m in trainee.validated] == [(s, s / 24) for s in (5, 10, 15, 20, 24)]


@pytest.mark.parametrize(("name", "step"), [("SIGINT", 5), ("SIGTERM", 13), ("SIGINT", 24)])
def test_interrupted_and_resumed(name: str, step: int, tmp_path: Path, whole: Path) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)
    trainee = Small(at(step, lambda: signal.raise_signal(number)))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trainee, LoopOptions(**{**vars(OPTIONS), "save_every_seconds": 1e9}))
    assert len(trainee.moments) == step  # the step was finished, no other begun
    assert signal.getsignal(number) is before
    assert Checkpoints(tmp_path / "checkpoints").path(step).exists()
    rest = Small()
    run(tmp_path, rest)
    assert len(rest.moments) == 24 - step
    check_same(tmp_path, whole)


def test_interrupted_at_every_step(tmp_path: Path, whole: Path) -> None:
    for step in range(1, 25):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, Small(at(step, lambda: signal.raise_signal(signal.SIGINT))))
    run(tmp_path)
    check_same(tmp_path, whole)


@pytest.mark.parametrize("every", [0, 1e9])
@pytest.mark.parametrize("step", [1, 6, 24])
def test_killed_and_resumed(step: int, every: float, tmp_path: Path, whole: Path) -> None:
    options = LoopOptions(**{**vars(OPTIONS), "save_every_seconds": every})
    with pytest.raises(Killed):
        run(tmp_path, Small(at(step, kill)), options)
    best = tmp_path / "checkpoints" / "best.safetensors"
    done = load_checkpoint(best)[1]["run"]["step"] if best.exists() else 0
    rest = Small()
    run(tmp_path, rest, options)
    assert len(rest.moments) == (24 - step + 1 if every == 0 else 24 - done)
    if every == 0:  # else there is one checkpoint less in the folder, and the same in those that are
        check_same(tmp_path, whole)
    assert same(*(load_checkpoint(r / "checkpoints" / "step_00000024.safetensors")[0] for r in (tmp_path, whole)))


def test_killed_in_a_validation(tmp_path: Path, whole: Path) -> None:
    trainee = Small()
    trainee.figures = lambda moment: kill() if moment.step == 10 else {"psnr": trainee.distance()}
    with pytest.raises(Killed):
        run(tmp_path, trainee)
    run(tmp_path)
    check_same(tmp_path, whole)


def shown(run: Path) -> dict[str, int]:
    """The grey of each picture."""
    return {path.name: Image.open(path).getpixel((0, 0))[0] for path in sorted((run / "validation").iterdir())}  # type: ignore[index]


def test_each_validation_has_its_picture(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, Illustrating(after=at(13, kill)))
    assert shown(tmp_path) == {"00000005.png": 5, "00000010.png": 10}
    run(tmp_path, Illustrating())
    assert shown(tmp_path) == {f"{step:08d}.png": step for step in (5, 10, 15, 20, 24)}
    check_same(tmp_path, whole)  # a trainee that shows nothing learns the same
    assert not (whole / "validation").exists()


def test_a_damaged_checkpoint_costs_its_steps_and_no_more(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, Small(at(12, kill)))
    newest = Checkpoints(tmp_path / "checkpoints").path(11)
    newest.write_bytes(newest.read_bytes()[:-1])
    notes = Notes()
    rest = Small()
    train(rest, tmp_path, OPTIONS, CONFIG, notes)
    assert rest.moments[0].step == 10
    assert notes.said[0].startswith("checkpoint is damaged or cut short in ")
    assert notes.said[1] == "going on from step 10"
    check_same(tmp_path, whole)


def test_where_all_steps_are_damaged_the_best_goes_on(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, Small(at(12, kill)))
    for path in (tmp_path / "checkpoints").glob("step_*"):
        path.write_bytes(path.read_bytes()[:-1])
    best = load_checkpoint(tmp_path / "checkpoints" / "best.safetensors")[1]["run"]["step"]
    notes, rest = Notes(), Small()
    train(rest, tmp_path, OPTIONS, CONFIG, notes)
    assert rest.moments[0].step == best
    assert [said.split("; ")[-1] for said in notes.said[:3]] == [
        *["going on from best.safetensors"] * 2,
        f"going on from step {best}",
    ]
    check_same(tmp_path, whole)


def test_a_finished_run_returns_at_once(tmp_path: Path) -> None:
    first = run(tmp_path)
    content = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    trainee = Small()
    assert run(tmp_path, trainee) == first
    assert trainee.setups == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == content
    assert first.step == 24
    assert first.checkpoint == tmp_path / "checkpoints" / "best.safetensors"


def test_a_finished_run_goes_on_to_more_steps(tmp_path: Path) -> None:
    run(tmp_path)
    trainee = Small()
    result = run(tmp_path, trainee, LoopOptions(**{**vars(OPTIONS), "steps": 30, "log_every": 1, "validate_every": 7}))
    assert [m.step for m in trainee.moments] == [*range(24, 30)]
    assert trainee.moments[0].share == 24 / 30
    assert result.step == 30
    assert read_log(tmp_path)["step"].tolist()[-4:] == [27, 28, 29, 30]


def test_another_seed_is_another_run(tmp_path: Path, whole: Path) -> None:
    run(tmp_path, options=LoopOptions(**{**vars(OPTIONS), "seed": 4}))
    states = [load_checkpoint(r / "checkpoints" / "step_00000024.safetensors")[0]["trainee"] for r in (tmp_path, whole)]
    assert not torch.equal(*(state["critic"]["weight"] for state in states))


def test_the_scale_of_losses_in_16_bits_is_resumed(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    class Scaled(Small):
        def setup(self, fabric: Any) -> None:
            super().setup(fabric)
            fabric.strategy.precision.state_dict = lambda: {"scale": 2.0 ** len(self.moments)}
            fabric.strategy.precision.load_state_dict = seen.append

    with pytest.raises(Killed):
        run(tmp_path, Scaled(at(6, kill)))
    run(tmp_path, Scaled())
    assert seen == [{"scale": 32.0}]


# the best


@pytest.mark.parametrize(("best_is", "step"), [("largest", 10), ("smallest", 15)])
def test_the_best_is_kept(best_is: str, step: int, tmp_path: Path) -> None:
    trainee = Small()
    values = {5: float("nan"), 10: 3.0, 15: 1.0, 20: 3.0, 24: 2.0}
    trainee.figures = lambda moment: {"lpips": values[moment.step], "psnr": moment.step}
    result = run(tmp_path, trainee, LoopOptions(**{**vars(OPTIONS), "better": "lpips", "best_is": best_is}))
    assert result.best is not None
    assert (result.best.figure, result.best.value, result.best.step) == ("lpips", values[step], step)
    assert result.figures == {"lpips": 2.0, "psnr": 24.0}
    state, meta = load_checkpoint(result.checkpoint)
    assert meta["run"]["step"] == meta["run"]["best"]["step"] == step
    assert state["trainee"]["cursor"] == {"place": step}


def test_without_figures_there_is_no_best(tmp_path: Path) -> None:
    trainee = Small()
    trainee.figures = lambda moment: {}
    result = run(tmp_path, trainee)
    assert result.best is None
    assert result.checkpoint == tmp_path / "checkpoints" / "step_00000024.safetensors"
    assert result.checkpoint.exists()
    assert not (tmp_path / "checkpoints" / "best.safetensors").exists()


def test_a_figure_that_is_not_there_is_told(tmp_path: Path) -> None:
    notes = Notes()
    train(Small(), tmp_path, LoopOptions(**{**vars(OPTIONS), "better": "ssim"}), CONFIG, notes)
    assert notes.said.count("no figure `ssim` among psnr: no best checkpoint is kept") == 5


# refusals


def refusal(out: Path, kind: type[Exception], trainee: Small | None = None, **more: Any) -> str:
    """What is said, while the run stays as it was and nothing is set up."""
    content = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    trainee = trainee or Small()
    options = LoopOptions(**{**vars(OPTIONS), **{k: more.pop(k) for k in list(more) if k in vars(OPTIONS)}})
    with pytest.raises(kind) as caught:
        run(out, trainee, options, **more)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == content
    return str(caught.value)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in its middle."""
    out = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
        with pytest.raises(Killed):
            run(out, Small(at(12, kill)))
    return out


HINT = "leave it as it was, or choose another --out"


def test_another_option_is_refused(stopped: Path) -> None:
    start = "is not what this run began with in " + str(stopped)
    assert refusal(stopped, OptionError, width=5) == f"option `width` {start}: expected 4, found 5; {HINT}"
    data = {"name": "noise", "sizes": (1, 3)}
    assert refusal(stopped, OptionError, data=data) == (
        f"option `data.sizes` {start}: expected [1, 2], found [1, 3]; {HINT}"
    )
    assert refusal(stopped, OptionError, data={"name": "noise"}) == (
        f"option `data.sizes` {start}: expected [1, 2], found (nothing); {HINT}"
    )
    assert refusal(stopped, OptionError, extra=None) == (
        f"option `extra` {start}: expected (nothing), found null; {HINT}"
    )
    assert refusal(stopped, OptionError, seed=8) == f"option `loop.seed` {start}: expected 3, found 8; {HINT}"
    assert refusal(stopped, OptionError, better="ssim") == (
        f'option `loop.better` {start}: expected "psnr", found "ssim"; {HINT}'
    )


def test_another_model_is_refused(stopped: Path) -> None:
    other, newer = Small(), Small()
    other.name, newer.version = "large", 2
    assert refusal(stopped, WorkspaceError, other) == (
        f"checkpoints are of another model in {stopped}: expected large, found small; choose another --out"
    )
    assert refusal(stopped, WorkspaceError, newer) == (
        f"checkpoints are of another version of the model in {stopped}: expected 2, found 1; choose another --out"
    )


def test_a_state_that_does_not_fit_is_refused(stopped: Path) -> None:
    start = f"the checkpoint does not fit the model in {stopped}: expected "
    wide = refusal(stopped, WorkspaceError, Small(width=5))
    assert wide.startswith(
        f"{start}the state of `net`, found Error(s) in loading state_dict for Sequential: size mismatch"
    )
    assert wide.endswith("; choose another --out")

    class Less(Small):
        def state(self) -> dict[str, Any]:
            return {name: part for name, part in super().state().items() if name != "sgd"}

    assert refusal(stopped, WorkspaceError, Less()) == (
        f"{start}adam, average, critic, cursor, generator, net, found adam, average, critic, cursor, generator, net, "
        "sgd; choose another --out"
    )


def test_a_changed_frequency_or_end_is_no_other_run(tmp_path: Path, stopped: Path) -> None:
    import shutil

    shutil.copytree(stopped, tmp_path / "run")
    options = LoopOptions(
        steps=20, log_every=1, validate_every=2, save_every_seconds=7, keep=1, max_minutes=1e6, seed=3, device="cpu"
    )
    assert run(tmp_path / "run", options=options).step == 20


def test_two_commands_never_train_the_same_run(tmp_path: Path) -> None:
    trainee = Small()
    with hold(Workspace(tmp_path)), pytest.raises(WorkspaceError) as caught:
        run(tmp_path, trainee)
    assert str(caught.value) == (
        f"another run works in this folder in {tmp_path}; wait for it, or choose another --out"
    )
    assert trainee.setups == 0
    run(tmp_path)


def test_what_begins_with_the_run(tmp_path: Path) -> None:
    """Told in the locked folder once all is ready, before the first step; never where the command is refused."""
    begun: list[tuple[int, int]] = []

    def attempt(trainee: Small, options: LoopOptions = OPTIONS, config: Any = CONFIG) -> None:
        def begin() -> None:
            with pytest.raises(WorkspaceError, match="another run works in this folder"), hold(Workspace(tmp_path)):
                pass
            begun.append((trainee.setups, len(trainee.moments)))

        train(trainee, tmp_path, options, config, begin=begin)

    failing = Small()
    failing.setup = lambda fabric: kill()  # type: ignore[method-assign]
    with pytest.raises(Killed):
        attempt(failing)
    with hold(Workspace(tmp_path)), pytest.raises(WorkspaceError):
        attempt(Small())
    assert begun == []
    attempt(Small())
    attempt(Small())  # finished
    assert begun == [(1, 0), (0, 0)]
    longer = LoopOptions(**{**vars(OPTIONS), "steps": 30})
    with pytest.raises(OptionError):
        attempt(Small(), longer, {**CONFIG, "width": 5})
    with pytest.raises(WorkspaceError, match="does not fit the model"):
        attempt(Small(width=5), longer)
    assert len(begun) == 2


@pytest.mark.parametrize("seed", [-1, 1 << 63, 1 << 64])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(OptionError) as caught:
        LoopOptions(seed=seed)
    assert str(caught.value) == f"option out of range in seed: expected 0 to 2**63 - 1, found {seed}"


def test_the_largest_seed(tmp_path: Path) -> None:
    options = LoopOptions(**{**vars(OPTIONS), "seed": (1 << 63) - 1, "steps": 1})
    assert run(tmp_path, options=options).step == 1


def test_more_devices_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.training.devices.cpu_count", lambda: 2)
    with pytest.raises(OptionError) as caught:
        run(tmp_path, options=LoopOptions(device="cpu", devices=3))
    assert str(caught.value) == (
        "there are not so many devices in loop.devices: expected at most 2 of the processor's cores, found 3"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(OptionError, match=r"in loop\.devices: expected at most 1 of the GPUs, found 2$"):
        run(tmp_path, options=LoopOptions(device="cuda", devices=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        run(tmp_path, options=LoopOptions(device="cuda"))
    assert str(caught.value) == (
        f"torch finds no GPU: expected an NVIDIA GPU and a torch built for it, found torch {torch.__version__}; use "
        "the processor (device cpu), or install torch for CUDA"
    )
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_full(tmp_path: Path) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemoryError) as caught:
        run(tmp_path, Small(at(7, full)))
    assert str(caught.value) == (
        f"out of memory on the GPU in step 7 of {tmp_path}; close other programs that use it, or choose a smaller "
        "batch and another --out"
    )


def test_progress_counts_what_is_left(tmp_path: Path) -> None:
    notes = Notes()
    with pytest.raises(Killed):
        train(Small(at(12, kill)), tmp_path, OPTIONS, CONFIG, notes)
    train(Small(), tmp_path, OPTIONS, CONFIG, notes)
    assert notes.stages == [("training", 24), ("training", 13)]
    assert notes.done == 11 + 13
