"""The dense stage: passes of PatchMatch over all views, coarse to fine, then surfaces from what views agree on.

Between passes a view's planes lie in the workspace, so that memory does not grow with the views and a killed run goes
on where it was. The result is in COLMAP's layout: `dense/stereo/{depth,normal,confidence}_maps/NAME.geometric.bin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree

from anyview.compute import parallel_map
from anyview.compute.device import resolve
from anyview.formats.colmap import ColmapModel, is_model, read_model
from anyview.formats.colmap_dense import write_patch_match_config
from anyview.progress import SILENT, Progress
from anyview.reconstruction.dense_tasks import DenseTasks
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.views import plan_views
from anyview.scene.scene import Scene
from anyview.workspace import Workspace, atomic_write


@dataclass(frozen=True)
class DenseResult:
    """What the dense stage did.

    Attributes:
        views: number of depth maps.
        pixels: pixels with a depth, over all maps.
        compared: windows compared (NCC evaluations) in all passes; 0 where all maps were there already.
        matching_seconds: processor time that these passes took, of all threads together.
        sources: names of each view's source views.
        device: "cpu" or "cuda", where the passes ran.
    """

    views: int
    pixels: int
    compared: int
    matching_seconds: float
    sources: Mapping[str, tuple[str, ...]]
    device: str = "cpu"


def dense(
    workspace: Workspace, scene: Scene, options: DenseOptions, seed: int = 0, progress: Progress = SILENT
) -> DenseResult:
    """Depth, normal and confidence maps of every view that shares something with others.

    Args:
        workspace: where the maps go; its sparse model guides sources and depth ranges where there is one.
        scene: pinhole views.
        options: of the dense stage.
        seed: of all random draws.

    Raises:
        SceneError: fewer than two views, views that share nothing, or nothing inside any mask.
        OptionError: the options ask for a GPU and there is none that works.
        WorkspaceError: the folder cannot be written to.
    """
    options = replace(options, device=resolve(options.device))
    model = read_model(workspace.sparse) if is_model(workspace.sparse) else None
    plans = plan_views(scene, model, options.sources, options.depth_min, options.depth_max)
    without = sorted({view.name for view in scene} - {plan.name for plan in plans})
    if without:
        progress.note(
            f"no depth for {len(without)} views, which share nothing with others in the range searched: "
            + ", ".join(without[:5])
        )
    run = DenseTasks(workspace, scene, options, seed, {plan.name: plan for plan in plans})
    finished = [run.final(plan) for plan in plans]
    compared, seconds = 0, 0.0
    if not all(task.fresh for task in finished):
        run.prepare(progress)
        for index, plan in enumerate(run.schedule):
            with progress.stage(f"dense {index + 1}/{len(run.schedule)}", len(plans)) as advance:
                for windows, used in parallel_map(partial(run.match, index, plan), plans, advance=advance):
                    compared += windows
                    seconds += used
        with progress.stage("surfaces", 2 * len(plans)) as advance:
            for step in (run.smooth, run.finish):
                for _ in parallel_map(step, plans, advance=advance):
                    pass
        rmtree(run.folder, ignore_errors=True)
    sources = {plan.name: plan.sources for plan in plans}
    write_patch_match_config(workspace.dense / "stereo" / "patch-match.cfg", sources)
    _link_colmap(workspace, scene, model, sources)
    pixels = sum(int(record["notes"]["pixels"]) for plan in plans if (record := run.final(plan).record()))
    return DenseResult(len(plans), pixels, compared, seconds, sources, options.device)


def _link_colmap(
    workspace: Workspace, scene: Scene, model: ColmapModel | None, sources: Mapping[str, tuple[str, ...]]
) -> None:
    """What COLMAP's own commands want beside the maps: images, the model, and the fusion's list of views."""
    for view in scene:
        link = workspace.dense / "images" / view.name
        if view.path is not None and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(view.path.resolve())
    with atomic_write(workspace.dense / "stereo" / "fusion.cfg") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in sources))
    target = workspace.dense / "sparse"
    if target.is_symlink():  # of a workspace that has been moved since, perhaps
        target.unlink()
    if model is not None and not target.exists():
        target.symlink_to(Path("..") / workspace.sparse.name, target_is_directory=True)
