"""What a workspace holds that a report can show.

Anything may be missing or damaged: then it is left out, and why is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from anyview.errors import AnyviewError
from anyview.formats.colmap import ColmapPoints, is_model, read_array, read_model
from anyview.formats.ply import Ply, read_ply
from anyview.report.pictures import color_depth, color_normals, depth_range, fit
from anyview.scene.scene import Scene, View
from anyview.scene.snapshot import read_scene_json
from anyview.typing import Depth, Normals
from anyview.workspace import Workspace

ERROR_CLOUD = "error.ply"
"""In the workspace: the cloud coloured by its distance to the truth, where it has been evaluated."""

_MOST_POINTS = 1_200_000  # three for each pixel of a picture of 720 x 540
_SAMPLES = 5
_SAMPLE_SIZE = (560, 560)

Thing = TypeVar("Thing")


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points (N, 3) with what is known of them."""

    xyz: NDArray[np.float64] = field(repr=False)
    rgb: UInt8[np.ndarray, "N 3"] | None = field(repr=False)
    normals: Float32[np.ndarray, "N 3"] | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Material:
    """A run as the report sees it.

    Attributes:
        name: of the workspace's folder.
        scene: the views, or None.
        sparse: triangulated points, or None.
        cloud, mesh, errors: dense cloud (at most 1.2 million points), mesh, cloud coloured by error; or None.
        samples: views to be shown, spread over the capture.
        depth_maps: how many views have one.
        missing: a sentence for each thing that is not there or could not be read.
    """

    name: str
    scene: Scene | None
    sparse: ColmapPoints | None
    cloud: Cloud | None
    mesh: Ply | None
    errors: Cloud | None
    samples: tuple[View, ...]
    depth_maps: int
    missing: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """One view's photograph, depth and normals as pictures (RGBA), each None where there is none.

    `limits` are the depths at the ends of the colours, scene units; `filled` is the number of pixels with depth over
    that of the mask's pixels, or of all where there is no mask (`masked` tells which).
    """

    view: View
    photo: UInt8[np.ndarray, "h w 4"] | None
    depth: UInt8[np.ndarray, "h w 4"] | None
    normals: UInt8[np.ndarray, "h w 4"] | None
    limits: tuple[float, float] | None
    filled: float
    masked: bool


def gather(workspace: Workspace) -> Material:
    """Read what is there."""
    missing: list[str] = []

    def attempt(what: str, path: Path, exists: bool, read: Callable[[], Thing]) -> Thing | None:
        if not exists:
            missing.append(f"There is no {what} ({path.name}).")
            return None
        try:
            return read()
        except (AnyviewError, OSError) as error:
            missing.append(f"The {what} could not be read: {error}.")
            return None

    scene_file, sparse, fused, mesh = workspace.scene_file, workspace.sparse, workspace.fused, workspace.mesh
    scene = attempt("scene", scene_file, scene_file.is_file(), lambda: read_scene_json(scene_file))
    points = attempt("sparse model", sparse, is_model(sparse), lambda: read_model(sparse).points)
    cloud = attempt("dense cloud", fused, fused.is_file(), lambda: _read_cloud(fused))
    surface = attempt("mesh", mesh, mesh.is_file(), lambda: read_ply(mesh))
    with_depth = [v for v in scene or () if _map_kind(workspace, v.name)]
    if scene is not None and not with_depth:
        missing.append("There are no depth maps.")
    error_file = workspace.root / ERROR_CLOUD
    errors = attempt("error cloud", error_file, True, lambda: _read_cloud(error_file)) if error_file.is_file() else None
    return Material(
        workspace.root.resolve().name,
        scene,
        points if points is not None and len(points) else None,
        cloud if cloud is not None and len(cloud.xyz) else None,
        surface if surface is not None and surface.faces is not None and len(surface.faces) else None,
        errors if errors is not None and len(errors.xyz) else None,
        tuple(spread(with_depth or list(scene or ()), _SAMPLES)),
        len(with_depth),
        tuple(missing),
    )


def spread(things: list[Thing], count: int) -> list[Thing]:
    """At most `count` of the things, evenly spread, first and last among them."""
    if len(things) <= count:
        return things
    return [things[i] for i in np.linspace(0, len(things) - 1, count).round().astype(int).tolist()]


def sample_view(workspace: Workspace, view: View) -> Sample:
    """Pictures of one view, small enough for a page; what cannot be read is None."""
    photo = depth = normals = limits = None
    filled, inside = 0.0, 1.0
    try:
        rgb, mask = view.read()
        inside = 1.0 if mask is None else float(mask.mean())
        alpha = np.ones(rgb.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
        photo = _small(np.rint(np.dstack([np.clip(rgb, 0, 1), alpha]) * 255).astype(np.uint8))
    except (AnyviewError, OSError):
        pass
    if kind := _map_kind(workspace, view.name):
        try:
            values: Depth = read_array(workspace.depth_map(view.name, kind)).astype(np.float32)
            limits, filled = depth_range(values), float((values > 0).sum() / max(1.0, inside * values.size))
            depth = _small(color_depth(values, limits))
            directions: Normals = read_array(workspace.normal_map(view.name, kind)).astype(np.float32)
            normals = _small(color_normals(directions))
        except (AnyviewError, OSError, IndexError, ValueError):
            pass
    return Sample(view, photo, depth, normals, limits, filled, inside < 1)


def _map_kind(workspace: Workspace, name: str) -> str | None:
    return next((k for k in ("geometric", "photometric") if workspace.depth_map(name, k).is_file()), None)


def _small(picture: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "h w 4"]:
    return np.asarray(fit(picture, *_SAMPLE_SIZE))


def _read_cloud(path: Path) -> Cloud:
    ply = read_ply(path)
    xyz, rgb, normals = ply.xyz, ply.rgb, ply.normals
    if len(xyz) > _MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(len(xyz), _MOST_POINTS, replace=False))
        xyz = xyz[kept]
        rgb, normals = (None if a is None else a[kept] for a in (rgb, normals))
    return Cloud(xyz, rgb, normals)
