"""The page of a radiance run: whole, self-contained, escaped, right for any scene, and never the end of a run."""

from __future__ import annotations

import errno
import html
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from anyview.errors import SceneError
from anyview.formats.images import read_image
from anyview.pipelines import radiance
from anyview.radiance.evaluate import done_figures, evaluate
from anyview.radiance.run import Run, open_run
from anyview.radiance.train import train_field
from anyview.report import field_page, field_views
from anyview.report.field_views import shown_views, spread
from anyview.training.log import read_log
from soft_run import small_options, soft_run, soft_scene
from soft_scene import write_soft_scene

VOID = {"img", "br", "hr", "meta", "source", "input"}
NASTY = 'a<b>&"q"\'s #1'


class Page(HTMLParser):
    """Checks that elements nest; gathers elements and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += f"{data} "

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def titles(self) -> list[str]:
        return [html.unescape(title) for title in re.findall(r"<h2>([^<]+)</h2>", self.source)]


@pytest.fixture(autouse=True)
def small_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fraction of the work, and of the bytes."""
    monkeypatch.setattr(field_page, "draw_cameras", partial(field_page.draw_cameras, size=(160, 100)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(soft_run(tmp_path / "run"))


def test_a_page_after_training(run: Run) -> None:
    page = Page(radiance.write_page(run))
    assert page.titles() == ["Training", "Renders", "Film", "Cameras", "Options"]
    log = read_log(run.folder)
    assert f"{np.nanmax(log['validation/psnr']):.2f}" in page.text
    assert "Test views, which the field has not learnt from, by the weights of step" in page.text
    assert "the pictures shown, 16x16" in page.text
    assert "anyview radiance render" in page.text
    assert "mip.model.width" in page.text
    assert "grid.levels" not in page.text  # of the field that was not trained
    assert "2 test, 3 train, 2 val" in page.text
    assert not page.all("video")
    pictures = page.all("img")
    assert len(pictures) == 2 * 4 + 1  # two test views: truth, render, error, depth (the fog is dense); the cameras
    assert all(image["alt"] for image in pictures)


def test_nothing_comes_from_the_network(run: Run) -> None:
    (run.folder / "renders" / NASTY).mkdir(parents=True)
    for kind in ("color", "depth"):
        (run.folder / "renders" / NASTY / f"{kind}.mp4").write_bytes(b"film")
    page = Page(radiance.write_page(run))
    films = [attributes["src"] for attributes in page.all("video")]
    assert [unquote(film or "") for film in films] == [f"renders/{NASTY}/{kind}.mp4" for kind in ("color", "depth")]
    for name, attributes in page.tags:
        for key in ("src", "srcset", "href", "data", "action", "poster"):
            value = attributes.get(key) or "data:image/"
            assert value.startswith("data:image/") or value in films, (name, key)
    assert not re.search(r"https?://|@import|url\(", page.source)
    assert not page.all("script")
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; media-src 'self' file:"


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    scene = write_soft_scene(tmp_path / NASTY, 2, 1, 0, size=12)
    old = scene / "val" / "r_0.png"
    old.rename(scene / "val" / f"{NASTY}.png")
    content = json.loads((scene / "transforms_val.json").read_text())
    content["frames"][0]["file_path"] = f"./val/{NASTY}"
    (scene / "transforms_val.json").write_text(json.dumps(content))
    folder = tmp_path / "run<i>&'"
    train_field(scene, folder, small_options("loop.steps=1"))
    page = Page(radiance.write_page(open_run(folder)))
    assert f"<h1>{html.escape(NASTY)}</h1>" in page.source
    assert f"val/{NASTY}.png" in page.text
    assert not page.all("b")
    assert not page.all("i") or all("style" in a or not a for a in page.all("i"))


def test_figures_of_an_evaluation(run: Run) -> None:
    assert done_figures(run, "val") is None
    figures, path = radiance.evaluate_field(run.folder, "val")
    assert path == run.folder / "report.html"
    assert done_figures(run, "val") == figures
    assert done_figures(run, "test") is None
    page = Page(path)
    assert "Figures of the validation views" in page.titles()
    assert "Figures are of whole pictures" in page.text
    for view in figures.views:
        assert f'{view.name}<span class="mark' in page.source
        assert f'<td class="n">{view.psnr:.2f}</td><td class="n">{view.ssim:.4f}</td>' in page.source
    assert f'<td class="n">{figures.means()["ssim"]:.4f}</td>' in page.source
    worst, best = sorted(figures.views, key=lambda view: view.psnr)
    assert f'{worst.name}<span class="mark-worst">worst' in page.source
    assert f'{best.name}<span class="mark-best">best' in page.source


def test_pictures_of_an_evaluation_are_taken_as_they_are(run: Run) -> None:
    figures = evaluate(run, "val")
    shown, missing = shown_views(run, figures)
    assert not missing
    for one, view in zip(shown, figures.views, strict=True):
        three = np.rint(read_image(figures.folder / Path(view.name).name)[0] * 255).astype(np.uint8)
        np.testing.assert_array_equal(np.concatenate([one.truth, one.render, one.error], axis=1), three)
        assert one.figures == {"psnr": view.psnr, "ssim": view.ssim}
    fresh, _ = shown_views(run, None)  # test views, rendered now
    assert [one.name for one in fresh] == ["test/r_0.png", "test/r_1.png"]
    again = evaluate(run, "test")
    for one, view in zip(fresh, again.views, strict=True):
        assert one.figures["psnr"] == pytest.approx(view.psnr, abs=1e-4)
        assert one.depth.max() > 2  # the cameras stand 4 away from the fog
        assert one.depth.max() < 6


def test_figures_of_other_weights_are_not_shown(run: Run) -> None:
    evaluate(run, "val")
    scene, options = soft_scene(), small_options("loop.steps=8", "loop.validate_every=1")
    train_field(scene, run.folder, options)
    assert done_figures(open_run(run.folder, "latest"), "val") is None


def test_figures_of_another_scale(tmp_path: Path) -> None:
    scene = write_soft_scene(tmp_path / "fog", 2, 2, size=24)
    train_field(scene, tmp_path / "run", small_options("loop.steps=1"))
    figures, path = radiance.evaluate_field(tmp_path / "run", "val", 2)
    assert path is not None
    page = Page(path)
    assert "The pictures lie in eval/val_scale2." in page.text
    assert f"{figures.means()['psnr']:.2f}" in page.text


def test_a_spread_is_even() -> None:
    views = list(range(200))
    assert spread(views, 4) == [25, 75, 125, 175]
    assert spread(views[:3], 4) == [0, 1, 2]
    assert spread([], 4) == []


def test_a_slow_field_has_smaller_pictures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_views, "_LEAST", 4)
    monkeypatch.setattr(field_views, "_rays_per_second", lambda *_: 1.0)  # 20 s for two views: 10 rays each
    shown, _ = shown_views(run, None)
    assert [one.size for one in shown] == [(4, 4), (4, 4)]
    assert [one.figures for one in shown] == [{}, {}]  # too small for SSIM


def test_without_alpha_validation_and_after_one_step(tmp_path: Path) -> None:
    scene = write_soft_scene(tmp_path / "scene", 3, size=12, alpha=False)
    options = small_options("loop.steps=1", "data.holdout=0", "data.near=2", "data.far=6")
    result, path = radiance.train_field(scene, tmp_path / "run", options)
    assert result.step == 1
    assert path is not None
    page = Page(path)
    assert "There were no views to validate on" in page.text
    assert "Training views, which the field has learnt from" in page.text
    assert "Best validation" not in page.text
    assert f"<h1>{tmp_path.name}</h1>" in page.source  # "scene" says little
    assert re.search(r"Trained on .+ cores; anyview", page.text)
    assert "loop.steps" in page.text


def test_a_film_has_a_poster_and_a_place(run: Run, tmp_path: Path) -> None:
    film, path = radiance.render_film(run.folder, "interpolate", 2, (16, 8), out=tmp_path / "my film")
    assert path is not None
    films = Page(path).all("video")
    assert [film_["src"] for film_ in films] == ["../my%20film/color.mp4", "../my%20film/depth.mp4"]
    assert (run.folder / unquote(films[0]["src"] or "")).resolve() == film.color.resolve()
    for one in films:
        assert (one["poster"] or "").startswith("data:image/")
        assert (one["width"], one["height"]) == ("16", "8")


@pytest.mark.parametrize(
    "full", [OSError(errno.ENOSPC, "No space left on device"), SceneError("gone"), ValueError("x")]
)
def test_a_page_that_fails_is_one_sentence(full: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise full

    monkeypatch.setattr(field_page, "document", fail)
    notes = []

    class Notes(type(radiance.SILENT)):  # type: ignore[misc]
        def note(self, message: str) -> None:
            notes.append(message)

    result, path = radiance.train_field(soft_scene(), tmp_path / "run", small_options("loop.steps=2"), Notes())
    assert path is None
    assert result.checkpoint.is_file()
    assert open_run(tmp_path / "run").step == 2
    assert [note for note in notes if "report.html" in note] == [f"report.html was not written, all else was: {full}"]
    assert not list((tmp_path / "run").glob("*.html"))
    assert not list((tmp_path / "run").glob(".*.tmp*"))


def test_a_full_disk_keeps_the_page_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = radiance.write_page(run)
    before = path.read_bytes()

    write = Path.write_text

    def full(self: Path, text: str, *words: str, **named: str) -> int:
        if self.suffix != ".html":
            return write(self, text, *words, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    _, written = radiance.evaluate_field(run.folder, "val")
    assert written is None
    assert path.read_bytes() == before


def test_what_is_missing_is_told(run: Run) -> None:
    (run.folder / "log.csv").unlink()
    page = Page(radiance.write_page(run))
    assert "Training" not in page.titles()
    assert "The curves are not shown: no log in" in page.text


def test_only_changed_options_stand_out(run: Run) -> None:
    page = Page(radiance.write_page(run))
    changed = page.source.split("What differs from the defaults.")[1].split("<details>")[0]
    names = re.findall(r"<code>([^<]+)</code>", changed)
    assert {"field", "mip.batch", "loop.steps"} <= set(names)
    assert "loop.seed" not in names
    assert "<td>none</td><td>6</td>" in changed
