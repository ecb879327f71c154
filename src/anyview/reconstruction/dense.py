"""The dense stage: passes of PatchMatch over all views, coarse to fine, then one with geometric consistency.

Between passes a view's planes lie in the workspace, so that memory does not grow with the views and a killed run goes
on where it was. The result is in COLMAP's layout: `dense/stereo/{depth,normal,confidence}_maps/NAME.geometric.bin`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PillowImage

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse
from anyview.compute import parallel_map
from anyview.compute.device import resolve
from anyview.errors import SceneError
from anyview.formats.colmap import ColmapModel, is_model, read_model, write_array
from anyview.formats.colmap_dense import write_patch_match_config
from anyview.progress import SILENT, Progress
from anyview.reconstruction.fusion_kernels import NORMAL_SCALE, OUTSIDE, Maps
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.patch_match import Pass, Planes, StereoView, match_view
from anyview.reconstruction.planar_fill import FILLED_COST, fill_planes
from anyview.reconstruction.pyramid import grey_from_rgb
from anyview.reconstruction.smoothing import smooth_planes
from anyview.reconstruction.support import surface_support
from anyview.reconstruction.views import ViewPlan, plan_views
from anyview.scene.scene import Scene, View
from anyview.typing import Depth, Normals, Pose
from anyview.workspace import Task, Workspace, atomic_write, fingerprint

_VERSION = 7  # part of every key: raise it when the same options give other maps


@dataclass(frozen=True)
class DenseResult:
    """What the dense stage did.

    Attributes:
        views: number of depth maps.
        pixels: pixels with a depth, over all maps.
        compared: windows compared (NCC evaluations) in the passes that ran now.
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


def passes(options: DenseOptions) -> list[Pass]:
    """Global search at a quarter of the size, ever finer alignment, then the pixels that views disagree on."""
    coarse = options.coarsest_scale
    schedule = [Pass(coarse, joint=options.search_iterations, alignments=1)]
    for scale in range(coarse - 1, -1, -1):
        schedule.append(Pass(scale, light=options.iterations, alignments=options.alignments))
    if options.geometric_weight > 0:
        schedule.append(Pass(0, light=1, alignments=1, geometric=options.geometric_weight))
    return schedule


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
    run = _Run(workspace, scene, options, seed, {plan.name: plan for plan in plans})
    finished = [run.final(plan) for plan in plans]
    compared, seconds = 0, 0.0
    if not all(task.fresh for task in finished):
        run.prepare(progress)
        schedule = passes(options)
        for index, plan in enumerate(schedule):
            with progress.stage(f"dense {index + 1}/{len(schedule)}", len(plans)) as advance:
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


class _Run:
    """What the tasks of one run share."""

    def __init__(
        self, workspace: Workspace, scene: Scene, options: DenseOptions, seed: int, plans: Mapping[str, ViewPlan]
    ) -> None:
        self.workspace, self.options, self.seed, self.plans = workspace, options, seed, plans
        self.views = {view.name: view for view in scene}
        self.index = {view.name: i for i, view in enumerate(scene)}
        self.folder = workspace.root / ".anyview" / "dense"
        self.key = {name: self._view_key(view) for name, view in self.views.items()}
        self.engine: Callable[..., tuple[Planes, int]] = match_view
        if options.device == "cuda":
            from anyview.reconstruction.cuda import CudaMatcher

            self.engine = CudaMatcher().match_view

    def camera(self, view: View) -> Camera:
        """The camera at the dense stage's size."""
        return dense_camera(view.camera, self.options.max_image_size)

    def _view_key(self, view: View) -> str:
        options = asdict(self.options)
        if options["device"] == "cpu":  # on a GPU the last bits differ
            del options["device"]
        return fingerprint(_VERSION, options, view.pixels.fingerprint(), asdict(self.camera(view)), view.world_from_cam)

    def _plan_key(self, plan: ViewPlan) -> str:
        return fingerprint(
            self.seed, self.index[plan.name], asdict(plan), self.key[plan.name], [self.key[s] for s in plan.sources]
        )

    def final(self, plan: ViewPlan) -> Task:
        """The task that ends with a view's maps; its key holds everything that reaches it through any pass."""
        whole = fingerprint([self._plan_key(p) for p in self.plans.values()])
        return self.workspace.task(f"dense/{plan.name}", (self._plan_key(plan), whole))

    def grey_path(self, name: str) -> Path:
        """The view's grey image."""
        return self.folder / "grey" / f"{name}.npy"

    def planes_path(self, index: int, name: str) -> Path:
        """A view's planes after a pass."""
        return self.folder / f"pass{index}" / f"{name}.npy"

    def normals_path(self, name: str) -> Path:
        """A view's normals after smoothing, int16, camera frame."""
        return self.folder / "normals" / f"{name}.npy"

    def prepare(self, progress: Progress) -> None:
        """Grey images at the dense stage's size."""

        def one(view: View) -> bool:
            path = self.grey_path(view.name)
            task = self.workspace.task(f"dense-grey/{view.name}", self.key[view.name])
            record = task.record()
            if record is None:
                grey = load_grey(view, self.camera(view))
                _save(path, grey)
                record = task.done([path], inside=int(np.count_nonzero(grey)))
            return bool(record["notes"]["inside"])

        with progress.stage("reading images", len(self.views)) as advance:
            if not any(list(parallel_map(one, self.views.values(), advance=advance))):
                raise SceneError("every view's mask is empty", hint="check the alpha channels or the masks folder")

    def match(self, index: int, schedule: Pass, plan: ViewPlan) -> tuple[int, float]:
        """One pass over one view; returns the windows compared and the processor time of this thread, seconds."""
        begin = time.thread_time()
        names = (plan.name, *plan.sources)
        before = [self._pass_task(index - 1, n) for n in names if n in self.plans] if index else []
        inputs = [task.fingerprint() for task in before]
        task = self._pass_task(index, plan.name, inputs)
        if task.fresh:
            return 0, 0.0
        previous = self._read_planes(index - 1, plan.name) if index else None
        with_depth = schedule.geometric > 0 and index > 0
        planes, compared = self.engine(
            self._stereo_view(plan.name, None),
            [self._stereo_view(n, index - 1 if with_depth else None) for n in plan.sources],
            schedule,
            previous,
            rho_range=(1 / plan.depth_max, 1 / plan.depth_min),
            rho_step=self._rho_step(plan),
            radius=self.options.window_radius,
            color_sigma=self.options.color_sigma,
            most=self.options.views_per_pixel,
            seed=(self.seed * 7919 + self.index[plan.name] * 104729 + index * 1299709) % 2**31,
        )
        path = self.planes_path(index, plan.name)
        _save(path, np.stack([planes.rho, planes.gx, planes.gy, planes.cost, planes.views.view(np.float32)]))
        task.done([path])
        return compared, time.thread_time() - begin

    def _rho_step(self, plan: ViewPlan) -> float:
        """Inverse depth per pixel of displacement at the dense stage's size."""
        view = self.views[plan.name]
        return plan.rho_step * view.camera.fx / self.camera(view).fx

    def smooth(self, plan: ViewPlan) -> None:
        """The step after the last pass: planes that match badly are dropped, the others become those of surfaces."""
        index, name = len(passes(self.options)), plan.name
        task = self._pass_task(index, name, self._pass_task(index - 1, name).fingerprint())
        if task.fresh:
            return
        planes = self._read_planes(index - 1, name)
        rho, gx, gy = np.where(planes.cost <= self.options.max_cost, planes.rho, np.float32(0)), planes.gx, planes.gy
        if self.options.smoothing:
            step = np.float32(self._rho_step(plan))
            rho, gx, gy = smooth_planes(rho, gx, gy, planes.cost, step, self.options.smoothing)
        path, normals_path = self.planes_path(index, name), self.normals_path(name)
        smooth = Planes(0, rho, gx, gy, planes.cost, planes.views)
        _, normals, _ = maps_from_planes(smooth, self.camera(self.views[name]))
        _save(path, np.stack([rho, gx, gy, planes.cost, planes.views.view(np.float32)]))
        _save(normals_path, np.rint(normals * NORMAL_SCALE).astype(np.int16))
        task.done([path, normals_path])

    def finish(self, plan: ViewPlan) -> None:
        """Fill what the sources do not confirm, and write the view's maps in COLMAP's format."""
        task = self.final(plan)
        if task.fresh:
            return
        planes, view = self._read_planes(len(passes(self.options)), plan.name), self.views[plan.name]
        rho, gx, gy, cost = planes.rho, planes.gx, planes.gy, planes.cost
        if self.options.fill > 0:
            own = self._maps(plan.name)
            support = surface_support(own, self._source_maps(plan))
            stack, mask, matrix = np.stack([rho, gx, gy]), own.state == 0, self.camera(view).matrix
            (rho, gx, gy), filled = fill_planes(stack, support, mask, matrix, self.options.fill)
            cost = np.where(filled, np.float32(min(FILLED_COST, self.options.max_cost)), cost)
        rho = np.where(rho > 0, rho.clip(1 / plan.depth_max, 1 / plan.depth_min), 0).astype(np.float32)
        depth, normals, cost = maps_from_planes(Planes(0, rho, gx, gy, cost, planes.views), self.camera(view))
        paths = [self.workspace.depth_map(plan.name), self.workspace.normal_map(plan.name),
                 self.workspace.confidence_map(plan.name)]  # fmt: skip
        for path, array in zip(paths, (depth, normals, cost), strict=True):
            with atomic_write(path) as temporary:
                write_array(temporary, array)
        task.done(paths, pixels=int(np.count_nonzero(depth)))

    def _source_maps(self, plan: ViewPlan) -> Iterator[tuple[Maps, Pose]]:
        """The sources' smoothed maps, each with src_from_ref."""
        world_from_ref = self.views[plan.name].world_from_cam
        for name in plan.sources:
            if name in self.plans:
                yield self._maps(name), inverse(self.views[name].world_from_cam) @ world_from_ref

    def _maps(self, name: str) -> Maps:
        """A view's smoothed planes as fusion's kernels read them."""
        rho = np.load(self.planes_path(len(passes(self.options)), name), mmap_mode="r")[0]
        depth = np.divide(1, rho, out=np.zeros(rho.shape, np.float32), where=rho > 0)
        state = np.where(np.load(self.grey_path(name)) == 0, np.uint8(OUTSIDE), np.uint8(0))
        camera = self.camera(self.views[name])
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        unused = np.zeros_like(state)
        colors = np.zeros((*state.shape, 3), np.uint8)
        return Maps(depth, np.load(self.normals_path(name)), unused, colors, state, intrinsics)

    def _pass_task(self, index: int, name: str, inputs: object = None) -> Task:
        """A pass's task; without `inputs`, only its outputs' fingerprint can be asked for."""
        key = (self._plan_key(self.plans[name]), index, inputs)
        return _PassTask(self.workspace, f"dense-pass{index}/{name}", key)

    def _read_planes(self, index: int, name: str) -> Planes:
        stored = np.load(self.planes_path(index, name))
        rho, gx, gy, cost = (np.ascontiguousarray(a) for a in stored[:4])
        scales = [schedule.scale for schedule in passes(self.options)]
        return Planes([*scales, scales[-1]][index], rho, gx, gy, cost, stored[4].copy().view(np.uint32))

    def _stereo_view(self, name: str, depth_of: int | None) -> StereoView:
        view, depth = self.views[name], None
        if depth_of is not None and name in self.plans:
            depth = self._read_planes(depth_of, name).depth
        return StereoView(np.load(self.grey_path(name)), self.camera(view).matrix, view.world_from_cam, depth, name)


class _PassTask(Task):
    """A task whose outputs' fingerprint does not depend on its key having been given again in full."""

    def fingerprint(self) -> str:
        """Digest of what the record says was written."""
        record = self.recorded()
        return fingerprint(record["outputs"] if record else None)


def dense_camera(camera: Camera, longest: int) -> Camera:
    """The camera reduced so that its longer side has at most `longest` pixels."""
    scale = longest / max(camera.width, camera.height)
    if scale >= 1:
        return camera
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def load_grey(view: View, camera: Camera) -> UInt8[np.ndarray, "H W"]:
    """The view's grey image at the camera's size: 1..255, 0 where masked out."""
    rgb, mask = view.read()
    if (camera.width, camera.height) != (rgb.shape[1], rgb.shape[0]):
        size, area = (camera.width, camera.height), PillowImage.Resampling.BOX
        inside = np.ones(rgb.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
        weight = np.asarray(PillowImage.fromarray(inside).resize(size, area))
        planes = [np.asarray(PillowImage.fromarray(rgb[..., c] * inside).resize(size, area)) for c in range(3)]
        rgb = (np.stack(planes, -1) / np.maximum(weight, 1e-6)[..., None]).astype(np.float32)
        mask = None if mask is None else weight >= 0.5
    return grey_from_rgb(rgb, mask)


def maps_from_planes(planes: Planes, camera: Camera) -> tuple[Depth, Normals, Float32[np.ndarray, "H W"]]:
    """Depth (scene units), normals (camera frame, towards the camera) and cost; all 0 where there is no plane."""
    height, width = planes.rho.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    keep = planes.rho > 0
    normal = np.stack(
        [planes.gx * camera.fx, planes.gy * camera.fy,
         planes.rho - planes.gx * (x - camera.cx) - planes.gy * (y - camera.cy)], -1,
    )  # fmt: skip
    normal = -normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-30)
    depth = np.where(keep, planes.depth, 0).astype(np.float32)
    return depth, (normal * keep[..., None]).astype(np.float32), np.where(keep, planes.cost, 0).astype(np.float32)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        np.save(temporary, array)


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
    if model is not None and not target.exists():
        target.symlink_to(workspace.sparse.resolve(), target_is_directory=True)
