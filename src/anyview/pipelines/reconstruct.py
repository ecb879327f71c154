"""Posed images to a cloud, a mesh, and the page that shows them."""

from __future__ import annotations

import time
from pathlib import Path

from anyview.compute import peak_memory_bytes
from anyview.compute.kernel_cache import is_compiled, mark_compiled
from anyview.progress import SILENT, Progress
from anyview.reconstruction import pipeline
from anyview.reconstruction.options import Quality, ReconstructionOptions
from anyview.reconstruction.pipeline import ReconstructionResult, result_of
from anyview.reconstruction.summary import read_summary, update_summary
from anyview.report.page import write_report
from anyview.scene.load import load_scene
from anyview.scene.masks import with_masks
from anyview.scene.scene import Scene
from anyview.workspace import Workspace
from anyview.workspace.lock import hold


def reconstruct(
    scene: Scene | str | Path,
    out: str | Path,
    quality: Quality = "medium",
    *,
    options: ReconstructionOptions | None = None,
    split: str | None = None,
    seed: int | None = None,
    masks: str | Path | None = None,
    progress: Progress = SILENT,
) -> ReconstructionResult:
    """Dense cloud and mesh from posed images, with a report.

    Killed at any moment and called again with the same arguments, it goes on from where it was, and the result is the
    same to the byte.

    Args:
        scene: posed views, or a folder in any layout that `load_scene` reads.
        out: the workspace folder; made where it is missing. Holds `fused.ply`, `mesh.ply`, `report.html`, COLMAP's
            `database.db`, `sparse/` and `dense/`, and `summary.json`.
        quality: the preset behind the options: "low", "medium" or "high".
        options: all of them, instead of a preset.
        split: the views to use ("train", "val", "test"); None takes the training views, or all where there are none.
        seed: replaces the options' seed; the same seed on the same machine gives the same bytes.
        masks: folder of PNG files named like the images, white on what is to be reconstructed; they replace alpha and
            the scene's own masks. `anyview segment predict` writes such a folder.
        progress: told how the work advances.

    Raises:
        FormatError, SceneError: the input cannot be read or used.
        OptionError: an option has a value that cannot work.
        WorkspaceError: the folder cannot be written to, the disk is full, or another run works there.
    """
    if not is_compiled():
        progress.note(
            "first run after installation: kernels are compiled on the way (`anyview doctor` does it beforehand)"
        )
    if masks is not None:
        scene = with_masks(scene if isinstance(scene, Scene) else load_scene(Path(scene)), masks, progress)
    pipeline.reconstruct(scene, out, quality, options=options, split=split, seed=seed, progress=progress)
    workspace = Workspace(out)
    with hold(workspace):
        write_page(workspace, progress)
    mark_compiled()
    return result_of(workspace)


def write_page(workspace: Workspace, progress: Progress = SILENT) -> None:
    """Write `WORK/report.html` from what the workspace holds now; its seconds go to the summary.

    Raises:
        WorkspaceError: the page cannot be written.
    """
    summary = read_summary(workspace)
    start = time.monotonic()
    write_report(workspace, summary, summary.get("options") or {}, progress)
    seconds = round(time.monotonic() - start, 3)
    update_summary(workspace, stages={"report": seconds}, stage_memory_bytes={"report": peak_memory_bytes()})
