"""Films: the frames are the renderer's, one scale for all depths, what is done stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.errors import OptionError, WorkspaceError
from anyview.formats.video import read_video
from anyview.radiance import render as module
from anyview.radiance.image import RenderedView, render_view
from anyview.radiance.paths import camera_path
from anyview.radiance.ray_table import Shot
from anyview.radiance.render import render_path
from anyview.radiance.run import Run, open_run
from posed_images import gl_pose
from small_trainee import Notes
from soft_run import soft_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(soft_run(tmp_path / "run"))


def test_frames_and_films(run: Run) -> None:
    notes = Notes()
    film = render_path(run, "orbit", 3, (18, 10), 10.0, progress=notes)
    assert film.folder == run.folder / "renders" / "orbit"
    assert (notes.stages, notes.done) == ([("render", 3)], 3)
    for number, (camera, pose) in enumerate(camera_path(run.views.scene, "orbit", 3, (18, 10))):
        seen = render_view(run.renderer, Shot(camera, pose, 2.0, 6.0))
        color = np.asarray(Image.open(film.folder / "color" / f"{number:05d}.png"))
        assert color.shape == (10, 18, 3)
        assert np.abs(color - seen.rgb.clip(0, 1) * 255).max() <= 0.51
        depth = np.load(film.folder / "depth" / f"{number:05d}.npy")
        assert np.array_equal(depth, np.where(seen.opacity >= 0.5, seen.depth, 0))
    for path in (film.color, film.depth):
        assert [frame.shape for frame in read_video(path)] == [(10, 18, 3)] * 3


def test_depth_has_one_scale_for_all_frames(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0

    def plane(renderer: object, shot: Shot, chunk: object) -> RenderedView:
        nonlocal number
        number += 1
        depth = np.full((10, 18), (3.0, 4.0, 5.0)[number - 1], np.float32)
        depth[0] = 0
        return RenderedView(np.ones((10, 18, 3), np.float32), depth, np.ones((10, 18), np.float32))

    monkeypatch.setattr(module, "render_view", plane)
    film = render_path(run, "orbit", 3, (18, 10))
    shown = [np.asarray(Image.open(film.folder / "depth" / f"{i:05d}.png")) for i in range(3)]
    assert all((picture[0] == 0).all() and (picture[1:] == picture[1, 0]).all() for picture in shown)
    colors = [tuple(picture[1, 0].tolist()) for picture in shown]
    assert len(set(colors)) == 3
    assert colors[0][0] > 100 > colors[0][2]  # near is red, far is blue
    assert colors[2][2] > colors[2][1]


def test_what_is_done_is_not_done_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []

    def counting(*arguments: object) -> RenderedView:
        rendered.append(arguments)
        if len(rendered) == 3:
            raise KeyboardInterrupt
        return render_view(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "render_view", counting)
        with pytest.raises(KeyboardInterrupt):
            render_path(run, "orbit", 4, (16, 8))
        assert not list(run.folder.rglob("*.mp4"))
        rendered += [()] * 9
        film = render_path(run, "orbit", 4, (16, 8))
        assert len(rendered) == 3 + 9 + 2
        first = film.color.read_bytes()
        render_path(run, "orbit", 4, (16, 8))
        assert len(rendered) == 3 + 9 + 2
        assert film.color.read_bytes() == first
    render_path(run, "orbit", 2, (16, 8))
    assert len(list((film.folder / "color").glob("*.png"))) == 2
    assert len(list(read_video(film.color))) == 2


def test_bad_paths_and_rates_are_refused_before_any_frame(run: Run) -> None:
    with pytest.raises(OptionError, match=r"unknown camera path: expected orbit, spiral, interpolate or a file"):
        render_path(run, "zigzag")
    with pytest.raises(OptionError, match="impossible frame rate"):
        render_path(run, "orbit", 3, fps=0.0)
    assert not (run.folder / "renders").exists()


def test_pictures_of_others_stay(run: Run, tmp_path: Path) -> None:
    """A data set whose folders have the names of ours."""
    theirs = [tmp_path / "set" / name for name in ("color/00007.png", "depth/00007.png", "rgb/00007.png")]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"theirs")
    for path in theirs[:2]:
        with pytest.raises(
            WorkspaceError, match=rf"files that are none of its own in .*{path.parent.name}: found 00007"
        ):
            render_path(run, "orbit", 2, (16, 8), out=tmp_path / "set")
        assert not (tmp_path / "set" / ".anyview").exists()
        assert path.read_bytes() == b"theirs"
        path.unlink()
    film = render_path(run, "orbit", 2, (16, 8), out=tmp_path / "set")
    assert theirs[2].read_bytes() == b"theirs"
    (film.folder / "depth" / "00001.exr").write_bytes(b"theirs")
    with pytest.raises(WorkspaceError, match=r"found 00001\.exr; choose another --out"):
        render_path(run, "orbit", 2, (16, 8), out=tmp_path / "set")


def test_a_frame_that_was_cut_short_is_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            render_path(run, "orbit", 2, (16, 8))
    assert [path.name for path in run.folder.glob("renders/orbit/color/*")] == ["00000.png"]
    assert render_path(run, "orbit", 2, (16, 8)).frames == 2


def test_files_of_one_name_are_films_of_their_own(run: Run, tmp_path: Path) -> None:
    folders = []
    for width, name in ((16, "a/orbit.json"), (18, "b/orbit.json")):
        file = tmp_path / name
        file.parent.mkdir()
        frames = [{"transform_matrix": gl_pose(i).tolist()} for i in range(2)]
        file.write_text(json.dumps({"w": width, "h": 8, "fl_x": 20.0, "frames": frames}))
        folders.append(render_path(run, str(file)).folder)
        assert render_path(run, str(file)).folder == folders[-1]
    folders.append(render_path(run, "orbit", 2, (20, 8)).folder)
    assert {folder.parent for folder in folders} == {run.folder / "renders"}
    assert [Image.open(folder / "color" / "00000.png").width for folder in folders] == [16, 18, 20]
