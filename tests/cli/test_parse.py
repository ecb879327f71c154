"""Words to commands: presets first, explicit options over them, saved options for single stages."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from anyview.cli import commands
from anyview.cli.parse import parse
from anyview.errors import OptionError, WorkspaceError
from anyview.reconstruction.options import ReconstructionOptions, preset
from anyview.reconstruction.summary import update_summary
from anyview.workspace import Workspace

RECONSTRUCT = ["reconstruct", "scene", "--out", "work"]


def reconstruct(*words: str) -> commands.Reconstruct:
    command = parse([*RECONSTRUCT, *words])
    assert isinstance(command, commands.Reconstruct)
    return command


def test_defaults() -> None:
    command = reconstruct()
    assert (command.scene, command.out) == (Path("scene"), Path("work"))
    assert command.quality == "medium"
    assert command.options == preset("medium")
    assert command.split is None
    assert command.masks is None
    assert reconstruct("--masks", "folder").masks == Path("folder")


@pytest.mark.parametrize("quality", ["low", "medium", "high"])
def test_a_quality_is_its_preset(quality: str) -> None:
    assert reconstruct("--quality", quality).options == preset(quality)  # type: ignore[arg-type]
    assert reconstruct(f"--quality={quality}").options == preset(quality)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words",
    [
        ["--quality", "high", "--dense.max-image-size", "999", "--seed", "7"],
        ["--seed", "7", "--dense.max-image-size", "999", "--quality", "high"],
        ["--max-image-size", "999", "--seed=7", "--quality=high"],
    ],
)
def test_explicit_options_override_the_preset_wherever_they_stand(words: list[str]) -> None:
    high = preset("high")
    assert preset("low").dense.max_image_size != high.dense.max_image_size != 999
    assert reconstruct(*words).options == replace(high, seed=7, dense=replace(high.dense, max_image_size=999))


@pytest.mark.parametrize("words", [["--pairs", "exhaustive"], ["--sparse.pairs=exhaustive"], ["--pairs=exhaustive"]])
def test_a_stage_may_be_left_out(words: list[str]) -> None:
    assert reconstruct(*words).options.sparse.pairs == "exhaustive"


@pytest.mark.parametrize("word", ["--refine-poses", "--sparse.refine-poses", "--refine_poses"])
def test_switches(word: str) -> None:
    assert reconstruct(word).options.sparse.refine_poses
    assert not reconstruct("--no-refine-poses").options.sparse.refine_poses


def test_every_option_can_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["reconstruct", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    count = 0
    for part in fields(ReconstructionOptions):
        if part.name == "seed":
            continue
        for name in asdict(ReconstructionOptions())[part.name]:
            count += 1
            assert f"--{part.name}.{name.replace('_', '-')}" in text
    assert count >= 15


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["doctor"], commands.Doctor),
        (["demo"], commands.Demo),
        (["info", "scene"], commands.Info),
        (["convert", "scene", "out", "--to", "colmap-txt"], commands.Convert),
        (
            ["evaluate-geometry", "p.ply", "--truth", "t.ply", "--thresholds", "0.005", "0.01"],
            commands.EvaluateGeometry,
        ),
    ],
)
def test_other_commands(words: list[str], kind: type[commands.Command]) -> None:
    assert isinstance(parse(words), kind)


def test_thresholds() -> None:
    command = parse(["evaluate-geometry", "p.ply", "--truth", "t.ply", "--thresholds", "0.005", "0.01"])
    assert isinstance(command, commands.EvaluateGeometry)
    assert (command.pred, command.truth, command.thresholds) == (Path("p.ply"), Path("t.ply"), (0.005, 0.01))


def test_a_stage_starts_from_the_saved_options(tmp_path: Path) -> None:
    saved = replace(preset("low"), seed=5, dense=replace(preset("low").dense, window_radius=9))
    update_summary(Workspace(tmp_path), options=asdict(saved))
    command = parse(["dense", str(tmp_path)])
    assert isinstance(command, commands.Dense)
    assert (command.dense, command.seed) == (saved.dense, 5)
    command = parse(["dense", "--depth-min", "0.5", str(tmp_path)])
    assert isinstance(command, commands.Dense)
    assert command.dense == replace(saved.dense, depth_min=0.5)


@pytest.mark.parametrize("option", ["--region", "--fusion.region"])
def test_a_region_of_interest(option: str, tmp_path: Path) -> None:
    box = (-1.5, -1e-3, 0.0, 2.0, 0.5, 1.0)
    words = [str(x) for x in box]
    assert reconstruct(option, *words).options.fusion.region == box
    assert reconstruct().options.fusion.region is None
    saved = reconstruct(option, *words).options
    update_summary(Workspace(tmp_path), options=asdict(saved))
    command = parse(["fuse", str(tmp_path)])
    assert isinstance(command, commands.Fuse)
    assert command.fusion == saved.fusion
    with pytest.raises(OptionError, match=r"not a box in fusion\.region"):
        reconstruct(option, *words[3:], *words[:3])


def test_a_stage_needs_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a workspace"):
        parse(["mesh", str(tmp_path / "nowhere")])


def test_options_of_another_version_are_refused(tmp_path: Path) -> None:
    update_summary(Workspace(tmp_path), options={"dense": {"radius_of_old": 3}})
    with pytest.raises(OptionError, match="radius_of_old"):
        parse(["dense", str(tmp_path)])


def test_no_such_command() -> None:
    with pytest.raises(OptionError, match=r"found rebuild$"):
        parse(["rebuild"])
    with pytest.raises(OptionError, match=r"did you mean `anyview reconstruct`\?"):
        parse(["reconstuct", "scene"])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["reconstruct", "scene"], "--out"),
        ([*RECONSTRUCT, "--quality", "best"], "'low', 'medium', 'high'"),
        ([*RECONSTRUCT, "--window-radius", "many"], "--dense.window-radius"),
        ([*RECONSTRUCT, "--nothing", "1"], "--nothing"),
        (["convert", "a", "b", "--to", "mve"], "'colmap-bin'"),
    ],
)
def test_words_that_make_no_sense(words: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    output = capsys.readouterr()
    flat = " ".join((output.out + output.err).replace("│", " ").split())
    assert part in flat
