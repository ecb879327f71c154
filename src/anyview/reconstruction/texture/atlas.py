"""Where each face lies in the texture: connected faces of one view as they lie in its photograph, packed by xatlas.

A patch keeps the shape and scale that it has in its image, so that a texel is a pixel: nothing is stretched, and
texels fall on pixels' centres. What no view sees is projected along the axis that it faces most.
Letters: M vertices, F faces, C corners (a vertex in a patch), P patches, E edges between two faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from anyview.errors import OptionError
from anyview.scene.scene import View

PADDING = 4
"""Texels between patches at least: two levels of a mip map stay clean."""

_COARSE = 3.0  # texels of what no view sees are so many times larger: its colours come from the cloud and are smooth
_SMALLEST = 1 / 64  # of the photographs' scale: below that, a patch is a spot
_SHRINK = 0.98  # of the scale, beyond what the area asks for, when a packing came out too large


@dataclass(frozen=True)
class Patches:
    """Connected faces of one view.

    Attributes:
        of_face: patch of each face, 0..P-1.
        view: view of each patch; -1 where there is none.
        corners: the three corners of each face, 0..C-1.
        vertex, patch: of each corner.
    """

    of_face: Int32[np.ndarray, " F"]
    view: Int32[np.ndarray, " P"]
    corners: Int32[np.ndarray, "F 3"]
    vertex: Int32[np.ndarray, " C"]
    patch: Int32[np.ndarray, " C"]


@dataclass(frozen=True)
class Layout:
    """The atlas.

    Attributes:
        texels: where each corner lies, texels, (x, y); y goes down.
        width, height: of the texture, texels.
        scale: texels per pixel of the photographs.
    """

    texels: Float64[np.ndarray, "C 2"]
    width: int
    height: int
    scale: float


def face_pairs(faces: Int32[np.ndarray, "F 3"]) -> tuple[Int32[np.ndarray, "E 2"], Int32[np.ndarray, "E 2"]]:
    """Faces that share an edge, and that edge's vertices; where more than two share one, each with the next."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    face = np.tile(np.arange(len(faces), dtype=np.int32), 3)
    order = np.lexsort((face, edges[:, 1], edges[:, 0]))
    edges, face = edges[order], face[order]
    same = (edges[1:] == edges[:-1]).all(1) & (face[1:] != face[:-1])
    return np.stack([face[:-1][same], face[1:][same]], 1), edges[1:][same].astype(np.int32)


def cut(
    faces: Int32[np.ndarray, "F 3"],
    view: Int32[np.ndarray, " F"],
    whole: Bool[np.ndarray, " F"],
    normals: Float64[np.ndarray, "F 3"],
    pairs: Int32[np.ndarray, "E 2"],
    vertices: int,
) -> Patches:
    """Patches of faces with the same view.

    Args:
        faces: vertices of each.
        view: of each face, -1 where no view sees it: those are told apart by the axis that they face most.
        whole: faces that their view sees only a part of get patches of their own, because in the image something lies
            on top of them.
        normals: of the faces, any length.
        pairs: faces that share an edge.
        vertices: how many there are.
    """
    axis = np.abs(normals).argmax(1)
    side = 2 * axis + (np.take_along_axis(normals, axis[:, None], 1)[:, 0] < 0)
    kind = np.where(view >= 0, 2 * view + whole, -1 - side)
    joined = pairs[kind[pairs[:, 0]] == kind[pairs[:, 1]]]
    graph = coo_array((np.ones(len(joined), np.uint8), (joined[:, 0], joined[:, 1])), (len(faces), len(faces)))
    count, of_face = connected_components(graph, directed=False)
    of_patch = np.full(count, -1, np.int32)
    of_patch[of_face] = view
    key, inverse = np.unique(of_face[:, None].astype(np.int64) * vertices + faces, return_inverse=True)
    return Patches(
        of_face.astype(np.int32),
        of_patch,
        inverse.reshape(-1, 3).astype(np.int32),
        (key % vertices).astype(np.int32),
        (key // vertices).astype(np.int32),
    )


def flatten(
    patches: Patches,
    vertices: Float64[np.ndarray, "M 3"],
    faces: Int32[np.ndarray, "F 3"],
    views: Sequence[View],
    normals: Float64[np.ndarray, "F 3"],
) -> Float64[np.ndarray, "C 2"]:
    """Where each corner lies in its own patch, pixels of its view; some face must have one."""
    out = np.zeros((len(patches.vertex), 2))
    of_corner = patches.view[patches.patch]
    for number, view in enumerate(views):
        mine = np.flatnonzero(of_corner == number)
        if len(mine):
            pose, camera = view.cam_from_world, view.camera
            points = vertices[patches.vertex[mine]] @ pose[:3, :3].T + pose[:3, 3]
            out[mine] = points[:, :2] / points[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    seen = patches.view[patches.of_face] >= 0
    if not seen.all():
        pixel = _pixel_size(out[patches.corners[seen]], vertices[faces[seen]])
        first = np.zeros(len(patches.view), np.int64)
        first[patches.of_face[::-1]] = np.arange(len(faces))[::-1]
        axis = np.abs(normals[first]).argmax(1)
        mine = np.flatnonzero(of_corner < 0)
        across = (axis[patches.patch[mine], None] + [1, 2]) % 3
        out[mine] = np.take_along_axis(vertices[patches.vertex[mine]], across, 1) / (_COARSE * pixel)
    return out


def pack(patches: Patches, flat: Float64[np.ndarray, "C 2"], largest: int) -> Layout:
    """Place the patches side by side.

    Args:
        patches: of the mesh.
        flat: where each corner lies in its patch, pixels.
        largest: the texture's sides are no longer, texels; the scale falls where need be.

    Raises:
        OptionError: they do not fit at any scale worth having.
    """
    low = np.full((len(patches.view), 2), np.inf)
    np.minimum.at(low, patches.patch, flat)
    local = flat - low[patches.patch]
    scale = 1.0
    while True:
        corner, width, height = _place(patches, local * scale)
        if max(width, height) <= largest:
            break
        if scale < _SMALLEST:
            raise OptionError(
                "the texture is too small for the mesh's patches", where="mesh.texture_size",
                expected=f"room for {len(patches.view)} patches with {PADDING} texels around each", actual=largest,
                hint="raise it, or lower --mesh.texture-faces",
            )  # fmt: skip
        # the padding does not shrink with the patches, so the first guess may not be enough
        scale *= _SHRINK * largest / max(width, height)
    if scale == 1:  # pixels' centres onto texels'; this takes half a texel of the padding at most
        corner = np.rint(corner - low) + low
    return Layout(local * scale + corner[patches.patch], width, height, scale)


def _place(patches: Patches, local: Float64[np.ndarray, "C 2"]) -> tuple[Float64[np.ndarray, "P 2"], int, int]:
    """The upper left corner of each patch and the size of the texture, from coordinates local to each patch."""
    import xatlas

    atlas = xatlas.Atlas()
    # each patch as a mesh of its own: within one mesh xatlas joins what happens to have the same coordinates
    by_patch = np.argsort(patches.of_face, kind="stable")
    ends = np.cumsum(np.bincount(patches.of_face, minlength=len(patches.view)))
    groups = []  # holds on to the arrays: xatlas takes two meshes at the same address for one
    for own in np.split(by_patch, ends[:-1]):
        corner, indices = np.unique(patches.corners[own], return_inverse=True)
        indices = indices.reshape(-1, 3).astype(np.uint32)
        groups.append((corner, indices.reshape(-1), local[corner].astype(np.float32), indices))
        atlas.add_uv_mesh(*groups[-1][2:])
    packing = xatlas.PackOptions()
    packing.resolution, packing.texels_per_unit, packing.padding = 0, 1.0, PADDING
    packing.rotate_charts = packing.rotate_charts_to_axis = False
    atlas.generate(xatlas.ChartOptions(), packing)
    corner_of_patch = np.zeros((len(groups), 2))
    size = np.array([atlas.width, atlas.height])
    for number, (corner, indices, *_) in enumerate(groups):
        _, placed, uv = atlas[number]
        texels = np.asarray(uv, np.float64)[np.asarray(placed).reshape(-1)] * size
        corner_of_patch[number] = texels.min(0)
        # xatlas stretches patches to whole texels; nothing else may have happened to it, unless it has no area
        off = np.abs(texels - texels.min(0) - local[corner[indices]]).max()
        assert off <= 1.01 or not texels.any(), f"patch {number} is not where it was put: {off}"
    return corner_of_patch, int(atlas.width), int(atlas.height)


def _pixel_size(flat: Float64[np.ndarray, "F 3 2"], corners: Float64[np.ndarray, "F 3 3"]) -> float:
    """Median side of a pixel on the surface, scene units."""
    u, v = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    image = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    return float(np.median(np.sqrt(np.linalg.norm(np.cross(a, b), axis=1) / np.maximum(image, 1e-12))))
