"""Depth maps to one cloud: every surface point once, where enough views agree on it.

Views take turns in a fixed order. Each pixel that no earlier point has used is compared with the view's neighbours
(`fusion_kernels`); if enough agree it becomes a point, and the neighbours' pixels that went into it are marked as used.
Within a turn marks fall only on other views, so that pixels can be worked on in any order and by any number of threads
with the same result. Points go straight to the file; memory holds a bounded cache of maps and a bounded piece of work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from anyview.cameras.poses import inverse
from anyview.compute import cpu_count, parallel_map
from anyview.errors import OptionError, WorkspaceError
from anyview.formats.colmap_dense import read_patch_match_config
from anyview.formats.ply_stream import PlyCloudWriter, VisibilityWriter
from anyview.progress import SILENT, Progress
from anyview.reconstruction import fusion_kernels as kernels
from anyview.reconstruction.fusion_maps import BYTES_HELD, BYTES_LOADING, MapCache, map_pixels
from anyview.reconstruction.options import FusionOptions
from anyview.scene.scene import Scene, View
from anyview.workspace import Workspace, atomic_write, digest_file

_VERSION = 1  # part of the key: raise it when the same options give another cloud
_PIECE = 1 << 14  # reference pixels worked on at a time by one thread
_BYTES_ESTIMATE = 28  # per reference pixel and neighbour


@dataclass(frozen=True)
class FusionResult:
    """What fusion did.

    Attributes:
        points: in the cloud.
        map_bytes: the most that the maps in memory took; 0 where the cloud was there already.
    """

    points: int
    map_bytes: int = 0


def fuse(workspace: Workspace, scene: Scene, options: FusionOptions, progress: Progress = SILENT) -> FusionResult:
    """Write `fused.ply` (x y z nx ny nz red green blue, world frame) and `fused.ply.vis` (who saw what).

    Args:
        workspace: with the dense stage's maps and `dense/stereo/patch-match.cfg`.
        scene: the pinhole views that the maps were made for.
        options: of the fusion.

    Raises:
        FormatError: a map or the list of neighbours is missing or damaged.
        OptionError: an option that cannot work, or a memory ceiling below two views.
        WorkspaceError: neighbours that the scene does not have, or a folder that cannot be written to.
    """
    return fuse_with_threads(workspace, scene, options, progress, cpu_count())


def fuse_with_threads(
    workspace: Workspace, scene: Scene, options: FusionOptions, progress: Progress, threads: int
) -> FusionResult:
    """`fuse` with a chosen number of threads, which changes nothing in the result."""
    _check(options)
    listed = read_patch_match_config(workspace.dense / "stereo" / "patch-match.cfg")
    neighbours = _neighbour_indices(workspace, scene, listed)
    task = workspace.task("fuse", _key(workspace, scene, options, neighbours))
    outputs = [workspace.fused, workspace.fused.with_name("fused.ply.vis")]
    record = task.record()
    if record is None:
        with atomic_write(outputs[0]) as cloud, atomic_write(outputs[1]) as visibility:
            result = _fuse(workspace, scene, options, neighbours, cloud, visibility, progress, threads)
        task.done(outputs, points=result.points)
        return result
    return FusionResult(int(record["notes"]["points"]))


def turns(neighbours: Mapping[int, Sequence[int]]) -> list[int]:
    """The order of the views: each time the one that shares most neighbours with the one before.

    Neighbouring views follow each other, so that a small cache serves.
    """
    left = sorted(neighbours)
    order = [left.pop(0)]
    while left:
        near = {order[-1], *neighbours[order[-1]]}
        best = max(left, key=lambda i: (len(near.intersection(neighbours[i], [i])), -i))
        left.remove(best)
        order.append(best)
    return order


def _check(options: FusionOptions) -> None:
    rules = {
        "min_views": options.min_views >= 2,
        "max_reprojection_error": options.max_reprojection_error > 0,
        "max_depth_error": options.max_depth_error > 0,
        "max_normal_error": 0 < options.max_normal_error <= 180,
        "max_memory_gib": options.max_memory_gib > 0,
    }
    for name, good in rules.items():
        if not good:
            raise OptionError(f"fusion.{name} cannot work", actual=getattr(options, name), hint="see --help")


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


def _key(
    workspace: Workspace, scene: Scene, options: FusionOptions, neighbours: Mapping[int, tuple[int, ...]]
) -> object:
    def one(i: int) -> object:
        view = scene.views[i]
        paths = [workspace.depth_map(view.name), workspace.normal_map(view.name), workspace.confidence_map(view.name)]
        maps = [digest_file(path) if path.exists() else None for path in paths]
        return [maps, view.pixels.fingerprint(), asdict(view.camera), view.world_from_cam, neighbours[i]]

    views = list(parallel_map(one, neighbours))
    bounds = None if scene.bounds is None else scene.bounds.tolist()
    return [_VERSION, asdict(options), bounds, views]


def _fuse(
    workspace: Workspace,
    scene: Scene,
    options: FusionOptions,
    neighbours: Mapping[int, tuple[int, ...]],
    cloud: Path,
    visibility: Path,
    progress: Progress,
    threads: int,
) -> FusionResult:
    limits = kernels.Limits(
        float(options.max_reprojection_error),
        float(options.max_depth_error),
        float(np.cos(np.radians(options.max_normal_error))),
        int(options.min_views),
        float(options.min_consensus),
    )
    bounds = np.array([[-np.inf] * 3, [np.inf] * 3]) if scene.bounds is None else np.asarray(scene.bounds, np.float64)
    order = turns(neighbours) if neighbours else []
    ceiling, most = _budget(workspace, scene, options, neighbours, threads)
    with (
        TemporaryDirectory(dir=workspace.root / ".anyview", prefix="fuse-") as spill,
        PlyCloudWriter(cloud) as points,
        VisibilityWriter(visibility) as seen,
        progress.stage("fuse", len(order)) as advance,
    ):
        cache = MapCache(workspace, scene.views, Path(spill), ceiling, threads)
        for index in order:
            turn = [index, *neighbours[index][:most]]
            ref, *sources = cache.get(turn)
            poses = [_source_from_reference(scene.views[index], scene.views[j]) for j in turn[1:]]
            pose = np.ascontiguousarray(scene.views[index].world_from_cam[:3])

            def work(
                rows: tuple[int, int],
                ref: kernels.Maps = ref,
                sources: list[kernels.Maps] = sources,
                poses: list[np.ndarray] = poses,
                pose: np.ndarray = pose,
            ) -> kernels.Fused:
                pixels = kernels.candidates(ref, *rows)
                estimates = _empty_estimates(len(sources), len(pixels))
                for j, (src, src_from_ref) in enumerate(zip(sources, poses, strict=True)):
                    kernels.compare(pixels, ref, src, src_from_ref, limits, estimates, j)
                fused = kernels.combine(pixels, ref, pose, bounds, limits, estimates)
                for j, src in enumerate(sources):
                    kernels.mark(src.state, estimates.pixel[j], fused.kept)
                return fused

            height, width = ref.depth.shape
            step = max(1, _PIECE // width)
            pieces = [(top, min(top + step, height)) for top in range(0, height, step)]
            names = np.array(turn, np.uint32)
            for fused in parallel_map(work, pieces, workers=threads):
                keep = fused.kept
                points.append(fused.xyz[keep], fused.normal[keep], fused.rgb[keep])
                who = np.vstack([np.ones((1, keep.sum()), bool), fused.member[:, keep]]).T
                seen.append(who.sum(1), np.broadcast_to(names, who.shape)[who])
            cache.finish(index)
            advance()
        return FusionResult(points.count, cache.peak_bytes)


def _source_from_reference(ref: View, src: View) -> np.ndarray:
    return np.ascontiguousarray((inverse(src.world_from_cam) @ ref.world_from_cam)[:3])


def _empty_estimates(neighbours: int, pixels: int) -> kernels.Estimates:
    shape = (neighbours, pixels)
    return kernels.Estimates(
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.int32),
        np.empty((*shape, 3), np.float32),
        np.empty((*shape, 3), np.uint8),
    )


def _budget(
    workspace: Workspace,
    scene: Scene,
    options: FusionOptions,
    neighbours: Mapping[int, tuple[int, ...]],
    threads: int,
) -> tuple[int, int]:
    """Bytes for the cache of maps, and how many neighbours of a view fit into it."""
    pixels = max((map_pixels(workspace, scene.views[i]) for i in neighbours), default=1)
    wanted = max((len(n) for n in neighbours.values()), default=0)
    ceiling = int(options.max_memory_gib * 2**30)
    per_neighbour = BYTES_HELD * pixels + threads * _BYTES_ESTIMATE * _PIECE
    base = BYTES_HELD * pixels + threads * BYTES_LOADING * pixels
    most = min(wanted, (ceiling - base) // per_neighbour)
    if most < min(wanted, options.min_views - 1):
        need = base + per_neighbour * (options.min_views - 1)
        raise OptionError(
            "fusion.max_memory_gib is too small for these views",
            expected=f"at least {need / 2**30:.2f}",
            actual=options.max_memory_gib,
            hint="allow more memory, or reduce --dense.max-image-size",
        )
    return ceiling - threads * BYTES_LOADING * pixels - most * threads * _BYTES_ESTIMATE * _PIECE, most
