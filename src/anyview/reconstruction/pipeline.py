"""Posed images to a dense cloud and a mesh: the stages in order, each resumable, each also to be run alone.

Every stage reads `WORK/scene.json` and what the stage before it wrote, and skips what is done already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from anyview.compute.device import resolve
from anyview.errors import SceneError, WorkspaceError
from anyview.formats.colmap import is_model, read_model
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import Quality, ReconstructionOptions, preset, within_region
from anyview.reconstruction.points.refinement import with_poses_of
from anyview.reconstruction.prepare import prepare_scene
from anyview.reconstruction.summary import STAGES, Stage, read_summary, saved_options, timed, update_summary
from anyview.scene.load import load_scene
from anyview.scene.scene import Scene
from anyview.scene.snapshot import read_scene_json
from anyview.workspace import Workspace
from anyview.workspace.lock import hold


@dataclass(frozen=True)
class ReconstructionResult:
    """Where the results lie and what they number.

    Attributes:
        work: the workspace folder.
        cloud: dense cloud, `WORK/fused.ply`.
        mesh: surface, `WORK/mesh.ply`.
        report: one self-contained page, `WORK/report.html`; written by `anyview.reconstruct`.
        summary: the content of `WORK/summary.json`.
    """

    work: Path
    cloud: Path
    mesh: Path
    report: Path
    summary: dict[str, Any]


def reconstruct(
    scene: Scene | str | Path,
    out: str | Path,
    quality: Quality = "medium",
    *,
    options: ReconstructionOptions | None = None,
    split: str | None = None,
    seed: int | None = None,
    progress: Progress = SILENT,
) -> ReconstructionResult:
    """All stages; what an earlier run has done already is kept.

    Args:
        scene: posed views, or the folder that holds them.
        out: the workspace folder; made where it is missing.
        quality: the preset behind the options.
        options: all of them, instead of a preset.
        split: the views to use ("train", "val", "test"); None takes the training views, or all where there are none.
        seed: replaces the options' seed.
        progress: told how the work advances.

    Raises:
        FormatError, SceneError: the input cannot be read or used.
        OptionError: an option has a value that cannot work, or asks for a GPU where none works.
        WorkspaceError: the folder cannot be written to, the disk is full, or another run works there.
    """
    options = preset(quality) if options is None else options
    if seed is not None:
        options = replace(options, seed=seed)
    resolve(options.dense.device)  # before any work is done
    source = scene if isinstance(scene, Scene) else load_scene(Path(scene))
    chosen = choose_split(source, split)
    within_region(chosen.bounds, options.fusion.region)  # raises where they share nothing
    workspace = Workspace(out)
    with hold(workspace):
        prepare_scene(workspace, chosen, progress)
        update_summary(
            workspace,
            views=len(chosen),
            scene={"folder": str(source.root or ""), "format": source.format, "split": split or "", "of": len(source)},
            options=asdict(options),
        )
        for stage in STAGES:
            _RUN[stage](workspace, options, progress)
    return result_of(workspace)


def choose_split(scene: Scene, split: str | None) -> Scene:
    """The views of one split; with None the training views, or all views where there are none.

    Raises:
        SceneError: fewer than two views remain.
    """
    names = [view.split for view in scene]
    if split is not None and split not in names:
        raise SceneError(
            "no views of this split",
            where=scene.root or "the scene",
            expected="one of " + ", ".join(sorted(set(names))),
            actual=split,
        )
    chosen = scene.split(split) if split else scene.split("train") if "train" in names else scene
    if len(chosen) < 2:
        raise SceneError(
            "too few views",
            where=scene.root or "the scene",
            expected="2 or more" + (f' of split "{split}"' if split else ""),
            actual=len(chosen),
            hint="depth comes from comparing views: add photographs from other places",
        )
    return chosen


def run_stage(
    stage: Stage, work: str | Path, options: ReconstructionOptions | None = None, progress: Progress = SILENT
) -> ReconstructionResult:
    """One stage on a workspace that `reconstruct` has made.

    Args:
        stage: "sparse", "dense", "fuse" or "mesh".
        work: the workspace folder.
        options: of all stages; None takes those saved in the workspace. They are saved in turn.
        progress: told how the work advances.

    Raises:
        OptionError: the dense stage asks for a GPU where none works.
        WorkspaceError: not a workspace, not writable, or an earlier stage is missing.
    """
    workspace = Workspace(work, create=False)
    with hold(workspace):
        options = saved_options(workspace) if options is None else options
        if stage == "dense":
            resolve(options.dense.device)
        update_summary(workspace, options=asdict(options))
        _RUN[stage](workspace, options, progress)
    return result_of(workspace)


def result_of(workspace: Workspace) -> ReconstructionResult:
    """What a workspace holds now."""
    return ReconstructionResult(
        workspace.root, workspace.fused, workspace.mesh, workspace.report, read_summary(workspace)
    )


def _require(path: Path, command: str) -> None:
    """Say which command makes what a stage lacks, rather than that some file is missing."""
    if not path.exists():
        raise WorkspaceError("an earlier stage is missing", where=path, hint=f"run `{command}` first")


def _scene(workspace: Workspace) -> Scene:
    _require(workspace.scene_file, "anyview reconstruct SCENE --out WORK")
    return read_scene_json(workspace.scene_file)


def _posed(workspace: Workspace, options: ReconstructionOptions) -> Scene:
    """The scene, with the sparse stage's poses where it was asked to refine them."""
    scene = _scene(workspace)
    if options.sparse.refine_poses and is_model(workspace.sparse):
        scene = with_poses_of(scene, read_model(workspace.sparse))
    return scene


def _within_region(scene: Scene, options: ReconstructionOptions) -> Scene:
    """The scene with its bounds cut down to the region of interest, where there is one."""
    region = options.fusion.region
    return scene if region is None else replace(scene, bounds=within_region(scene.bounds, region))


def _sparse(workspace: Workspace, options: ReconstructionOptions, progress: Progress) -> None:
    from anyview.reconstruction.sparse import sparse

    scene = _scene(workspace)
    if not options.sparse.refine_poses:  # poses want every point that there is
        scene = _within_region(scene, options)
    key = (options.sparse, options.seed)
    result = timed(
        workspace, "sparse", key, progress, lambda p: sparse(workspace, scene, options.sparse, options.seed, p)
    )
    update_summary(workspace, sparse=_facts(result))


def _dense(workspace: Workspace, options: ReconstructionOptions, progress: Progress) -> None:
    from anyview.reconstruction.dense import dense

    scene = _posed(workspace, options)
    key = (options.dense, options.seed)
    scene = _within_region(scene, options)
    result = timed(workspace, "dense", key, progress, lambda p: dense(workspace, scene, options.dense, options.seed, p))
    facts: dict[str, Any] = {"depth_maps": result.views, "pixels": result.pixels, "device": result.device}
    if result.compared:  # nothing was compared where all was there already
        facts["windows_per_pixel"] = round(result.compared / max(result.pixels, 1), 1)
        facts["ns_per_window"] = round(1e9 * result.matching_seconds / result.compared, 1)
    update_summary(workspace, dense=facts)


def _fuse(workspace: Workspace, options: ReconstructionOptions, progress: Progress) -> None:
    from anyview.reconstruction.fusion import fuse

    scene = _posed(workspace, options)
    _require(workspace.dense / "stereo" / "depth_maps", f"anyview dense {workspace.root}")
    limits = (options.dense.depth_min, options.dense.depth_max)
    key = (options.fusion, limits)
    result = timed(workspace, "fuse", key, progress, lambda p: fuse(workspace, scene, options.fusion, p, limits))
    update_summary(workspace, dense={"points": result.points})


def _mesh(workspace: Workspace, options: ReconstructionOptions, progress: Progress) -> None:
    from anyview.reconstruction.meshing import mesh

    _require(workspace.fused, f"anyview fuse {workspace.root}")
    bounds = _within_region(_scene(workspace), options).bounds

    def work(progress: Progress) -> dict[str, Any]:
        facts = _facts(mesh(workspace, options.mesh, progress, bounds))
        if options.mesh.texture:
            from anyview.reconstruction.texturing import texture

            facts |= _facts(texture(workspace, _posed(workspace, options), options.mesh, progress))
        return facts

    update_summary(workspace, mesh=timed(workspace, "mesh", options.mesh, progress, work))


def _facts(result: Any) -> dict[str, Any]:
    """The numbers among a result's fields."""
    return {name: value for name, value in vars(result).items() if isinstance(value, int | float | str)}


_RUN: dict[Stage, Callable[[Workspace, ReconstructionOptions, Progress], None]] = {
    "sparse": _sparse,
    "dense": _dense,
    "fuse": _fuse,
    "mesh": _mesh,
}
