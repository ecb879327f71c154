"""`anyview demo`: a scene whose truth is known, reconstructed as any other folder of images would be, and scored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from anyview.formats.ply import read_ply, write_ply
from anyview.pipelines.reconstruct import write_page
from anyview.progress import SILENT, Progress
from anyview.reconstruction import pipeline
from anyview.reconstruction.accuracy import Accuracy, error_colors, score_cloud, truth_cloud
from anyview.reconstruction.pipeline import ReconstructionResult, result_of
from anyview.reconstruction.summary import update_summary
from anyview.scene.load import load_scene
from anyview.scene.synthetic import render_scene
from anyview.typing import Depth
from anyview.workspace import Workspace, atomic_write
from anyview.workspace.lock import hold

_VERSION = 1  # part of the key: raise it when the same numbers give other pictures
_LABELS = ("1 pixel", "2 pixels", "4 pixels")


@dataclass(frozen=True)
class DemoResult:
    """What the demo made, and how near it came to the truth.

    Attributes:
        result: where cloud, mesh and report lie, and the run's numbers.
        accuracy: of the cloud, at 1, 2 and 4 times what a pixel covers.
    """

    result: ReconstructionResult
    accuracy: Accuracy


def demo(
    out: str | Path, *, views: int = 24, size: int = 360, seed: int = 0, progress: Progress = SILENT
) -> DemoResult:
    """Render a still life, reconstruct it from the images alone, and compare the cloud with the true surface.

    Args:
        out: workspace folder; the scene goes to `out/scene`, points coloured by their error to `out/error.ply`.
        views: pictures to take.
        size: their width and height, pixels.
        seed: of the scene and of the reconstruction.
        progress: told how the work advances.

    Raises:
        WorkspaceError: the folder cannot be written to, the disk is full, or another run works there.
    """
    workspace = Workspace(out)
    with hold(workspace):
        _render(workspace, views, size, seed, progress)
    pipeline.reconstruct(workspace.root / "scene", out, seed=seed, progress=progress)
    with hold(workspace):
        accuracy = _score(workspace)
        write_page(workspace, progress)
    return DemoResult(result_of(workspace), accuracy)


def _render(workspace: Workspace, views: int, size: int, seed: int, progress: Progress) -> None:
    folder = workspace.root / "scene"
    task = workspace.task("demo-scene", (_VERSION, views, size, seed))
    if not task.fresh:
        render_scene(views, (size, size), seed, progress=progress).write(folder)
        task.done(sorted(path for path in folder.rglob("*") if path.is_file()))


def _score(workspace: Workspace) -> Accuracy:
    """Score the cloud; the result goes to the summary, the errors to `error.ply`."""
    scene = load_scene(workspace.root / "scene").split("train")
    depths = {view.name: _true_depth(view.path) for view in scene if view.path}
    cloud = read_ply(workspace.fused)
    accuracy = score_cloud(cloud.xyz, truth_cloud(scene, depths))
    with atomic_write(workspace.root / "error.ply") as temporary:
        colors = error_colors(accuracy.distances, accuracy.scores[-1].threshold)
        write_ply(temporary, cloud.xyz[np.isfinite(cloud.xyz).all(axis=1)], rgb=colors)
    numbers = {name: value for name, value in vars(accuracy).items() if isinstance(value, int | float)}
    scores = [{"label": label, **asdict(score)} for label, score in zip(_LABELS, accuracy.scores, strict=True)]
    update_summary(workspace, evaluation={"scores": scores, **numbers})
    return accuracy


def _true_depth(image: Path) -> Depth:
    with np.load(image.with_suffix(".npz")) as arrays:
        depth: Depth = arrays["depth_z"]
    return np.where(np.isfinite(depth), depth, np.float32(0))
