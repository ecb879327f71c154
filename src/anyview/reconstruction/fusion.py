"""Depth maps to one cloud: every surface point once, where enough views agree on it.

Views take turns in a fixed order. Each pixel that no earlier point has used is compared with the view's neighbours
(`consistency/agreement.py`); if enough agree it becomes a point, and the neighbours' pixels that went into it are
marked as used. Within a turn marks fall only on other views, so that pixels can be worked on in any order and by any
number of threads with the same result. Points go straight to the file; memory holds a bounded cache of maps and a
bounded piece of work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree

import numpy as np
from jaxtyping import Float64

from anyview.cameras.poses import inverse
from anyview.compute import cpu_count, parallel_map
from anyview.errors import OptionError, WorkspaceError
from anyview.formats.colmap_dense import read_patch_match_config
from anyview.formats.ply_stream import PlyCloudWriter, VisibilityWriter
from anyview.progress import SILENT, Progress
from anyview.reconstruction.consistency.agreement import Limits, Maps
from anyview.reconstruction.consistency.combination import Fused, combine
from anyview.reconstruction.consistency.confidence import Evidence, weigh
from anyview.reconstruction.consistency.estimates import Estimates, candidates, compare, mark
from anyview.reconstruction.consistency.maps import BYTES_HELD, MapCache, loading_bytes, map_pixels
from anyview.reconstruction.options import FusionOptions, within_region
from anyview.scene.scene import Scene, View
from anyview.workspace import Workspace, atomic_write, digest_file

_VERSION = 4  # part of the key: raise it when the same options give another cloud
_EVIDENCE = {"views": "u1", "cost": "f4", "angle": "f4", "confidence": "f4"}  # properties of `fused.ply`, `Evidence`
_PIECE = 1 << 14  # reference pixels worked on at a time by one thread
_BYTES_WORK = 48  # per reference pixel and neighbour: estimates, and results that wait for their turn


@dataclass(frozen=True)
class FusionResult:
    """What fusion did.

    Attributes:
        points: in the cloud.
        map_bytes: the most that the maps in memory took; 0 where the cloud was there already.
    """

    points: int
    map_bytes: int = 0


@dataclass(frozen=True)
class _Budget:
    """How the ceiling is spent; `neighbours` and so the cloud do not depend on the number of threads."""

    neighbours: int  # of a view, the first ones listed
    threads: int
    cache: int  # bytes of maps


def fuse(
    workspace: Workspace,
    scene: Scene,
    options: FusionOptions,
    progress: Progress = SILENT,
    depth_range: tuple[float, float] = (0.0, 0.0),
) -> FusionResult:
    """Write `fused.ply` and `fused.ply.vis` (who saw what; views count from 0 in the order of their sorted names, which
    is that of the model's images in `dense/sparse`).

    A point of the cloud has x y z nx ny nz red green blue, world frame, and the evidence for it: views (that agree, 255
    for more), cost (mean matching cost, 0 best, 2 worst), angle (widest between its rays, degrees) and confidence
    (0 to 1; see `confidence`). No point lies outside the scene's bounds, the options' region or a view's mask.

    Args:
        workspace: with the dense stage's maps and `dense/stereo/patch-match.cfg`.
        scene: the pinhole views that the maps were made for.
        options: of the fusion.
        progress: told how the work advances.
        depth_range: smallest and largest depth of a point in the view that it comes from, scene units; 0 is no limit.

    Raises:
        FormatError: a map or the list of neighbours is missing or damaged.
        OptionError: a memory ceiling below two views.
        WorkspaceError: neighbours that the scene does not have, or a folder that cannot be written to.
    """
    return fuse_with_threads(workspace, scene, options, progress, cpu_count(), depth_range)


def fuse_with_threads(
    workspace: Workspace,
    scene: Scene,
    options: FusionOptions,
    progress: Progress,
    threads: int,
    depth_range: tuple[float, float] = (0.0, 0.0),
) -> FusionResult:
    """`fuse` with a chosen number of threads, which changes nothing in the result."""
    limits = _limits(options, depth_range)
    box = within_region(scene.bounds, options.region)
    listed = read_patch_match_config(workspace.dense / "stereo" / "patch-match.cfg")
    neighbours = _neighbour_indices(workspace, scene, listed)
    task = workspace.task("fuse", _key(workspace, scene, (asdict(options), limits, box.tolist()), neighbours))
    outputs = [workspace.fused, workspace.fused.with_name("fused.ply.vis")]
    record = task.record()
    if record is None:
        with atomic_write(outputs[0]) as cloud, atomic_write(outputs[1]) as visibility:
            budget = _budget(workspace, scene, options, neighbours, threads)
            result = _fuse(workspace, scene, neighbours, budget, (limits, box), (cloud, visibility), progress)
        task.done(outputs, points=result.points)
        return result
    return FusionResult(int(record["notes"]["points"]))


def turns(neighbours: Mapping[int, Sequence[int]]) -> list[int]:
    """The order of the views: each time the one that shares most neighbours with the one before.

    Neighbouring views follow each other, so that a small cache serves.
    """
    left = sorted(neighbours)
    order = [left.pop(0)] if left else []
    while left:
        near = {order[-1], *neighbours[order[-1]]}
        best = max(left, key=lambda i: (len(near.intersection(neighbours[i], [i])), -i))
        left.remove(best)
        order.append(best)
    return order


def _neighbour_indices(
    workspace: Workspace, scene: Scene, listed: Mapping[str, Sequence[str]]
) -> dict[int, tuple[int, ...]]:
    """Neighbours by index: those listed for a view, then those that list it, without views that have no maps."""
    index = {view.name: i for i, view in enumerate(scene)}
    for name in {*listed, *(s for names in listed.values() for s in names)}:
        if name not in index:
            raise WorkspaceError(
                "a neighbour that the scene does not have",
                where=workspace.dense / "stereo" / "patch-match.cfg",
                actual=name,
                hint="run `anyview dense` again",
            )
    forward = {index[n]: [index[s] for s in sources if s in listed and s != n] for n, sources in listed.items()}
    out = {}
    for i, sources in sorted(forward.items()):
        back = sorted(j for j, others in forward.items() if i in others and j not in sources)
        out[i] = tuple(dict.fromkeys([*sources, *back]))
    return out


def _limits(options: FusionOptions, depth_range: tuple[float, float]) -> Limits:
    return Limits(
        float(options.max_reprojection_error),
        float(options.max_depth_error),
        float(np.cos(np.radians(options.max_normal_error))),
        int(options.min_views),
        float(options.min_consensus),
        float(depth_range[0]),
        float(depth_range[1]) or np.inf,
    )


def _key(workspace: Workspace, scene: Scene, options: object, neighbours: Mapping[int, tuple[int, ...]]) -> object:
    def one(i: int) -> object:
        view = scene.views[i]
        paths = [workspace.depth_map(view.name), workspace.normal_map(view.name), workspace.confidence_map(view.name)]
        maps = [digest_file(path) if path.exists() else None for path in paths]
        return [maps, view.pixels.fingerprint(), asdict(view.camera), view.world_from_cam, neighbours[i]]

    views = list(parallel_map(one, neighbours))
    return [_VERSION, options, views]


def _fuse(
    workspace: Workspace,
    scene: Scene,
    neighbours: Mapping[int, tuple[int, ...]],
    budget: _Budget,
    limits: tuple[Limits, Float64[np.ndarray, "2 3"]],
    files: tuple[Path, Path],
    progress: Progress,
) -> FusionResult:
    spill = workspace.root / ".anyview" / "fuse"
    rmtree(spill, ignore_errors=True)  # of a run that was killed
    spill.mkdir()
    try:
        with (
            PlyCloudWriter(files[0], _EVIDENCE) as points,
            VisibilityWriter(files[1]) as seen,
            progress.stage("fuse", len(neighbours)) as advance,
        ):
            names = sorted(view.name for view in scene)  # as `dense/sparse` numbers them
            rank = np.array([names.index(view.name) for view in scene], np.uint32)
            cache = MapCache(workspace, scene.views, spill, budget.cache, budget.threads)
            for index in turns(neighbours):
                turn = [index, *neighbours[index][: budget.neighbours]]
                views = [scene.views[i] for i in turn]
                for fused, evidence in _turn(views, cache.get(turn), limits, budget.threads):
                    keep = fused.kept
                    extra = {name: column[keep] for name, column in evidence._asdict().items()}
                    points.append(fused.xyz[keep], fused.normal[keep], fused.rgb[keep], extra)
                    who = fused.member[:, keep].T
                    seen.append(who.sum(1), np.broadcast_to(rank[turn], who.shape)[who])
                cache.finish(index)
                advance()
        return FusionResult(points.count, cache.peak_bytes)
    finally:
        rmtree(spill, ignore_errors=True)


def _turn(
    views: Sequence[View],
    maps: Sequence[Maps],
    limits: tuple[Limits, Float64[np.ndarray, "2 3"]],
    threads: int,
) -> Iterator[tuple[Fused, Evidence]]:
    """The points of the first view, piece by piece from its top rows down; the others are its neighbours."""
    agreement, box = limits
    ref, sources, pose = maps[0], maps[1:], np.ascontiguousarray(views[0].world_from_cam[:3])
    poses = [np.ascontiguousarray((inverse(v.world_from_cam) @ views[0].world_from_cam)[:3]) for v in views[1:]]

    centers = np.stack([view.center for view in views])

    def work(rows: tuple[int, int]) -> tuple[Fused, Evidence]:
        pixels = candidates(ref, *rows)
        estimates = _empty_estimates(len(sources), len(pixels))
        for j, (src, src_from_ref) in enumerate(zip(sources, poses, strict=True)):
            compare(pixels, ref, src, src_from_ref, agreement, estimates, j)
        fused = combine(pixels, ref, pose, box, agreement, estimates)
        for j, src in enumerate(sources):
            mark(src.state, estimates.pixel[j], fused.kept)
        return fused, weigh(pixels, ref.cost, centers, fused, estimates)

    height, width = ref.depth.shape
    step = max(1, _PIECE // width)
    pieces = [(top, min(top + step, height)) for top in range(0, height, step)]
    return parallel_map(work, pieces, workers=threads)


def _empty_estimates(neighbours: int, pixels: int) -> Estimates:
    shape = (neighbours, pixels)
    return Estimates(
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.int32),
        np.empty((*shape, 3), np.float32),
        np.empty((*shape, 3), np.uint8),
        np.empty(shape, np.uint8),
    )


def _budget(
    workspace: Workspace, scene: Scene, options: FusionOptions, neighbours: Mapping[int, tuple[int, ...]], threads: int
) -> _Budget:
    """Room for a view and its neighbours first, then for threads, and the rest for maps that may be needed again."""
    pixels = max((map_pixels(workspace, scene.views[i]) for i in neighbours), default=1)
    loading = max((loading_bytes(workspace, scene.views[i]) for i in neighbours), default=1)
    wanted = max((len(n) for n in neighbours.values()), default=0)
    ceiling, view = int(options.max_memory_gib * 2**30), BYTES_HELD * pixels
    work = _BYTES_WORK * min(_PIECE, pixels)  # per neighbour, for one thread
    most = min(wanted, max(0, ceiling - view - loading) // (view + work))
    if most < min(wanted, options.min_views - 1):
        need = view + loading + (options.min_views - 1) * (view + work)
        raise OptionError(
            "fusion.max_memory_gib is too small for these views",
            expected=f"at least {need / 2**30:.3f}",
            actual=options.max_memory_gib,
            hint="allow more memory, or reduce --dense.max-image-size",
        )
    one = loading + most * work
    threads = max(1, min(threads, (ceiling - (most + 1) * view) // one))
    return _Budget(most, threads, ceiling - threads * one)
