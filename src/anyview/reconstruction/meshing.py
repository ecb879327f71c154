"""The dense cloud to a surface: thinned, a function fitted whose zero it is, triangles, cut back to what was seen.

The fit closes small holes and goes on a little beyond the cloud's rims; faces far from any point are its invention and
are cut away, and so are small islands.
Letters: N points, M vertices, F faces. World frame, scene units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from anyview.errors import FormatError
from anyview.formats.ply import Ply, read_ply, write_ply
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import MeshOptions
from anyview.reconstruction.surface.band import build_band
from anyview.reconstruction.surface.implicit import solve
from anyview.reconstruction.surface.marching_cubes import marching_cubes
from anyview.reconstruction.surface.thinning import thin_oriented
from anyview.reconstruction.surface.vertex_normals import vertex_normals
from anyview.reconstruction.texture.glb import write_colored_glb
from anyview.workspace import Workspace, atomic_write, digest_file

_VERSION = 6  # part of the key: raise it when the same cloud gives another mesh
_FEWEST_POINTS = 100
_CELL = 2 * np.sqrt(2)  # spacings: most cells then have a point, and each triangle still spans several
_MOST_CELLS = 1 << 19  # along an axis: the grid's numbers have twenty bits
_RIM = 4.5  # cells around the cloud
_NEIGHBOURS = 4  # points that colour a vertex
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
    """
    shape = (options.depth, options.trim, options.gaps, options.simplify, options.min_confidence)
    box = None if bounds is None else bounds.tolist()
    task = workspace.task("mesh", (_VERSION, shape, box, digest_file(workspace.fused)))
    record = task.record()
    if record is None:
        cloud = _confident(read_ply(workspace.fused), options.min_confidence)
        if cloud.normals is None:
            raise FormatError("a cloud without normals", where=workspace.fused, expected="nx, ny, nz of each point")
        if len(cloud.xyz) < _FEWEST_POINTS:
            raise FormatError(
                "too few points for a mesh", where=workspace.fused,
                expected=f"{_FEWEST_POINTS} or more", actual=len(cloud.xyz),
            )  # fmt: skip
        with progress.stage("mesh", 4) as advance:
            tree = KDTree(cloud.xyz, compact_nodes=False, balanced_tree=False)  # built in half the time
            spacing = point_spacing(cloud.xyz, tree)
            vertices, faces = _surface(cloud, cell_size(cloud.xyz, spacing, options.depth))
            if not len(faces):
                raise FormatError(
                    "no surface comes out of this cloud", where=workspace.fused, hint="are its normals right?"
                )
            advance()
            found = tree.query(vertices, k=min(_NEIGHBOURS, len(cloud.xyz)), workers=-1)
            distance, nearest = np.asarray(found[0]), np.asarray(found[1])
            keep = np.ones(len(faces), bool)
            if options.trim:
                keep = (distance[faces, 0] <= options.trim * spacing).all(1)
                keep |= small_gaps(vertices, faces, ~keep, (options.gaps * spacing) ** 2)
            if bounds is not None:
                inside = ((vertices >= bounds[0]) & (vertices <= bounds[1])).all(1)
                keep &= inside[faces].all(1)
            keep &= large_components(faces, keep, len(vertices))
            colors = np.full((len(vertices), 3), 180, np.uint8)
            if cloud.rgb is not None:
                colors = np.rint(cloud.rgb[nearest].mean(1)).astype(np.uint8)
            vertices, faces, colors = compact(vertices, faces[keep], colors)
            if not len(faces):
                raise FormatError(
                    "nothing of the surface is left", where=workspace.fused,
                    expected=f"surface within {options.trim:g} point spacings of the cloud and inside the region",
                    hint="raise --mesh.trim, or enlarge the region",
                )  # fmt: skip
            advance()
            if 0 < options.simplify < 1 and len(faces):
                vertices, faces, colors = _simplify(vertices, faces, colors, options.simplify)
            advance()
            normals = vertex_normals(vertices, faces).astype(np.float32)
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
        if ply.faces is None:
            raise FormatError("a mesh without faces", where=workspace.mesh, hint="run `anyview mesh WORK` again")
        with atomic_write(glb) as temporary:
            write_colored_glb(temporary, ply.xyz, np.asarray(ply.faces, np.int32), ply.normals, ply.rgb)
        task.done([glb])


def point_spacing(points: Float64[np.ndarray, "N 3"], tree: KDTree | None = None) -> float:
    """Median distance to the sixth nearest other point, over the square root of two: robust to doubled points.

    Args:
        points: of a surface, world.
        tree: of the same points, where there is one already.
    """
    sample = points[:: max(1, len(points) // 20000)]
    distance = np.asarray((tree or KDTree(points)).query(sample, k=min(7, len(points)), workers=-1)[0])[:, -1]
    return max(float(np.median(distance)) / np.sqrt(2), 1e-12)


def cell_size(points: Float64[np.ndarray, "N 3"], spacing: float, depth: int = 0) -> float:
    """Side of the cells that the surface is found in, scene units.

    Args:
        points: the cloud.
        spacing: of its points. Maps overlap, so that points lie closer than what a pixel can resolve: a cell is almost
            three spacings large.
        depth: the box around the cloud, a tenth larger than its longest side, has 2^depth cells along it; 0 takes the
            spacing instead.
    """
    extent = float(np.ptp(points, axis=0).max())
    return max(1.1 * extent / 2**depth if depth else _CELL * spacing, extent / _MOST_CELLS)


def small_gaps(
    vertices: Float64[np.ndarray, "M 3"], faces: Int[np.ndarray, "F 3"], cut: Bool[np.ndarray, " F"], area: float
) -> Bool[np.ndarray, " F"]:
    """Which of the faces to be cut lie in a connected piece of at most this area, with faces that stay all around."""
    corner = vertices[faces]
    sizes = 0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1).astype(np.int64)
    _, edge, times = np.unique(edges[:, 0] * len(vertices) + edges[:, 1], return_inverse=True, return_counts=True)
    edge, border = edge.reshape(-1, 3), (times == 1)[edge].reshape(-1, 3).any(1)
    inside = np.flatnonzero(cut)
    links = np.repeat(np.arange(len(inside)), 3), edge[inside].ravel()  # from faces to their edges
    incidence = coo_array((np.ones(3 * len(inside), np.uint8), links), (len(inside), len(times))).tocsr()
    count, label = connected_components(incidence @ incidence.T, False)
    total = np.bincount(label, sizes[inside], minlength=count)
    closed = np.bincount(label, border[inside], minlength=count) == 0
    gaps = np.zeros(len(faces), bool)
    gaps[inside] = (closed & (total <= area))[label]
    return gaps


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
    """The points that may shape the surface: few are expected to be off by several spacings, and they are left out."""
    confidence = cloud.vertices.get("confidence")
    if confidence is None or least <= 0:
        return cloud
    keep = confidence >= least
    if keep.sum() < _FEWEST_POINTS:  # a poor surface is better than none
        return cloud
    return Ply({name: column[keep] for name, column in cloud.vertices.items()})


def _surface(cloud: Ply, cell: float) -> tuple[Float64[np.ndarray, "M 3"], Int32[np.ndarray, "F 3"]]:
    assert cloud.normals is not None
    origin = cloud.xyz.min(0) - _RIM * cell
    confidence = cloud.vertices.get("confidence")
    say = np.ones(len(cloud.xyz)) if confidence is None else np.maximum(confidence.astype(np.float64), 1e-3)
    thin = thin_oriented(cloud.xyz, cloud.normals, say, origin, cell)
    # a cell with many points is no surer than a usual one, but one with few doubtful ones is less so
    weight = np.minimum(1, thin.weight / np.median(thin.weight)).astype(np.float32)
    points = (thin.xyz - origin) / cell
    band = build_band(points, thin.normals, weight)
    vertices, faces = marching_cubes(solve(band, points, weight), band.node, band.after)
    return vertices * cell + origin, faces


def _simplify(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import fast_simplification

    points, triangles = fast_simplification.simplify(vertices.astype(np.float32), faces, target_reduction=1 - share)
    nearest = KDTree(vertices).query(points, workers=-1)[1]
    return np.asarray(points, np.float64), np.asarray(triangles, np.int32), colors[nearest]
