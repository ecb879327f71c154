"""Figures against their definitions; what is done is not done again; scales."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyview.cli.main import main
from anyview.cli.radiance_output import print_figures
from anyview.errors import OptionError, WorkspaceError
from anyview.radiance import evaluate as module
from anyview.radiance.data import shots_of
from anyview.radiance.evaluate import evaluate
from anyview.radiance.image import render_view
from anyview.radiance.pictures import Picture, read_picture
from anyview.radiance.run import Run, open_run
from anyview.radiance.train import train_field
from small_trainee import Notes
from soft_run import small_options, soft_run
from soft_scene import write_soft_scene


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(soft_run(tmp_path / "run"))


def truth_of(run: Run, split: str) -> list[np.ndarray]:
    found = []
    for view in run.views.split(split):
        rgba = np.asarray(Image.open(Path(run.options.scene) / view.name), np.float64) / 255
        found.append(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:])
    return found


def test_psnr_of_whole_clipped_images_over_white(run: Run, tmp_path: Path) -> None:
    notes = Notes()
    figures = evaluate(run, "val", json_path=tmp_path / "out.json", progress=notes)
    views = run.views.split("val")
    for view, shot, truth, found in zip(views, shots_of(views), truth_of(run, "val"), figures.views, strict=True):
        seen = render_view(run.renderer, shot).rgb.clip(0, 1)
        wanted = -10 * np.log10(((seen - truth) ** 2).mean())
        assert found.name == view.name
        assert found.psnr == pytest.approx(wanted, abs=1e-4)
        assert 0 < found.ssim < 1
        picture = np.asarray(Image.open(run.folder / "eval" / view.name))
        assert picture.shape == (16, 48, 3)
        assert np.abs(picture[:, :16] - truth * 255).max() <= 1
        assert np.abs(picture[:, 16:32] - seen * 255).max() <= 1
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["psnr"] == pytest.approx(np.mean([view.psnr for view in figures.views]))
    assert content["ssim"] == pytest.approx(np.mean([view.ssim for view in figures.views]))
    assert [set(view) for view in content["views"]] == [{"name", "scale", "psnr", "ssim"}] * 2
    assert notes.stages == [("eval val", 2)]
    assert notes.done == 2
    assert notes.said[0].startswith("val/r_0.png: psnr ")


def test_views_that_are_done_are_not_done_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluate(run, "val")
    rendered = []

    def counting(*arguments: object) -> object:
        rendered.append(arguments)
        return render_view(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "render_view", counting)
    assert evaluate(run, "val") == first
    assert rendered == []
    (run.folder / "eval" / "val" / "r_1.png").write_bytes(b"cut short")
    assert evaluate(run, "val") == first
    assert len(rendered) == 1
    other = open_run(run.folder, "latest")
    if other.digest != run.digest:
        evaluate(other, "val")
        assert len(rendered) == 3


def test_a_split_that_is_not_there(run: Run) -> None:
    with pytest.raises(OptionError, match=r"no views of this split in .*: expected one of train, val, test, found all"):
        evaluate(run, "all")


def test_a_full_disk_leaves_no_half_figures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("anyview.formats.files.os.fsync", full)
        with pytest.raises(WorkspaceError, match="disk is full"):
            evaluate(run, "val")
    assert not list((run.folder / "eval").rglob("*.png"))
    assert len(evaluate(run, "val").views) == 2


def test_a_smaller_scale_of_a_scene_with_one(tmp_path: Path) -> None:
    write_soft_scene(tmp_path / "scene", 3, 1, size=32)
    train_field(tmp_path / "scene", tmp_path / "run", small_options("loop.steps=1"))
    run = open_run(tmp_path / "run")
    figures = evaluate(run, "val", 2)
    (truth,) = truth_of(run, "val")
    rgba = np.asarray(Image.open(tmp_path / "scene" / "val" / "r_0.png"), np.float64) / 255
    small = rgba.reshape(16, 2, 16, 2, 4).mean(axis=(1, 3))
    truth = small[..., :3] * small[..., 3:] + 1 - small[..., 3:]
    (shot,) = shots_of(run.views.split("val"), 2)
    assert (shot.camera.width, shot.camera.fx) == (16, pytest.approx(1.3 * 16))
    seen = render_view(run.renderer, shot).rgb.clip(0, 1)
    assert figures.views[0].psnr == pytest.approx(-10 * np.log10(((seen - truth) ** 2).mean()), abs=0.02)  # 8 bits
    assert figures.views[0].scale == 2
    assert (run.folder / "eval" / "val_scale2" / "r_0.png").is_file()
    with pytest.raises(OptionError, match="images are too small for SSIM"):
        evaluate(run, "val", 4)


@pytest.mark.parametrize("field", ["mip", "grid"])
def test_multiscale_scenes_train_on_all_scales_and_are_judged_by_scale(
    field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_soft_scene(tmp_path / "scene", 3, 1, size=96)
    assert main(["convert", str(tmp_path / "scene"), str(tmp_path / "multi"), "--to", "multiscale"]) == 0
    train_field(tmp_path / "multi", tmp_path / "run", small_options(f"field={field}", "loop.steps=1"))
    run = open_run(tmp_path / "run")
    figures = evaluate(run, "val")
    print_figures(figures, None)
    shown = capsys.readouterr().out
    assert all(
        f"mean of scale 1/{scale}" in shown and f"{figures.means(scale)['psnr']:.4f}" in shown for scale in (1, 8)
    )
    assert [view.scale for view in figures.views] == [1, 2, 4, 8]
    content = figures.to_json()
    for view in figures.views:
        assert content["scales"][str(view.scale)] == {"psnr": view.psnr, "ssim": view.ssim}
    assert content["psnr"] == pytest.approx(np.mean([view.psnr for view in figures.views]))
    four = evaluate(run, "val", 4)
    assert [view.psnr for view in four.views] == [figures.views[2].psnr]
    with pytest.raises(OptionError, match=r"no views of this scale in .*: expected one of 1, 2, 4, 8, found 3"):
        evaluate(run, "val", 3)


def test_psnr_counts_only_pixels_that_are_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    known = np.zeros((16, 16), bool)
    known[:12, 3:] = True

    def partly(*arguments: object) -> Picture:
        return replace(read_picture(*arguments), known=known)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_picture", partly)
    figures = evaluate(run, "val")
    views = run.views.split("val")
    for shot, truth, found in zip(shots_of(views), truth_of(run, "val"), figures.views, strict=True):
        seen = render_view(run.renderer, shot).rgb.clip(0, 1)
        assert found.psnr == pytest.approx(-10 * np.log10(((seen - truth)[known] ** 2).mean()), abs=1e-4)
        filled = np.where(known[..., None], seen, truth).astype(np.float32)
        wanted = module.view_figures(truth.astype(np.float32), filled)
        assert found.ssim == pytest.approx(wanted["ssim"], abs=1e-4)


def test_scales_of_a_run_on_smaller_pictures(tmp_path: Path) -> None:
    """Those of the pictures that are compared, not of their files."""
    write_soft_scene(tmp_path / "scene", 3, 1, size=96)
    assert main(["convert", str(tmp_path / "scene"), str(tmp_path / "multi"), "--to", "multiscale"]) == 0
    train_field(tmp_path / "multi", tmp_path / "run", small_options("loop.steps=1", "data.downscale=2"))
    run = open_run(tmp_path / "run")
    (four,) = evaluate(run, "val", 4).views
    assert four.scale == 4
    assert Image.open(tmp_path / "run" / "eval" / "val_scale4" / module.picture_file(four.name, "val")).size == (
        3 * 24,
        24,
    )
    with pytest.raises(OptionError, match=r"no views of this scale in .*: expected one of 2, 4, 8, 16, found 1"):
        evaluate(run, "val", 1)


def test_lpips_without_its_weights_is_said_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> None:
        raise OptionError("LPIPS cannot be computed: its weights cannot be had")

    monkeypatch.setattr(module, "load_lpips", offline)
    notes = Notes()
    figures = evaluate(run, "val", with_lpips=True, progress=notes)
    assert figures == evaluate(run, "val")
    assert [view.lpips for view in figures.views] == [None, None]
    assert notes.said[0] == "PSNR and SSIM only: LPIPS cannot be computed: its weights cannot be had"
    assert len(notes.said) == 3
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_lpips", lambda: None)
        patch.setattr(module, "lpips", lambda a, b: (a - b).abs().mean())
        figures = evaluate(run, "val", with_lpips=True)
    assert all(view.lpips for view in figures.views)
    assert evaluate(run, "val", with_lpips=True) == figures  # what is done needs no weights
