"""A mesh with a texture from the views' photographs, as `mesh.glb`.

After Waechter, Moehrle and Goesele 2014 ("Let there be color!"): every view in turn says what it sees of each face
(`texture/candidates.py`); each face is given a view (`views.py`); connected faces of one view become patches of an
atlas (`atlas.py`); every view in turn fills its texels (`kernels.py`); seams are levelled (`levelling.py`). The mesh
is simplified first, because detail is in the texture. One view is in memory at a time.

Letters: M vertices, F faces, C corners of the atlas, H, W rows and columns of the texture. World frame, scene units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8
from scipy.spatial import KDTree

from anyview.errors import FormatError, SceneError
from anyview.formats.ply import read_ply
from anyview.progress import SILENT, Advance, Progress
from anyview.reconstruction.options import MeshOptions
from anyview.reconstruction.texture import kernels as kernels
from anyview.reconstruction.texture.atlas import Layout, Patches, cut, face_pairs, flatten, pack
from anyview.reconstruction.texture.candidates import continued, gather, photograph, without_outliers
from anyview.reconstruction.texture.glb import write_textured_glb
from anyview.reconstruction.texture.levelling import Seams, corrections, find_seams, level_locally
from anyview.reconstruction.texture.views import choose
from anyview.scene.scene import Scene, View
from anyview.workspace import Workspace, atomic_write, digest_file

_VERSION = 1  # part of the key: raise it when the same mesh and views give another texture


@dataclass(frozen=True)
class TextureResult:
    """What was made.

    Attributes:
        texture_faces: of the simplified mesh.
        texture_width, texture_height: texels.
        texture_scale: texels per pixel of the photographs.
        texture_patches: parts that the texture consists of.
        texture_seen: share of the surface's area that some view sees; the rest has the cloud's colours.
    """

    texture_faces: int
    texture_width: int
    texture_height: int
    texture_scale: float
    texture_patches: int
    texture_seen: float


@dataclass(frozen=True)
class _Surface:
    """The simplified mesh."""

    vertices: Float64[np.ndarray, "M 3"]
    faces: Int32[np.ndarray, "F 3"]
    colors: Float32[np.ndarray, "M 3"]

    @property
    def normals(self) -> Float64[np.ndarray, "F 3"]:
        """Of the faces, twice as long as their area."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return np.cross(b - a, c - a)


def texture(workspace: Workspace, scene: Scene, options: MeshOptions, progress: Progress = SILENT) -> TextureResult:
    """Write `WORK/mesh.glb` (y up) with a texture, from `WORK/mesh.ply` and the scene's views.

    Args:
        workspace: with `mesh.ply`, vertex colours included.
        scene: pinhole views.
        options: `texture_faces` and `texture_size`.
        progress: told of every view, twice.

    Raises:
        FormatError: the mesh is missing or damaged, or a view's image cannot be read.
        SceneError: an image contradicts its camera, or no view sees the mesh.
    """
    views = [[view.name, asdict(view.camera), view.world_from_cam, view.pixels.fingerprint()] for view in scene]
    key = (_VERSION, options.texture_faces, options.texture_size, digest_file(workspace.mesh), views)
    task = workspace.task("texture", key)
    record = task.record()
    if record is None:
        glb = workspace.root / "mesh.glb"
        with progress.stage("texture", 2 * len(scene) + 2) as advance:
            surface = _simplified(workspace, options.texture_faces)
            image, layout, patches, seen = _make(scene, surface, options.texture_size, advance)
            with atomic_write(glb) as temporary:
                write_textured_glb(
                    temporary, surface.vertices, surface.faces, patches.vertex, patches.corners, layout.texels, image
                )
            advance()
        area = np.linalg.norm(surface.normals, axis=1)
        result = TextureResult(
            len(surface.faces), layout.width, layout.height, round(layout.scale, 4), len(patches.view),
            round(float(area[seen].sum() / area.sum()), 4),
        )  # fmt: skip
        record = task.done([glb], **asdict(result))
    return TextureResult(**record["notes"])


def _simplified(workspace: Workspace, most: int) -> _Surface:
    """The mesh with at most so many faces, none of them without area."""
    ply = read_ply(workspace.mesh)
    if ply.faces is None or not len(ply.faces):
        raise FormatError("a mesh without faces", where=workspace.mesh, hint="run `anyview mesh WORK` again")
    vertices, faces = ply.xyz, np.asarray(ply.faces, np.int32)
    colors = np.full((len(vertices), 3), 180, np.uint8) if ply.rgb is None else ply.rgb
    if len(faces) > most:
        import fast_simplification

        points, triangles = fast_simplification.simplify(
            vertices.astype(np.float32), faces, target_count=most, agg=_GENTLE
        )
        nearest = KDTree(vertices).query(points, workers=-1)[1]
        vertices, faces, colors = np.asarray(points, np.float64), np.asarray(triangles, np.int32), colors[nearest]
    surface = _Surface(vertices, faces, (colors / np.float32(255)).astype(np.float32))
    return _Surface(vertices, faces[np.linalg.norm(surface.normals, axis=1) > 0], surface.colors)


_GENTLE = 5  # of fast_simplification: how boldly it takes edges away; its default of 7 gives worse faces


def _make(
    scene: Scene, surface: _Surface, size: int, advance: Advance
) -> tuple[UInt8[np.ndarray, "H W 3"], Layout, Patches, Bool[np.ndarray, " F"]]:
    """The texture, where corners and patches lie in it, and which faces a view sees."""
    vertices, faces, normals = surface.vertices, surface.faces, surface.normals
    pairs, edges = face_pairs(faces)
    candidates = without_outliers(gather(scene, vertices, faces, advance))
    lengths = np.linalg.norm(vertices[edges[:, 1]] - vertices[edges[:, 0]], axis=1)
    label = choose(candidates, 0.5 * np.linalg.norm(normals, axis=1), pairs, lengths)
    rows, seen = np.arange(len(faces)), label >= 0
    if not seen.any():
        raise SceneError("no view sees the mesh", hint="do the mesh and the views belong together?")
    view = np.where(seen, candidates.source[rows, label], -1).astype(np.int32)
    patches = cut(faces, view, candidates.whole[rows, label] & seen, normals, pairs, len(vertices))
    del candidates
    layout = pack(patches, flatten(patches, vertices, faces, scene.views, normals), size)
    seams = find_seams(patches, layout, faces, pairs, edges)
    advance()
    atlas = kernels.Atlas(
        np.zeros((layout.height, layout.width, 3), np.float32),
        np.full((layout.height, layout.width), -1, np.int32),
        np.zeros((layout.height, layout.width), np.uint8),
    )
    _fill_from_views(scene.views, surface, view, patches, layout, seams, atlas, advance)
    added = corrections(seams, patches)
    kernels.adjust(patches.corners, layout.texels, added, atlas)
    patch = np.where(atlas.owner >= 0, patches.of_face[atlas.owner], -1).astype(np.int32)
    level_locally(atlas.color, patch, seams, patches, layout, added)
    image = (np.clip(atlas.color, 0, 1) * 255 + 0.5).astype(np.uint8)
    return continued(image, atlas.owner >= 0), layout, patches, seen


def _fill_from_views(
    views: Sequence[View],
    surface: _Surface,
    view: Int32[np.ndarray, " F"],
    patches: Patches,
    layout: Layout,
    seams: Seams,
    atlas: kernels.Atlas,
    advance: Advance,
) -> None:
    """Texels and seams' samples, one view after the other; last what none sees."""
    fallback = np.ascontiguousarray(surface.colors[patches.vertex])
    side_view = view[seams.faces][seams.edge]  # (S, 2)
    along, ends = seams.along[:, None], seams.corners[seams.edge]
    photo = None
    for number, one in enumerate(views):
        mine = np.flatnonzero(view == number).astype(np.int32)
        if len(mine):
            photo, points = photograph(one, surface.vertices, surface.faces)
            corners = np.ascontiguousarray(points[patches.vertex])
            kernels.bake(mine, patches.corners, layout.texels, corners, fallback, photo, True, atlas)
            for side in (0, 1):
                here = np.flatnonzero(side_view[:, side] == number)
                place = (1 - along[here]) * corners[ends[here, side, 0]] + along[here] * corners[ends[here, side, 1]]
                color, seen = np.zeros((len(here), 3), np.float32), np.zeros(len(here), bool)
                triangle = corners[patches.corners[seams.faces[seams.edge[here], side]]]
                kernels.look(photo, place, _slopes(triangle), color, seen)
                seams.color[side, here], seams.seen[side, here] = color, seen
        advance()
    assert photo is not None  # some face has a view
    mine = np.flatnonzero(view < 0).astype(np.int32)
    still = np.ascontiguousarray(surface.vertices[patches.vertex])
    kernels.bake(mine, patches.corners, layout.texels, still, fallback, photo, False, atlas)
    for side in (0, 1):
        here = np.flatnonzero(side_view[:, side] < 0)
        mixed = (1 - along[here]) * fallback[ends[here, side, 0]] + along[here] * fallback[ends[here, side, 1]]
        seams.color[side, here], seams.seen[side, here] = mixed, True


def _slopes(triangles: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, " n"]:
    """Tangent of the angle between normal and ray, corners in the camera's frame; bounded as the kernels have it."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    ray = triangles.sum(1)
    length = np.linalg.norm(normal, axis=1) * np.linalg.norm(ray, axis=1)
    cosine = np.abs((normal * ray).sum(1)) / np.maximum(length, 1e-30)
    return np.sqrt(1 / np.maximum(cosine, kernels.LEAST_COSINE) ** 2 - 1)
