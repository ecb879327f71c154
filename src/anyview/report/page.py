"""`WORK/report.html`: one page that needs nothing but itself - no network, no files beside it.

Same workspace, summary and options: same bytes. What is missing or damaged is left out and told in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anyview.progress import SILENT, Progress
from anyview.report import sections
from anyview.report.cameras_plot import draw_cameras
from anyview.report.cloud_view import pack_cloud
from anyview.report.document import document
from anyview.report.html import EMPTY, Html, join, tag
from anyview.report.material import Cloud, Material, Sample, gather, sample_view
from anyview.report.rasterize import Render
from anyview.report.sides import render_sides
from anyview.workspace import Workspace, atomic_write

_STEPS = 5
_BARE_NAMES = {"", "scene", "data", "images", "sparse"}  # of scenes' folders: the workspace's says more
_SIDE_SIZE = (720, 540)


def write_report(workspace: Workspace, summary: Mapping[str, Any], options: Any, progress: Progress = SILENT) -> Path:
    """Write the page of a run.

    Args:
        workspace: read: scene, sparse model, depth and normal maps, cloud, mesh, `error.ply`. None of them must exist.
        summary: numbers of the run. Known names: `views`, `stages` (seconds by stage), `stage_memory_bytes`,
            `peak_memory_bytes`, `sparse`, `dense`, `mesh` (numbers by name), `evaluation` (`scores`: a list of
            `threshold`, `precision`, `recall`, `f1` and perhaps `label`; and counts and distances), `warnings` and
            `notes` (sentences), `scene`, `versions`, `machine`. All may be missing.
        options: of the run: a dataclass, or a dictionary of values and of groups of values.
        progress: told how the work advances.

    Returns:
        The page's path, `WORK/report.html`.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    with progress.stage("report", _STEPS) as advance:
        material = gather(workspace)
        advance()
        cloud = _sides(material, material.cloud)
        advance()
        mesh: list[Render] = []
        if material.mesh is not None and material.scene is not None:
            mesh = render_sides(material.mesh.xyz, _poses(material), faces=material.mesh.faces, size=_SIDE_SIZE)
        advance()
        evaluation = summary.get("evaluation")
        evaluation = evaluation if isinstance(evaluation, Mapping) else {}
        errors = _sides(material, material.errors, count=2) if evaluation else []
        body = join(
            _header(material, summary),
            tag("main", *_body(workspace, material, summary, options, evaluation, (cloud, mesh, errors))),
            _footer(summary),
        )
        advance()
        with atomic_write(workspace.report) as temporary:
            temporary.write_text(document(material.name, body, script="viewer.js"), encoding="utf-8")
        advance()
    return workspace.report


def _body(
    workspace: Workspace,
    material: Material,
    summary: Mapping[str, Any],
    options: Any,
    evaluation: Mapping[str, Any],
    renders: tuple[list[Render], list[Render], list[Render]],
) -> list[Html]:
    cloud, mesh, errors = renders
    faces = None if material.mesh is None or material.mesh.faces is None else len(material.mesh.faces)
    return [
        _viewer(material, cloud or mesh),
        sections.headline(summary, material.scene, faces),
        sections.sides(
            "Cloud",
            "Fused from all depth maps, in the photographs' colours, from the sides that the cameras saw.",
            cloud,
        ),
        sections.sides("Mesh", "The surface in neutral clay, from the same sides.", mesh),
        sections.accuracy(evaluation, errors),
        _cameras(material, summary),
        sections.views(_samples(workspace, material)),
        sections.stages(summary),
        sections.notes(summary, material.missing),
        sections.options(asdict(options) if is_dataclass(options) and not isinstance(options, type) else dict(options)),
    ]


def _poses(material: Material) -> list[Any]:
    return [] if material.scene is None else [view.world_from_cam for view in material.scene]


def _sides(material: Material, cloud: Cloud | None, count: int = 4) -> list[Render]:
    if cloud is None or material.scene is None or not np.isfinite(cloud.xyz).all(axis=1).any():
        return []
    return render_sides(cloud.xyz, _poses(material), rgb=cloud.rgb, normals=cloud.normals, size=_SIDE_SIZE, count=count)


def _viewer(material: Material, stills: list[Render]) -> Html:
    if material.scene is None or not stills:
        return EMPTY
    if material.cloud is not None:
        packed = pack_cloud(material.scene, material.cloud.xyz, material.cloud.rgb)
    else:
        assert material.mesh is not None
        packed = pack_cloud(material.scene, material.mesh.xyz, material.mesh.rgb)
    return EMPTY if packed is None else sections.viewer(packed, stills[0])


def _samples(workspace: Workspace, material: Material) -> list[Sample]:
    with ThreadPoolExecutor(2) as pool:  # decoding and resizing release the GIL
        return list(pool.map(lambda view: sample_view(workspace, view), material.samples))


def _cameras(material: Material, summary: Mapping[str, Any]) -> Html:
    if material.scene is None:
        return EMPTY
    points = None
    if material.sparse is not None and len(material.sparse) >= 200:
        points = material.sparse.xyz
    elif material.cloud is not None:
        points = material.cloud.xyz
    light, dark = (draw_cameras(material.scene, points=points, dark=is_dark) for is_dark in (False, True))
    return sections.cameras(light, dark, sections.scene_facts(material.scene, summary))


def _header(material: Material, summary: Mapping[str, Any]) -> Html:
    scene = summary.get("scene")
    folder = scene.get("folder") if isinstance(scene, Mapping) else None
    name = Path(str(folder)).name if folder else ""
    if name in _BARE_NAMES:
        name = material.name
    return tag(
        "header",
        tag("p", "anyview", class_="mark"),
        tag("h1", name or "Reconstruction"),
        tag("p", "Dense geometry from posed images", class_="lead"),
    )


def _footer(summary: Mapping[str, Any]) -> Html:
    parts = []
    machine, versions = summary.get("machine"), summary.get("versions")
    if isinstance(machine, Mapping):
        parts.append(", ".join(f"{v} {k}" if isinstance(v, int) else str(v) for k, v in machine.items()))
    if isinstance(versions, Mapping):
        parts.append(", ".join(f"{k} {v}" for k, v in versions.items()))
    return tag("footer", *(tag("p", part) for part in parts))
