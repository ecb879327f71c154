"""Beginning and resuming: a refused command leaves a run's options as they were, a moved scene is the same scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyview.errors import AnyviewError, OptionError, WorkspaceError
from anyview.formats.ply import write_ply
from anyview.radiance.run import read_config
from anyview.radiance.settings import settled
from anyview.radiance.train import train_field
from anyview.training.checkpoint import load_checkpoint, save_checkpoint
from anyview.training.run_folder import config_path
from anyview.workspace.lock import hold
from anyview.workspace.workspace import Workspace
from small_trainee import Notes
from soft_run import small_options, soft_run, soft_scene
from soft_scene import write_soft_scene


@pytest.fixture(params=["mip", "grid"])
def field(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyview.training.log._tensorboard", lambda folder, step: None)


@pytest.mark.parametrize(
    "setting",
    ["loop.seed=1", "loop.better=ssim", "loop.best_is=smallest", "loop.precision=bf16-mixed", "data.background=black"],
)
def test_a_refused_option_is_not_kept(field: str, setting: str, tmp_path: Path) -> None:
    run = soft_run(tmp_path / "run", field)
    before = config_path(run).read_bytes()
    began = f"option `{setting.split('=')[0]}` is not what this run began with in "
    with pytest.raises(OptionError, match=f"{began}|the field `grid` does not learn in this precision"):
        train_field(soft_scene(), run, settled(run, None, [setting, "loop.steps=9"]))
    assert config_path(run).read_bytes() == before


def test_a_plain_command_goes_on_after_a_refused_one(tmp_path: Path) -> None:
    run = soft_run(tmp_path / "run")
    with pytest.raises(OptionError):
        train_field(soft_scene(), run, settled(run, None, ["loop.seed=1"]))
    assert train_field(soft_scene(), run, settled(run, None, ["loop.steps=7"])).step == 7
    assert (read_config(run).loop.steps, read_config(run).loop.seed) == (7, 0)


def test_a_new_run_that_is_refused_has_no_options(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(AnyviewError):
        train_field(soft_scene(), run, small_options("field=grid", f"geometry={tmp_path / 'nowhere'}"))
    assert not config_path(run).exists()
    assert settled(run, None, []).geometry is None


def test_another_process_in_the_folder_changes_nothing(field: str, tmp_path: Path) -> None:
    run, new = soft_run(tmp_path / "run", field), tmp_path / "new"
    before = config_path(run).read_bytes()
    for folder in (run, new):
        with hold(Workspace(folder)), pytest.raises(WorkspaceError, match="another run works in this folder"):
            train_field(soft_scene(), folder, small_options(f"field={field}", "loop.steps=9"))
    assert config_path(run).read_bytes() == before
    assert not config_path(new).exists()


@pytest.mark.parametrize("steps", [6, 8])
def test_a_scene_that_has_moved_is_the_same(field: str, steps: int, tmp_path: Path) -> None:
    """Also where the run is finished: its options then name the new place."""
    write_soft_scene(tmp_path / "scene", 3, size=8)
    train_field(tmp_path / "scene", tmp_path / "run", small_options(f"field={field}"))
    (tmp_path / "scene").rename(tmp_path / "moved")
    options = settled(tmp_path / "run", None, [f"loop.steps={steps}"])
    assert train_field(tmp_path / "moved", tmp_path / "run", options).step == steps
    assert read_config(tmp_path / "run").scene == str(tmp_path / "moved")


def test_changed_images_are_refused(field: str, tmp_path: Path) -> None:
    scene = write_soft_scene(tmp_path / "scene", 3, 1, 1, size=8)
    options = small_options(f"field={field}", "loop.steps=2")
    train_field(scene, tmp_path / "run", options)
    before = config_path(tmp_path / "run").read_bytes()
    more = settled(tmp_path / "run", None, ["loop.steps=3"])
    picture = (scene / "train" / "r_1.png").read_bytes()
    (scene / "train" / "r_1.png").write_bytes((scene / "train" / "r_2.png").read_bytes())
    with pytest.raises(WorkspaceError) as error:
        train_field(scene, tmp_path / "run", more)
    words = "put back what was there, or choose another --out"
    assert str(error.value) == f"the images changed since this run began in {tmp_path / 'run'}; {words}"
    assert config_path(tmp_path / "run").read_bytes() == before
    (scene / "train" / "r_1.png").write_bytes(picture)
    (scene / "test" / "r_0.png").write_bytes(picture)  # no training looks at it
    assert train_field(scene, tmp_path / "run", more).step == 3


def test_a_changed_reconstruction_is_refused(tmp_path: Path) -> None:
    work, run, points = tmp_path / "work", tmp_path / "run", np.random.default_rng(0).uniform(-0.5, 0.5, (500, 3))
    work.mkdir()
    write_ply(work / "fused.ply", points)
    train_field(soft_scene(), run, small_options("field=grid", "loop.steps=2", f"geometry={work}"))
    more = settled(run, None, ["loop.steps=3"])
    write_ply(work / "fused.ply", 0.9 * points)
    with pytest.raises(WorkspaceError, match=r"^the reconstruction changed since this run began in .*/run; put back"):
        train_field(soft_scene(), run, more)
    write_ply(work / "fused.ply", points)
    assert train_field(soft_scene(), run, more).step == 3


def test_older_runs_do_not_know_their_images(field: str, tmp_path: Path) -> None:
    run = soft_run(tmp_path / "run", field)
    for path in (run / "checkpoints").iterdir():
        state, meta = load_checkpoint(path)
        del meta["config"]["inputs"]
        save_checkpoint(path, state, meta)
    assert train_field(soft_scene(), run, settled(run, None, ["loop.steps=7"])).step == 7


def test_the_version_is_that_which_began(tmp_path: Path) -> None:
    run = soft_run(tmp_path / "run")
    text = config_path(run).read_text()
    config_path(run).write_text(text.replace(f"anyview: {read_config(run).anyview}", "anyview: 0.0.1"))
    train_field(soft_scene(), run, settled(run, None, ["loop.steps=7"]))
    assert read_config(run).anyview == "0.0.1"


def test_more_devices_than_there_are(field: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^there are not so many devices in loop.devices: expected at most .*9999$"):
        train_field(tmp_path / "nowhere", tmp_path / "run", small_options(f"field={field}", "loop.devices=9999"))
    assert not (tmp_path / "run").exists()  # before the scene is looked for


def test_best_weights_go_on_where_all_others_are_damaged(field: str, tmp_path: Path) -> None:
    run, notes = soft_run(tmp_path / "run", field), Notes()
    for path in (run / "checkpoints").glob("step_*"):
        path.write_bytes(path.read_bytes()[:-3])
    assert train_field(soft_scene(), run, settled(run, None, ["loop.steps=8"]), notes).step == 8
    assert any(said.endswith("; going on from best.safetensors") for said in notes.said)
