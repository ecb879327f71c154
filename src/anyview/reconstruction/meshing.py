"""The dense cloud to a surface: screened Poisson (Kazhdan and Hoppe 2013, through pycolmap), cut back to what was seen.

Poisson closes every hole; faces far from any point are its invention and are cut away, and so are small islands.
Letters: N points, M vertices, F faces. World frame, scene units.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pycolmap
import trimesh
from jaxtyping import Bool, Float64, Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from anyview.errors import FormatError, OptionError, OutOfMemoryError, says_out_of_memory
from anyview.formats.ply import Ply, read_ply, write_ply
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import MeshOptions
from anyview.reconstruction.texture_glb import Y_UP
from anyview.workspace import Workspace, atomic_write, digest_file

_VERSION = 4  # part of the key: raise it when the same cloud gives another mesh
_FEWEST_POINTS = 100
_DEEPEST = 11  # octree levels: beyond, memory and time grow faster than detail
_NEIGHBOURS = 4  # points that colour a vertex
_SHALLOWER = "close other programs or lower --mesh.depth, and run the same command: it resumes"
_ISLAND = 0.002  # components with a smaller share of the faces are dropped


@dataclass(frozen=True)
class MeshResult:
    """Size of the mesh."""

    vertices: int
    faces: int


def mesh(
    workspace: Workspace,
    options: MeshOptions,
    progress: Progress = SILENT,
    bounds: Float64[np.ndarray, "2 3"] | None = None,
) -> MeshResult:
    """Write `WORK/mesh.ply` and, unless it is to have a texture, `WORK/mesh.glb` (y up) from `WORK/fused.ply`.

    With `options.texture`, `mesh.glb` is written by `anyview.reconstruction.texturing.texture` afterwards.

    Args:
        workspace: with the cloud.
        options: of the mesh.
        progress: told how the work advances.
        bounds: corners of the box of interest, world; faces that leave it are cut away.

    Raises:
        FormatError: the cloud is missing, damaged or too small.
        OptionError: an option has a value that cannot work.
    """
    shares = (options.simplify, options.min_confidence)
    if not all(0 <= x <= 1 for x in shares) or options.trim < 0 or not 0 <= options.depth <= 14:
        expected = "depth 0..14, trim >= 0, simplify 0..1, min_confidence 0..1"
        raise OptionError("mesh option out of range", expected=expected, actual=options)
    if options.texture_faces < 100 or not 64 <= options.texture_size <= 16384:
        expected = "texture_faces >= 100, texture_size 64..16384"
        raise OptionError("mesh option out of range", expected=expected, actual=options)
    shape = (options.depth, options.trim, *shares)
    box = None if bounds is None else bounds.tolist()
    task = workspace.task("mesh", (_VERSION, shape, box, digest_file(workspace.fused)))
    record = task.record()
    if record is None:
        cloud = _confident(read_ply(workspace.fused), options.min_confidence)
        if len(cloud.xyz) < _FEWEST_POINTS:
            raise FormatError(
                "too few points for a mesh", where=workspace.fused,
                expected=f"{_FEWEST_POINTS} or more", actual=len(cloud.xyz),
            )  # fmt: skip
        with progress.stage("mesh", 4) as advance:
            spacing = point_spacing(cloud.xyz)
            vertices, faces = _poisson(workspace, cloud, options.depth or octree_depth(cloud.xyz, spacing))
            advance()
            tree = KDTree(cloud.xyz)
            found = tree.query(vertices, k=min(_NEIGHBOURS, len(cloud.xyz)), workers=-1)
            distance, nearest = np.asarray(found[0]), np.asarray(found[1])
            keep = np.ones(len(faces), bool)
            if options.trim:
                keep = (distance[faces, 0] <= options.trim * spacing).all(1)
            if bounds is not None:
                inside = ((vertices >= bounds[0]) & (vertices <= bounds[1])).all(1)
                keep &= inside[faces].all(1)
            keep &= large_components(faces, keep, len(vertices))
            colors = np.full((len(vertices), 3), 180, np.uint8)
            if cloud.rgb is not None:
                colors = np.rint(cloud.rgb[nearest].mean(1)).astype(np.uint8)
            vertices, faces, colors = compact(vertices, faces[keep], colors)
            advance()
            if 0 < options.simplify < 1 and len(faces):
                vertices, faces, colors = _simplify(vertices, faces, colors, options.simplify)
            advance()
            surface = trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False)
            normals = np.asarray(surface.vertex_normals, np.float32)
            with atomic_write(workspace.mesh) as temporary:
                write_ply(temporary, vertices.astype(np.float32), normals=normals, rgb=colors, faces=faces)
            advance()
        record = task.done([workspace.mesh], vertices=len(vertices), faces=len(faces))
    if not options.texture:
        _write_glb(workspace)
    return MeshResult(int(record["notes"]["vertices"]), int(record["notes"]["faces"]))


def _write_glb(workspace: Workspace) -> None:
    """`mesh.glb` with the vertices' colours. A task of its own, because a textured one may have taken its place."""
    glb = workspace.root / "mesh.glb"
    task = workspace.task("glb", (_VERSION, digest_file(workspace.mesh)))
    if not task.fresh:
        ply = read_ply(workspace.mesh)
        surface = trimesh.Trimesh(
            ply.xyz, ply.faces, vertex_normals=ply.normals, vertex_colors=ply.rgb, process=False
        ).apply_transform(Y_UP)
        with atomic_write(glb) as temporary:
            temporary.write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(surface)))
        task.done([glb])


def point_spacing(points: Float64[np.ndarray, "N 3"]) -> float:
    """Median distance to the sixth nearest other point, over the square root of two: robust to doubled points."""
    sample = points[:: max(1, len(points) // 20000)]
    distance = np.asarray(KDTree(points).query(sample, k=min(7, len(points)), workers=-1)[0])[:, -1]
    return max(float(np.median(distance)) / np.sqrt(2), 1e-12)


def octree_depth(points: Float64[np.ndarray, "N 3"], spacing: float) -> int:
    """The depth at which a cell is two to four spacings large, over the cloud without its outermost 0.1 %.

    Maps overlap, so that points lie closer than what a pixel can resolve; a level more costs four times the time.
    """
    low, high = np.percentile(points, [0.1, 99.9], axis=0)
    return int(np.clip(np.floor(np.log2(1.1 * float((high - low).max()) / (2 * spacing))), 5, _DEEPEST))


def large_components(
    faces: Int[np.ndarray, "F 3"], keep: Bool[np.ndarray, " F"], vertices: int
) -> Bool[np.ndarray, " F"]:
    """Which faces belong to a connected component with a fair share of the kept faces."""
    kept = faces[keep]
    ones = np.ones(2 * len(kept), np.uint8)
    ends = np.concatenate([kept[:, :2], kept[:, 1:]])
    label = connected_components(coo_array((ones, (ends[:, 0], ends[:, 1])), (vertices, vertices)), False)[1]
    size = np.bincount(label[kept[:, 0]], minlength=int(label.max(initial=0)) + 1)
    large: Bool[np.ndarray, " F"] = size[label[faces[:, 0]]] >= max(1.0, _ISLAND * len(kept))
    return large


def compact(
    vertices: Float64[np.ndarray, "M 3"], faces: Int[np.ndarray, "F 3"], colors: UInt8[np.ndarray, "M 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same without vertices that no face uses."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return vertices[used], number[faces].astype(np.int32), colors[used]


def _confident(cloud: Ply, least: float) -> Ply:
    """The points that may shape the surface.

    Poisson gives every point the same say (it takes no weights, and normals' lengths change nothing), so that the few
    that are expected to be off by several spacings pull its sheets apart: they are left out.
    """
    confidence = cloud.vertices.get("confidence")
    if confidence is None or least <= 0:
        return cloud
    keep = confidence >= least
    if keep.sum() < _FEWEST_POINTS:  # a poor surface is better than none
        return cloud
    return Ply({name: column[keep] for name, column in cloud.vertices.items()})


def _poisson(workspace: Workspace, cloud: Ply, depth: int) -> tuple[Float64[np.ndarray, "M 3"], Int[np.ndarray, "F 3"]]:
    # one thread: with more, the order of its sums, and so the bytes, change from run to run
    options = pycolmap.PoissonMeshingOptions(depth=depth, trim=0, num_threads=1)
    points, raw = (workspace.root / ".anyview" / f"poisson-{name}.ply" for name in ("points", "surface"))
    try:
        write_ply(points, cloud.xyz.astype(np.float32), normals=cloud.normals)
        with _quiet() as words:
            pycolmap.poisson_meshing(points, raw, options)
        if says_out_of_memory("".join(words)):  # it fails without an exception, and may leave half a file
            raise OutOfMemoryError("out of memory", where="the mesh", actual=f"octree depth {depth}", hint=_SHALLOWER)
        surface = read_ply(raw) if raw.exists() and raw.stat().st_size else None
    finally:
        points.unlink(missing_ok=True)
        raw.unlink(missing_ok=True)
    if surface is None or surface.faces is None or not len(surface.faces):
        said = " ".join("".join(words).split()) or None
        raise FormatError(
            "no surface comes out of this cloud",
            where=workspace.fused,
            actual=said,
            hint="are its normals right, and is there memory enough? a lower --mesh.depth needs less",
        )
    return surface.xyz.astype(np.float64), np.asarray(surface.faces, np.int64)


def _simplify(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import fast_simplification

    points, triangles = fast_simplification.simplify(vertices.astype(np.float32), faces, target_reduction=1 - share)
    nearest = KDTree(vertices).query(points, workers=-1)[1]
    return np.asarray(points, np.float64), np.asarray(triangles, np.int32), colors[nearest]


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Native code writes to the terminal past Python: for a while its words go to the list instead."""
    saved, words = [os.dup(1), os.dup(2)], list[str]()
    with tempfile.TemporaryFile() as elsewhere:
        try:
            os.dup2(elsewhere.fileno(), 1)
            os.dup2(elsewhere.fileno(), 2)
            yield words
        finally:
            for number, stream in zip((1, 2), saved, strict=True):
                os.dup2(stream, number)
                os.close(stream)
            elsewhere.seek(0)
            words.append(elsewhere.read().decode(errors="replace"))
