"""`anyview radiance train | eval | render`: from a folder to figures and films; one sentence per mistake."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from time import sleep

import pytest

from anyview.cli.main import main
from anyview.cli.parse import parse
from anyview.cli.radiance import Evaluate, Export, Radiance, Render, Train
from anyview.formats.ply import read_ply
from anyview.training.checkpoint import load_checkpoint
from ball_field import Ball, run_of
from own_process import OwnProcess, run_alone
from refusals import refused
from self_killing import die_at, heed_interruption
from small_trainee import same
from soft_run import SMALL, soft_run, soft_scene

SETTINGS = [word for setting in SMALL for word in ("--set", setting)]


def test_words() -> None:
    command = parse(["radiance", "train", "S", "--out", "O", "--field", "mip", "--set", "a=1", "--set", "b.c=x y"])
    assert isinstance(command, Radiance)
    assert command.verb == Train(scene=Path("S"), out=Path("O"), field="mip", set=("a=1", "b.c=x y"))
    command = parse(["radiance", "eval", "R", "--split", "val", "--scale", "4", "--json", "f.json"])
    assert isinstance(command, Radiance)
    assert command.verb == Evaluate(Path("R"), "val", 4, Path("f.json"))
    command = parse(["radiance", "render", "R", "--path", "orbit", "--size", "30", "20"])
    assert isinstance(command, Radiance)
    assert command.verb == Render(Path("R"), "orbit", size=(30, 20))
    command = parse(["radiance", "render", "R", "--path", "orbit", "--elevation", "-20"])
    assert isinstance(command, Radiance)
    assert command.verb == Render(Path("R"), "orbit", elevation=-20.0)
    command = parse(["radiance", "export", "R", "--to", "mesh", "--faces", "200", "--views", "5", "--out", "m.glb"])
    assert isinstance(command, Radiance)
    assert command.verb == Export(Path("R"), "mesh", faces=200, views=5, out=Path("m.glb"))
    command = parse(["radiance", "export", "R", "--scene", "moved"])
    assert isinstance(command, Radiance)
    assert command.verb == Export(Path("R"), scene=Path("moved"))


def test_from_a_folder_to_figures_and_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main(["radiance", "train", str(soft_scene()), "--out", run, *SETTINGS, "--steps", "2"]) == 0
    shown = capsys.readouterr().out
    assert "2 steps in" in shown
    assert "psnr" in shown
    assert f"report     {run}/report.html" in shown
    before = (Path(run) / "report.html").read_text()
    assert main(["radiance", "eval", run, "--split", "val", "--json", str(tmp_path / "f.json")]) == 0
    shown = capsys.readouterr().out
    content = json.loads((tmp_path / "f.json").read_text())
    assert {"psnr", "ssim", "views"} <= set(content)
    assert f"{content['psnr']:.4f}" in shown
    assert "val/r_1.png" in shown
    assert f"{content['ssim']:.4f}" in (Path(run) / "report.html").read_text()
    assert f"{content['ssim']:.4f}" not in before
    assert main(["radiance", "eval", run]) == 0  # the scene has test views
    assert "test/r_0.png" in capsys.readouterr().out
    words = ["--path", "interpolate", "--frames", "2", "--size", "16", "8", "--out", str(tmp_path / "film")]
    assert main(["radiance", "render", run, *words]) == 0
    assert str(tmp_path / "film" / "color.mp4") in capsys.readouterr().out
    assert (tmp_path / "film" / "depth.mp4").is_file()
    assert 'src="../film/depth.mp4"' in (Path(run) / "report.html").read_text()


def test_an_orbit_seen_from_above(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = soft_run(tmp_path / "run")
    words = ["--path", "orbit", "--frames", "2", "--size", "8", "8"]
    assert main(["radiance", "render", str(run), *words]) == 0
    assert main(["radiance", "render", str(run), *words, "--elevation", "70"]) == 0
    assert str(run / "renders" / "orbit_70" / "color.mp4") in capsys.readouterr().out
    frames = [(run / "renders" / name / "color" / "00000.png").read_bytes() for name in ("orbit", "orbit_70")]
    assert frames[0] != frames[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nowhere", "--out", "run"], "no such scene in nowhere; check the path"),
        (["eval", "nowhere"], "not a run in nowhere"),
        (["render", "nowhere", "--path", "orbit"], "not a run in nowhere"),
        (
            ["render", "R", "--path", "spiral", "--elevation", "3"],
            "only an orbit has an elevation in --elevation: ",
        ),
        (["export", "nowhere", "--to", "mesh"], "not a run in nowhere"),
        (["export", "R", "--to", "mesh", "--spacing", "1"], "an option of --to points in --spacing: found --to mesh"),
        (["export", "R", "--faces", "900"], "an option of --to mesh in --faces: found --to points"),
        (["train", "nowhere", "--out", "run", "--set", "mip.batch"], "a setting without a value in --set mip.batch"),
        (["train", "nowhere", "--out", "run", "--config", "x.yaml"], "no such file in x.yaml"),
        (["train", "nowhere", "--out", "run", "--max-minutes", "0"], "option out of range in max_minutes"),
        (["train", "nowhere", "--out", "run", "--set", "loop.seed=-1"], "option out of range in "),
    ],
)
def test_mistakes(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, ["radiance", *words]).startswith(f"anyview: {sentence}")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_interrupted_after_a_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["radiance", "train", str(soft_scene()), "--out", str(run), *SETTINGS, "--steps", "1000000"]
    begun = OwnProcess([*words, "--set", "loop.log_every=1"], heed_interruption)
    log = run / "log.csv"
    while begun.process.is_alive() and not (log.exists() and log.read_text().count("\n") > 5):
        sleep(0.1)
    begun.interrupt()
    ended = begun.end(120)
    assert ended.code == 130, ended.said
    assert "the same command goes on from here" in ended.said
    assert len(list((run / "checkpoints").glob("step_*.safetensors"))) == 1


@pytest.mark.slow
def test_killed_at_a_checkpoint(tmp_path: Path) -> None:
    """SIGKILL before a checkpoint takes its place, and after; the same command ends with the same bits."""
    words = ["radiance", "train", str(soft_scene()), *SETTINGS, "--field", "grid", "--set", "loop.save_every_seconds=0"]
    folder = tmp_path / "run" / "checkpoints"
    for moment in ("before", "after"):
        ended = run_alone([*words, "--out", str(tmp_path / "run")], partial(die_at, moment, "*/step_00000004.*", 1))
        assert ended.code == -signal.SIGKILL, ended.said
        assert (folder / "step_00000004.safetensors").exists() == (moment == "after")
    for name in ("run", "whole"):
        assert main([*words, "--out", str(tmp_path / name)]) == 0
    last = "checkpoints/step_00000006.safetensors"
    assert same(*(load_checkpoint(tmp_path / name / last)[0] for name in ("run", "whole")))


def test_export_calls_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyview.radiance.run.open_run", lambda folder, *_, **__: run_of(Ball(), folder))
    assert main(["radiance", "export", str(tmp_path), "--to", "mesh", "--faces", "500"]) == 0
    ply = read_ply(tmp_path / "mesh.ply")
    assert ply.faces is not None
    assert len(ply.faces) <= 500
    words = f"{len(ply.xyz):,} vertices, {len(ply.faces):,} faces {tmp_path / 'mesh.ply'}"
    assert words in capsys.readouterr().out.replace("\n", "")
    assert main(["radiance", "export", str(tmp_path), "--spacing", "0.3"]) == 0
    assert f"{len(read_ply(tmp_path / 'points.ply').xyz):,} points" in capsys.readouterr().out
    assert main(["radiance", "export", str(tmp_path), "--to", "mesh", "--out", str(tmp_path / "m.obj")]) == 2
    assert "unknown kind of mesh in --out: expected a name that ends in .ply or .glb" in capsys.readouterr().err


def test_a_scene_that_has_moved_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, moved = soft_run(tmp_path / "run"), ["--scene", str(soft_scene())]
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(soft_scene().resolve()), str(tmp_path / "gone")))
    film = ["--path", "interpolate", "--frames", "2", "--size", "16", "8"]
    for verb, *words in (["eval"], ["render", *film], ["export"]):
        assert main(["radiance", verb, str(run), *words]) == 2
        assert f"the run's scene has gone in {tmp_path / 'gone'}; name its new place with --scene" in (
            capsys.readouterr().err
        )
    assert main(["radiance", "eval", str(run), *moved]) == 0
    assert main(["radiance", "render", str(run), *film, *moved]) == 0
    seen = []
    monkeypatch.setattr("anyview.radiance.export.export_points", lambda run, *_: seen.append(run.options.scene) or 0)
    assert main(["radiance", "export", str(run), *moved]) == 0
    assert seen == [str(soft_scene().resolve())]


def test_a_finished_run_needs_only_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = soft_run(tmp_path / "run")
    before = sorted((path, path.stat().st_mtime_ns) for path in (run / "checkpoints").iterdir())
    assert main(["radiance", "train", str(soft_scene()), "--out", str(run)]) == 0  # options are the run's own
    assert sorted((path, path.stat().st_mtime_ns) for path in (run / "checkpoints").iterdir()) == before
    assert "6 steps in" in capsys.readouterr().out
