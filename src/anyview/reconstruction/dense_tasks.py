"""The dense stage's tasks for one view each, and the files between them.

Each task's key holds everything that reaches it; a killed run goes on where it was, and memory does not grow with the
views.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from anyview.cameras.models import Camera
from anyview.cameras.poses import inverse
from anyview.compute import parallel_map
from anyview.errors import SceneError
from anyview.formats.colmap import write_array
from anyview.progress import Progress
from anyview.reconstruction.consistency.agreement import NORMAL_SCALE, OUTSIDE, Surface
from anyview.reconstruction.consistency.support import surface_support
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo.images import dense_camera, load_grey
from anyview.reconstruction.stereo.patch_match import Pass, Planes, StereoView, match_view
from anyview.reconstruction.stereo.planar_fill import FILLED_COST, fill_planes
from anyview.reconstruction.stereo.planes import maps_from_planes
from anyview.reconstruction.stereo.smoothing import smooth_planes
from anyview.reconstruction.views import ViewPlan
from anyview.scene.scene import Scene, View
from anyview.typing import Pose
from anyview.workspace import Task, Workspace, atomic_write, fingerprint

_VERSION = 11  # part of every key: raise it when the same options give other maps


def passes(options: DenseOptions, longest: int) -> list[Pass]:
    """Global search in small images, ever finer alignment, then the pixels that views disagree on.

    At half size, pixels that other views do not confirm are searched once more: what is thinner than the small images'
    windows, or stood in front of something plain in them, has been smeared over, and around it is no plane to mend it.

    Args:
        options: of the dense stage.
        longest: longer side of the largest view, pixels.
    """
    coarse = max(1, int(np.log2(max(longest / options.search_size, 1))))
    schedule = [Pass(coarse, joint=options.search_iterations, alignments=1)]
    for scale in range(coarse - 1, -1, -1):
        schedule.append(Pass(scale, light=options.iterations, alignments=options.alignments))
        if scale == 1 and options.geometric_weight > 0:
            schedule.append(Pass(scale, joint=1, alignments=1, geometric=options.geometric_weight))
    if options.geometric_weight > 0:
        schedule.append(Pass(0, light=1, alignments=1, geometric=options.geometric_weight))
    return schedule


class DenseTasks:
    """What the tasks of one run share, and the tasks."""

    def __init__(
        self, workspace: Workspace, scene: Scene, options: DenseOptions, seed: int, plans: Mapping[str, ViewPlan]
    ) -> None:
        self.workspace, self.options, self.seed, self.plans = workspace, options, seed, plans
        self.views = {view.name: view for view in scene}
        self.index = {view.name: i for i, view in enumerate(scene)}
        sides = [side for view in scene for side in (self.camera(view).width, self.camera(view).height)]
        self.schedule = passes(options, max(sides))
        self.folder = workspace.root / ".anyview" / "dense"
        self.key = {name: self._view_key(view) for name, view in self.views.items()}
        self.plan_key = {name: self._plan_key(plan) for name, plan in plans.items()}
        self.whole = fingerprint(list(self.plan_key.values()))
        self.engine: Callable[..., tuple[Planes, int]] = match_view
        if options.device == "cuda":
            from anyview.reconstruction.stereo.cuda import CudaMatcher

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
        return self.workspace.task(f"dense/{plan.name}", (self.plan_key[plan.name], self.whole))

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
        """One pass over one view; returns the windows that it compared and its processor time, seconds."""
        begin = time.thread_time()
        names = (plan.name, *plan.sources)
        before = [self._pass_task(index - 1, n) for n in names if n in self.plans] if index else []
        inputs = [task.fingerprint() for task in before]
        task = self._pass_task(index, plan.name, inputs)
        if (record := task.record()) is not None:
            return record["notes"]["compared"], record["notes"]["seconds"]
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
        seconds = time.thread_time() - begin
        task.done([path], compared=compared, seconds=seconds)
        return compared, seconds

    def _rho_step(self, plan: ViewPlan) -> float:
        """Inverse depth per pixel of displacement at the dense stage's size."""
        view = self.views[plan.name]
        return plan.rho_step * view.camera.fx / self.camera(view).fx

    def smooth(self, plan: ViewPlan) -> None:
        """The step after the last pass: planes that match badly are dropped, the others become those of surfaces."""
        index, name = len(self.schedule), plan.name
        task = self._pass_task(index, name, self._pass_task(index - 1, name).fingerprint())
        if task.fresh:
            return
        planes = self._read_planes(index - 1, name)
        rho, gx, gy = np.where(planes.cost <= self.options.max_cost, planes.rho, np.float32(0)), planes.gx, planes.gy
        if self.options.smoothing:
            step = np.float32(self._rho_step(plan))
            rho, gx, gy = smooth_planes(rho, gx, gy, planes.cost, step, self.options.smoothing)
        path, normals_path = self.planes_path(index, name), self.normals_path(name)
        _, normals = maps_from_planes(rho, gx, gy, self.camera(self.views[name]))
        _save(path, np.stack([rho, gx, gy, planes.cost]))
        _save(normals_path, np.rint(normals * NORMAL_SCALE).astype(np.int16))
        task.done([path, normals_path])

    def finish(self, plan: ViewPlan) -> None:
        """Fill what the sources do not confirm, and write the view's maps in COLMAP's format."""
        task = self.final(plan)
        if task.fresh:
            return
        camera = self.camera(self.views[plan.name])
        *planes, cost = np.load(self.planes_path(len(self.schedule), plan.name))
        if self.options.fill > 0:
            own = self._surface(plan.name)
            support, mask = surface_support(own, self._source_surfaces(plan)), own.state == 0
            planes, filled = fill_planes(np.stack(planes), support, mask, camera.matrix, self.options.fill)
            cost = np.where(filled, np.float32(min(FILLED_COST, self.options.max_cost)), cost)
        rho, gx, gy = planes
        rho = np.where(rho > 0, rho.clip(1 / plan.depth_max, 1 / plan.depth_min), 0).astype(np.float32)
        depth, normals = maps_from_planes(rho, gx, gy, camera)
        cost = np.where(depth > 0, cost, np.float32(0))
        paths = [self.workspace.depth_map(plan.name), self.workspace.normal_map(plan.name),
                 self.workspace.confidence_map(plan.name)]  # fmt: skip
        for path, array in zip(paths, (depth, normals, cost), strict=True):
            with atomic_write(path) as temporary:
                write_array(temporary, array)
        task.done(paths, pixels=int(np.count_nonzero(depth)))

    def _source_surfaces(self, plan: ViewPlan) -> Iterator[tuple[Surface, Pose]]:
        """The sources' smoothed surfaces, each with src_from_ref."""
        world_from_ref = self.views[plan.name].world_from_cam
        for name in plan.sources:
            if name in self.plans:
                yield self._surface(name), inverse(self.views[name].world_from_cam) @ world_from_ref

    def _surface(self, name: str) -> Surface:
        """A view's smoothed planes as the kernels of `consistency` read them."""
        rho = np.load(self.planes_path(len(self.schedule), name), mmap_mode="r")[0]
        depth = np.divide(1, rho, out=np.zeros(rho.shape, np.float32), where=rho > 0)
        state = np.where(np.load(self.grey_path(name)) == 0, np.uint8(OUTSIDE), np.uint8(0))
        camera = self.camera(self.views[name])
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        return Surface(depth, np.load(self.normals_path(name)), state, intrinsics)

    def _pass_task(self, index: int, name: str, inputs: object = None) -> Task:
        """A pass's task; without `inputs`, only its outputs' fingerprint can be asked for."""
        key = (self.plan_key[name], index, inputs)
        return _PassTask(self.workspace, f"dense-pass{index}/{name}", key)

    def _read_planes(self, index: int, name: str) -> Planes:
        stored = np.load(self.planes_path(index, name))
        rho, gx, gy, cost = (np.ascontiguousarray(a) for a in stored[:4])
        return Planes(self.schedule[index].scale, rho, gx, gy, cost, stored[4].copy().view(np.uint32))

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


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        np.save(temporary, array)
