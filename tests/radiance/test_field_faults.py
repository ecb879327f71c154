"""What can go wrong beneath the training of a field, for both fields: one clear sentence, or it goes on."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anyview.errors import OutOfMemoryError, SceneError, TrainingError, WorkspaceError
from anyview.radiance import occupancy, train_grid
from anyview.radiance.evaluate import evaluate
from anyview.radiance.fields.grid import GridField
from anyview.radiance.fields.mip import MipNeRF
from anyview.radiance.rays import Rays
from anyview.radiance.run import open_run
from anyview.radiance.train import train_field
from anyview.radiance.train_grid import GridTrainee
from anyview.radiance.train_mip import MipTrainee
from anyview.training.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from anyview.training.trainee import Moment
from small_trainee import Killed, Notes, same
from soft_run import small_options, soft_run, soft_scene, soft_trainee
from soft_scene import write_soft_scene
from tiny_scene import edit_json

FIELDS = ("mip", "grid")
TRAINEES: dict[str, type[MipTrainee] | type[GridTrainee]] = {"mip": MipTrainee, "grid": GridTrainee}
OFTEN = "loop.save_every_seconds=0"


@pytest.fixture(params=FIELDS)
def field(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C is heard; cells are closed within the few steps of these runs."""
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)
    monkeypatch.setattr(train_grid, "_UPDATE_EVERY", 1)
    monkeypatch.setattr(occupancy, "_PRUNE_FROM", 2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def train(out: Path, field: str, *settings: str, scene: Path | None = None, notes: Notes | None = None) -> Any:
    options = small_options(f"field={field}", OFTEN, *settings)
    return train_field(scene or soft_scene(), out, options, notes or Notes())


def before_step(number: int, field: str, what: Callable[[Any], None], patch: pytest.MonkeyPatch) -> None:
    """Do something to the trainee when so many steps are done."""
    plain = TRAINEES[field].step

    def step(self: Any, moment: Moment) -> Any:
        if moment.step == number:
            what(self)
        return plain(self, moment)

    patch.setattr(TRAINEES[field], "step", step)


def last(run: Path) -> Any:
    found = Checkpoints(run / "checkpoints").latest(pytest.fail)
    assert found is not None
    return found[0]


# scenes


def away(scene: Path) -> None:
    """The second camera goes where it sees nothing of the box."""
    edit_json(scene / "transforms_train.json", lambda c: c["frames"][1]["transform_matrix"][0].__setitem__(3, 90.0))


def smaller(scene: Path) -> None:
    Image.new("RGBA", (8, 8)).save(scene / "train" / "r_1.png")


def without_training(scene: Path) -> None:
    (scene / "transforms_train.json").rename(scene / "transforms_val.json")


@pytest.mark.parametrize(
    ("spoil", "settings", "words"),
    [
        (away, ["data.bounds=[-1,-1,-1,1,1,1]"], "a camera sees nothing of the box of interest in view train/r_1"),
        (smaller, [], "images of different sizes in one scene in views train/r_0.png and train/r_1.png: expected 12x"),
        (without_training, [], "no training views in "),
        (lambda scene: None, ["data.near=7"], "near is not before far in "),
    ],
)
def test_scenes_that_cannot_be_learnt_from(
    field: str, spoil: Callable[[Path], None], settings: list[str], words: str, tmp_path: Path
) -> None:
    scene = write_soft_scene(tmp_path / "scene", 3, size=12)
    spoil(scene)
    with pytest.raises(SceneError) as error:
        train(tmp_path / "run", field, *settings, scene=scene)
    assert str(error.value).startswith(words)
    assert not list(tmp_path.rglob("checkpoints"))


# poison


def test_a_loss_that_is_not_a_number(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(trainee: Any) -> None:
        def mixed(*given: Any) -> Any:
            rgb, behind = plain(*given)
            return rgb * torch.nan, behind

        plain = trainee._mixed
        monkeypatch.setattr(trainee, "_mixed", mixed)

    before_step(3, field, poison, monkeypatch)
    with pytest.raises(TrainingError, match=r"the loss is not finite in step 4 of .*nan_batch_4.safetensors"):
        train(tmp_path / "run", field)
    batch, meta = load_checkpoint(tmp_path / "run" / "nan_batch_4.safetensors")
    assert meta == {"model": field, "step": 4}
    assert set(batch) == {*Rays._fields, "rgb"}
    assert len(batch["rgb"]) == len(batch["origins"]) >= 64
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        state, meta = load_checkpoint(path)
        assert meta["run"]["step"] <= 3
        weights = state["trainee"]["model" if field == "mip" else "field"]
        assert all(torch.isfinite(value).all() for value in weights.values())


# stops


def stop(how: str) -> None:
    if how == "kill":
        raise Killed
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Undisturbed runs, each made once."""
    folder, made = tmp_path_factory.mktemp("whole"), set()

    def get(field: str) -> Path:
        if field not in made:
            train(folder / field, field, "data.background=random")
            made.add(field)
        return folder / field

    return get


@pytest.mark.parametrize("how", ["kill", "ctrl-c"])
def test_a_stopped_run_goes_on_to_the_same_bits(
    field: str, how: str, tmp_path: Path, whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = whole(field)
    with monkeypatch.context() as patch:
        before_step(3, field, lambda trainee: stop(how), patch)
        with pytest.raises(Killed if how == "kill" else KeyboardInterrupt):
            train(tmp_path / "run", field, "data.background=random")
    done = 3 if how == "kill" else 4  # on Ctrl-C the step is finished
    notes = Notes()
    train(tmp_path / "run", field, "data.background=random", notes=notes)
    assert f"going on from step {done}" in notes.said
    assert same(last(tmp_path / "run"), last(wanted))
    best = [load_checkpoint(run / "checkpoints" / "best.safetensors")[0] for run in (tmp_path / "run", wanted)]
    assert same(*best)
    pictures = [
        {path.name: path.read_bytes() for path in (run / "validation").iterdir()} for run in (tmp_path / "run", wanted)
    ]
    assert pictures[0] == pictures[1]
    assert sorted(pictures[0]) == ["00000003.png", "00000006.png"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    field: str, tmp_path: Path, whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = whole(field)
    with monkeypatch.context() as patch:
        before_step(4, field, lambda trainee: stop("kill"), patch)
        with pytest.raises(Killed):
            train(tmp_path / "run", field, "data.background=random")
    newest = Checkpoints(tmp_path / "run" / "checkpoints").path(4)
    newest.write_bytes(newest.read_bytes()[:-7])
    notes = Notes()
    train(tmp_path / "run", field, "data.background=random", notes=notes)
    assert any(note.startswith("checkpoint is damaged") and note.endswith("from step 3") for note in notes.said)
    assert same(last(tmp_path / "run"), last(wanted))


def test_a_full_disk_at_a_checkpoint(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.fsync

    def full(descriptor: int) -> None:
        if "step_00000003" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match=r"disk is full in .*step_00000003.*the same command: it resumes"):
            train(tmp_path / "run", field)
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in folder.glob("*step*")) == [
        "step_00000001.safetensors",
        "step_00000002.safetensors",
    ]
    assert train(tmp_path / "run", field).step == 6


def test_a_full_disk_under_the_pixels(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        if ".pixels." in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkspaceError, match=r"disk is full in .*pixels.bin"):
        train(tmp_path / "run", field, "data.memory_gib=0")
    assert not list((tmp_path / "run").glob("*pixels*"))


# checkpoints of something else


def test_a_checkpoint_of_another_version(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = soft_run(tmp_path / "run", field)
    version = TRAINEES[field].version
    monkeypatch.setattr(TRAINEES[field], "version", 99)
    with pytest.raises(WorkspaceError) as error:
        train(run, field, "loop.steps=9")
    assert str(error.value) == (
        f"checkpoints are of another version of the model in {run}: expected 99, found {version}; choose another --out"
    )


def test_a_checkpoint_of_the_other_field(field: str, tmp_path: Path) -> None:
    run, other = soft_run(tmp_path / "run", field), FIELDS[1 - FIELDS.index(field)]
    with pytest.raises(WorkspaceError, match=f"checkpoints are of another model in .* {other}, found {field}"):
        train(run, other, "loop.steps=9")
    for path in (run / "checkpoints").iterdir():  # as if the files were copied from there
        state, meta = load_checkpoint(path)
        save_checkpoint(path, state, {**meta, "model": other})
    with pytest.raises(WorkspaceError, match=f"checkpoints are of another model in .* {field}, found {other}"):
        train(run, field, "loop.steps=9")
    expected = f"{field}, version {TRAINEES[field].version}"
    with pytest.raises(WorkspaceError, match=f"the checkpoint is of another model in .*: expected {expected}"):
        open_run(run)


# too little memory


def limit_rays(most: int, field: str, patch: pytest.MonkeyPatch) -> list[int]:
    """Let the memory run out for more rays at a time than that; notes how many there were."""
    kind, seen = (MipNeRF if field == "mip" else GridField), []
    plain = kind.forward

    def forward(self: Any, rays: Rays, *more: Any) -> Any:
        seen.append(len(rays.origins))
        if seen[-1] > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: Error code 12 (Cannot allocate memory)")
        return plain(self, rays, *more)

    patch.setattr(kind, "forward", forward)
    return seen


def test_rendering_goes_on_with_fewer_rays(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = evaluate(open_run(soft_run(tmp_path / "a", field)), "val")
    seen, notes = limit_rays(50, field, monkeypatch), Notes()
    found = evaluate(open_run(soft_run(tmp_path / "b", field)), "val", progress=notes)
    assert [view.psnr for view in found.views] == pytest.approx([view.psnr for view in wanted.views], abs=1e-3)
    assert sum(said.startswith("out of memory: only ") for said in notes.said) == 3
    assert "out of memory: only 32 are worked on at a time from here on" in notes.said
    assert seen == [256, 128, 64, *[32] * 16]


def test_pictures_of_a_training_go_on_with_fewer_rays(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = soft_trainee(field).picture(Moment(0, 0.0))
    made = soft_trainee(field)
    seen = limit_rays(50, field, monkeypatch)
    found = made.picture(Moment(0, 0.0))
    assert seen == [256, 128, 64, *[32] * 8]
    assert wanted is not None
    assert found is not None
    assert np.abs(found[:, :32].astype(int) - wanted[:, :32]).max() <= 1


def test_training_goes_on_with_fewer_rays(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    most = 32 if field == "mip" else 250
    with monkeypatch.context() as patch:
        seen = limit_rays(most, field, patch)
        train(tmp_path / "run", field, "loop.steps=2", "grid.samples=1500", notes=notes)
    assert "out of memory: a step's rays are 2 parts from here on" in notes.said
    assert seen[0] > most >= max(seen[1:3])  # later ones are of validations
    assert last(tmp_path / "run")["trainee"]["parts"] == {"count": 2}
    with monkeypatch.context() as patch:  # it is known when the run goes on
        seen = limit_rays(10**9, field, patch)
        train(tmp_path / "run", field, "loop.steps=3", "grid.samples=1500")
    assert max(seen[:2]) <= most


@pytest.mark.parametrize("when", ["before", "after"])
def test_memory_runs_out_on_the_way_back(when: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What half a step has left of gradients is gone: the step is the one that a field in two parts takes."""
    settings = ("grid.samples=1500",)
    found, asked = [], []
    for fails in (False, True):
        made = soft_trainee(field, *settings)
        made._progress = notes = Notes()
        made._parts.count = 1 if fails else 2
        backward = torch.Tensor.backward

        def failing(self: torch.Tensor, *values: Any, plain: Any = backward, **more: Any) -> None:
            asked.append(1)
            if len(asked) > 1 or when == "after":
                plain(self, *values, **more)
            if len(asked) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        with monkeypatch.context() as patch:
            if fails:
                patch.setattr(torch.Tensor, "backward", failing)
            scalars = made.step(Moment(0, 0.0))
        assert ("out of memory: a step's rays are 2 parts from here on" in notes.said) == fails
        found.append((float(scalars["loss"]), _weights(made)))
    assert len(asked) > 1
    assert found[0][0] == found[1][0]
    for wanted, weights in zip(found[0][1], found[1][1], strict=True):
        assert torch.equal(wanted, weights)


def _weights(made: Any) -> list[torch.Tensor]:
    model = made._model if isinstance(made, MipTrainee) else made._field
    return [p.detach().clone() for p in model.parameters()]


def test_memory_that_never_suffices_on_the_way_back(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = soft_trainee(field)

    def failing(*values: Any, **more: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch.Tensor, "backward", failing)
    with pytest.raises(OutOfMemoryError, match="out of memory in step 1: found not even a part in 1024 of its rays"):
        made.step(Moment(0, 0.0))


def test_parts_add_up_to_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """mip-NeRF in four parts takes the step that it takes in one, but for the order of sums; samples are not moved."""
    monkeypatch.setattr("anyview.radiance.fields.mip.MipNeRF.forward", _without_chance(MipNeRF.forward))
    found = []
    for parts in (1, 4):
        made = soft_trainee("mip", "data.background=random")
        made._parts.count = parts
        scalars = made.step(Moment(0, 0.0))
        found.append((float(scalars["loss"]), float(scalars["psnr"]), made._model.module.mlp.color.weight.grad.clone()))
    assert found[1][:2] == pytest.approx(found[0][:2], rel=1e-5)
    torch.testing.assert_close(found[1][2], found[0][2], rtol=1e-4, atol=1e-7)


def _without_chance(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, rays, generator=None: forward(self, rays)


def test_not_even_one_ray_fits(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_rays(0, field, monkeypatch)
    with pytest.raises(OutOfMemoryError, match="out of memory in step 1: found not even a part in 1024 of its rays"):
        train(tmp_path / "run", field)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000000.safetensors"]
