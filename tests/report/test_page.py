"""The page: well-formed, self-contained, escaped, the same twice, and whole whatever is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from anyview.formats.colmap import ColmapModel, write_array, write_model
from anyview.formats.colmap_model import ColmapPoints
from anyview.formats.ply import write_ply
from anyview.reconstruction.options import preset
from anyview.report import material, page, words
from anyview.report.html import Html, tag
from anyview.report.page import write_report
from anyview.scene.scene import Scene
from anyview.workspace import Workspace
from camera_ring import ring_scene

NASTY = 'a<b>&"quoted"\'s </script>.png'
VOID = {"img", "br", "hr", "meta", "source", "input", "link"}
SUMMARY: dict[str, Any] = {
    "views": 4,
    "stages": {"sparse": 3.2, "dense": 75.0, "fuse": 0.5, "report": 9.0},
    "stage_memory_bytes": {"dense": 3 << 30},
    "peak_memory_bytes": 3 << 30,
    "sparse": {"points": 12_833, "mean_reprojection_error": 0.5604},
    "dense": {"points": 1_234_567},
    "evaluation": {"scores": [{"threshold": 0.01, "precision": 0.912, "recall": 0.5, "f1": 0.646}], "predicted": 400},
    "warnings": ["<img src=x onerror=alert(1)>"],
    "notes": ["plain & simple"],
    "scene": {"folder": "/data/<lego>", "format": "blender"},
    "versions": {"anyview": "0.1.0"},
    "machine": {"cpu": "a <fast> one", "cores": 2},
}


class Page(HTMLParser):
    """Checks that elements nest, and gathers what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += f"{data} "


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Four views, one with a name that means harm."""
    s = ring_scene(4)
    s = replace(s, views=(replace(s.views[0], name=NASTY.replace("/", "_")), *s.views[1:]))
    monkeypatch.setattr(material, "read_scene_json", lambda path: s)
    monkeypatch.setattr(page, "_SIDE_SIZE", (160, 120))  # a fourth of the work, and of the bytes
    return s


def fill(work: Path, views: Scene) -> Workspace:
    """Every artefact, small."""
    rng = np.random.default_rng(0)
    workspace = Workspace(work)
    workspace.scene_file.write_text("{}")
    for view in views:
        depth = rng.uniform(2, 3, (48, 64)).astype(np.float32)
        depth[:5] = 0
        for path, array in (
            (workspace.depth_map(view.name), depth),
            (workspace.normal_map(view.name), np.dstack([depth * 0, depth * 0, -np.ones_like(depth)])),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_array(path, array)
    ball = trimesh.creation.icosphere(4)
    xyz, faces = np.asarray(ball.vertices), np.asarray(ball.faces, np.int32)
    rgb = rng.integers(0, 255, xyz.shape).astype(np.uint8)
    write_ply(workspace.fused, xyz, normals=xyz.astype(np.float32), rgb=rgb)
    write_ply(workspace.mesh, xyz, faces=faces)
    write_ply(workspace.root / material.ERROR_CLOUD, xyz, rgb=rgb)
    none = ColmapPoints.empty()
    points = replace(
        none, ids=np.array([1]), xyz=xyz[:1], rgb=rgb[:1], error=np.ones(1), track_lengths=np.zeros(1, int)
    )
    write_model(ColmapModel({}, {}, points), workspace.sparse)
    return workspace


def test_a_whole_page(tmp_path: Path, views: Scene) -> None:
    workspace = fill(tmp_path / "work", views)
    path = write_report(workspace, SUMMARY, preset("high"))
    assert path == workspace.report
    text = path.read_text()
    read = Page(text)
    assert len(text) < 8e6

    # Nothing comes from elsewhere.
    for name, attributes in read.tags:
        for key in ("src", "srcset", "href", "data", "action", "poster"):
            if key in attributes:
                assert (attributes[key] or "").startswith("data:image/"), (name, key)
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"(fetch|XMLHttpRequest|WebSocket|importScripts)\s*\(", text)

    # What it tells.
    for title in ("Cloud", "Mesh", "Accuracy", "Cameras", "Where the time went", "Notes", "Options"):
        assert f"<h2>{title}</h2>" in text
    assert "1 min 19 s in all" in read.text  # the stages' sum without the report's own
    assert "0.560 px" in read.text
    assert "91.2%" in read.text
    assert "--dense.max-image-size" in read.text
    assert ("tr", {"class": "changed"}) in read.tags  # "high" differs from the default
    images = [a for name, a in read.tags if name == "img"]
    assert len(images) == 1 + 4 + 4 + 2 + 1 + 3 * 4  # still, cloud, mesh, errors, cameras, four views
    assert all(a.get("alt") for a in images)

    # Nothing that is shown becomes markup.
    assert views.views[0].name in read.text
    assert "<img src=x onerror=alert(1)> plain & simple" in " ".join(read.text.split())
    assert "a <fast> one" in read.text
    assert sum(name == "script" for name, _ in read.tags) == 3

    again = write_report(workspace, SUMMARY, preset("high")).read_bytes()
    assert again == text.encode()


@pytest.mark.parametrize("missing", ["all", "cloud", "mesh", "damaged"])
def test_what_is_missing_is_left_out_and_told(tmp_path: Path, views: Scene, missing: str) -> None:
    if missing == "all":
        workspace = Workspace(tmp_path / "work")
    else:
        workspace = fill(tmp_path / "work", views)
    if missing == "cloud":
        workspace.fused.unlink()
    elif missing == "mesh":
        workspace.mesh.unlink()
    elif missing == "damaged":
        for path in (workspace.fused, workspace.mesh, workspace.depth_map(views.views[1].name)):
            path.write_bytes(path.read_bytes()[:-100])
    summary: dict[str, Any] = {} if missing == "all" else SUMMARY
    text = write_report(workspace, summary, {} if missing == "all" else preset("low")).read_text()
    read = Page(text)
    assert ("<h2>Cloud</h2>" in text) == (missing == "mesh")
    assert ("<h2>Mesh</h2>" in text) == (missing == "cloud")
    sentence = {
        "all": "There is no scene",
        "cloud": "There is no dense cloud (fused.ply).",
        "mesh": "There is no mesh (mesh.ply).",
        "damaged": "The dense cloud could not be read",
    }[missing]
    assert sentence in read.text
    assert ('id="viewer"' in text) == (missing in {"cloud", "mesh"})  # the mesh's vertices turn where no cloud is


def test_elements_are_escaped_and_void_ones_have_no_end() -> None:
    assert tag("p", "1 < 2 & ", Html("<b>3</b>"), 4, class_="x", data_a='"') == (
        '<p class="x" data-a="&quot;">1 &lt; 2 &amp; <b>3</b>4</p>'
    )
    assert tag("input", disabled=True, hidden=False) == "<input disabled>"


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (words.short_count(9_999), "9,999"),
        (words.short_count(12_833), "12.8 k"),
        (words.short_count(1_234_567), "1.23 M"),
        (words.short_count(999_999), "1000 k"),
        (words.duration(3.21), "3.2 s"),
        (words.duration(59.7), "1 min 00 s"),
        (words.duration(75.2), "1 min 15 s"),
        (words.duration(3 * 3600 + 125), "3 h 02 min"),
        (words.size(5 << 20), "5 MiB"),
        (words.size(3 << 30), "3.00 GiB"),
        (words.value(True), "yes"),
        (words.value((0.005, 0.01)), "0.005, 0.01"),
        (words.title("mean_reprojection_error"), "Mean reprojection error"),
    ],
)
def test_numbers_as_people_read_them(spoken: str, expected: str) -> None:
    assert spoken == expected
