"""A run's folder: what it says of itself, and every way in which its weights cannot be had."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anyview import __version__
from anyview.errors import FormatError, OptionError, SceneError, WorkspaceError
from anyview.radiance.options import RadianceOptions
from anyview.radiance.run import open_run, read_config
from anyview.radiance.settings import settled
from anyview.training.checkpoint import load_checkpoint, save_checkpoint
from anyview.training.run_folder import config_path
from small_trainee import Notes
from soft_run import soft_run, soft_scene
from soft_scene import write_soft_scene


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return soft_run(tmp_path / "run")


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def test_a_run_says_what_it_was_asked_for(run: Path) -> None:
    options = read_config(run)
    assert (options.field, options.mip.batch, options.loop.steps) == ("mip", 64, 6)
    assert (options.scene, options.anyview) == (str(soft_scene().resolve()), __version__)
    assert "# Rays per step." in config_path(run).read_text()


def test_best_and_latest(run: Path) -> None:
    notes = Notes()
    best, latest = open_run(run, progress=notes), open_run(run, "latest", progress=notes)
    assert notes.said == []
    assert latest.step == 6
    assert best.step == load_checkpoint(run / "checkpoints" / "best.safetensors")[1]["run"]["step"]
    assert best.digest != latest.digest
    assert best.background == 1.0
    assert best.digest == open_run(run).digest


def test_without_whole_best_weights_the_last_are_taken_and_said(run: Path) -> None:
    spoil(run / "checkpoints" / "best.safetensors")
    notes = Notes()
    found = open_run(run, progress=notes)
    assert found.step == 6
    (note,) = notes.said
    assert note.startswith("checkpoint is damaged in ")
    assert note.endswith("; those of step 6 are taken")
    (run / "checkpoints" / "best.safetensors").unlink()
    notes = Notes()
    assert open_run(run, progress=notes).step == 6
    assert notes.said == ["this run has no best weights; those of step 6 are taken"]


def test_all_checkpoints_damaged(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.safetensors"):
        spoil(path)
    with pytest.raises(FormatError, match="all checkpoints are damaged in"):
        open_run(run)
    for path in (run / "checkpoints").glob("step_*.safetensors"):
        path.unlink()
    with pytest.raises(FormatError, match=r"checkpoint is damaged in .*best.safetensors"):
        open_run(run)


def test_where_no_step_is_whole_the_last_weights_are_the_best(run: Path) -> None:
    for path in (run / "checkpoints").glob("step_*.safetensors"):
        spoil(path)
    notes, best = Notes(), open_run(run)
    found = open_run(run, "latest", progress=notes)
    assert (found.step, found.digest) == (best.step, best.digest)
    assert notes.said
    assert all(said.endswith("; going on from best.safetensors") for said in notes.said)


def test_a_scene_that_has_moved(run: Path, tmp_path: Path) -> None:
    text = config_path(run).read_text()
    config_path(run).write_text(text.replace(str(soft_scene().resolve()), str(tmp_path / "gone")))
    with pytest.raises(SceneError) as error:
        open_run(run)
    assert str(error.value) == f"the run's scene has gone in {tmp_path / 'gone'}; name its new place with --scene"
    notes = Notes()
    found = open_run(run, scene=soft_scene(), progress=notes)
    assert found.options.scene == str(soft_scene().resolve())
    assert len(found.views.train) == 3
    assert notes.said == []
    other = write_soft_scene(tmp_path / "other", 4, 2, 2, size=16)
    open_run(run, scene=other, progress=notes)
    assert notes.said == [f"the views in {other} are not those that this run began with"]
    with pytest.raises(SceneError, match="no such scene in "):
        open_run(run, scene=tmp_path / "nowhere")


def test_no_run_and_nothing_trained(run: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as error:
        open_run(tmp_path / "nowhere")
    assert str(error.value) == (
        f"not a run in {tmp_path / 'nowhere'}: expected a folder with config.yaml; "
        "run `anyview radiance train SCENE --out RUN` first"
    )
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(WorkspaceError, match=r"nothing is trained yet in .*; run `anyview radiance train SCENE` on it"):
        open_run(run)


def test_damaged_options(run: Path) -> None:
    text = config_path(run).read_text()
    config_path(run).write_text(text[: text.index("\nloop:")])
    with pytest.raises(OptionError, match=r"the group `loop` is missing in .*config.yaml"):
        open_run(run)
    config_path(run).write_text("field: [mip")
    with pytest.raises(FormatError, match=r"not YAML in .*config.yaml"):
        open_run(run)
    config_path(run).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"options cannot be read in .*config.yaml"):
        open_run(run)


@pytest.mark.parametrize(("key", "value"), [("model", "grid"), ("version", 99)])
def test_another_model_or_version(run: Path, key: str, value: object) -> None:
    path = run / "checkpoints" / "best.safetensors"
    state, meta = load_checkpoint(path)
    save_checkpoint(path, state, {**meta, key: value})
    with pytest.raises(WorkspaceError) as error:
        open_run(run)
    actual = f"{value}, version 1" if key == "model" else f"mip, version {value}"
    assert str(error.value) == (
        f"the checkpoint is of another model in {run}: expected mip, version 1, found {actual}; "
        "train it again with another --out"
    )


def test_options_that_do_not_fit_the_weights(run: Path) -> None:
    config_path(run).write_text(config_path(run).read_text().replace("    width: 32", "    width: 16"))
    with pytest.raises(WorkspaceError, match=r"the checkpoint does not fit the model in .*best.safetensors"):
        open_run(run)


def test_density_of_the_fog_is_larger_inside(run: Path) -> None:
    renderer = open_run(run).renderer
    points = torch.cat([torch.zeros(1, 3), torch.rand(20, 3)])
    density = renderer.density(points)
    assert density.shape == (21,)
    assert density.dtype == torch.float32
    assert not density.requires_grad
    assert (density > 0).all()
    for i in (0, 7):  # one by one, the same
        torch.testing.assert_close(renderer.density(points[i : i + 1]), density[i : i + 1])


def test_opening_a_run_does_not_load_the_training_library(run: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport anyview.radiance.evaluate, anyview.radiance.render\n"
        f"from anyview.radiance.run import open_run\nopen_run(Path({str(run)!r}))\nprint('lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_more_particular_options_win(run: Path, tmp_path: Path) -> None:
    assert settled(tmp_path / "new", None, []).mip.batch == 4096
    own = settled(run, None, ["mip.batch=7"], {"loop.max_minutes": 2.5, "field": None, "geometry": "a b"})
    assert (own.mip.batch, own.loop.max_minutes, own.field, own.geometry) == (7, 2.5, "mip", "a b")
    assert own.mip.model.width == 32  # the run's own
    file = tmp_path / "mine.yaml"
    file.write_text(config_path(run).read_text().replace("batch: 64", "batch: 99"))
    assert settled(run, file, [], {"field": "grid"}).mip.batch == 99
    for path in (run / "checkpoints").iterdir():  # as a kill leaves one that is half written
        path.rename(path.with_name(f".{path.stem}.0123abcd.tmp.safetensors"))
    assert settled(run, None, []) == RadianceOptions()  # nothing has been made with the run's own
    with pytest.raises(FormatError, match=r"no such file in .*missing.yaml"):
        settled(run, tmp_path / "missing.yaml", [])
    with pytest.raises(OptionError, match=r"no such option in --set mip.bach=7: .*did you mean `mip.batch`"):
        settled(run, None, ["mip.bach=7"])
