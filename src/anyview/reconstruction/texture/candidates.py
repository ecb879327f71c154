"""The views that each face of a mesh could take its colours from, one view at a time.

Memory does not grow with the number of views: each face keeps its K best. Letters: M vertices, F faces, H, W rows and
columns. World frame, scene units.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from scipy.ndimage import binary_erosion, distance_transform_edt, minimum_filter

from anyview.compute import cpu_count, parallel_map
from anyview.progress import Advance
from anyview.reconstruction.texture import kernels as kernels
from anyview.reconstruction.texture.zbuffer import fill
from anyview.scene.scene import Scene, View
from anyview.typing import Image, Mask

Shaded = TypeVar("Shaded", Image, UInt8[np.ndarray, "H W 3"])

KEPT = 12
"""Candidates per face."""

_PIECE = 1 << 15  # faces worked on at a time by one thread
_OUTLIER = 3.0  # standard deviations of a face's colour, estimated from the median deviation
_LEAST_OUTLIER = 0.08  # sRGB in [0, 1]: less is no outlier, however well the others agree
_FEWEST = 4  # views that can outvote one


def photograph(
    view: View, vertices: Float64[np.ndarray, "M 3"], faces: Int32[np.ndarray, "F 3"]
) -> tuple[kernels.Photograph, Float64[np.ndarray, "M 3"]]:
    """A view's pixels with what they show of the mesh, and the vertices in the camera's frame.

    Raises:
        FormatError, SceneError: the image cannot be read, or contradicts the camera.
    """
    image, mask = view.read()
    camera = view.camera
    lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    pose = view.cam_from_world
    points = np.ascontiguousarray(vertices @ pose[:3, :3].T + pose[:3, 3])
    depth, index = fill(points, faces, *lens, camera.width, camera.height)
    depth = np.where(index >= 0, depth, np.float32(np.inf))
    state = np.full(depth.shape, 2, np.uint8)
    if mask is not None:
        image = continued(image, mask) if mask.any() else image
        state[~mask] = 0
    inside = np.ones(depth.shape, bool) if mask is None else mask
    state[inside & ~binary_erosion(inside, np.ones((3, 3), bool), iterations=kernels.MARGIN)] = 1
    near = minimum_filter(depth, 2 * kernels.MARGIN + 1, mode="nearest")
    return kernels.Photograph(np.ascontiguousarray(image), gradient(image), state, depth, near, lens), points


def continued(image: Shaded, there: Mask) -> Shaded:
    """The image with every pixel that is not there coloured like its nearest other."""
    nearest = distance_transform_edt(~there, return_distances=False, return_indices=True)
    return image[nearest[0], nearest[1]]


def gradient(image: Image) -> Float32[np.ndarray, "H W"]:
    """Length of the grey image's gradient by central differences, per pixel; 0 along the image's edge."""
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    out = np.zeros_like(grey)
    if min(grey.shape) > 2:
        out[1:-1, 1:-1] = 0.5 * np.hypot(grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1])
    return out


def gather(
    scene: Scene, vertices: Float64[np.ndarray, "M 3"], faces: Int32[np.ndarray, "F 3"], advance: Advance
) -> kernels.Candidates:
    """The best views of every face; `advance` is told of every view.

    Raises:
        FormatError, SceneError: an image cannot be read, or contradicts its camera.
    """
    count = len(faces)
    out = kernels.Candidates(
        np.full((count, KEPT), -1, np.int32),
        np.zeros((count, KEPT), np.float32),
        np.zeros((count, KEPT, 3), np.float32),
        np.zeros((count, KEPT), bool),
    )
    pieces = [(first, min(first + _PIECE, count)) for first in range(0, count, _PIECE)]
    for number, view in enumerate(scene):
        photo, points = photograph(view, vertices, faces)

        def work(piece: tuple[int, int], number: int = number, photo: object = photo, points: object = points) -> None:
            kernels.score(number, photo, points, faces, *piece, out)

        for _ in parallel_map(work, pieces, workers=cpu_count()):
            pass
        advance()
    return out


def without_outliers(candidates: kernels.Candidates) -> kernels.Candidates:
    """Without the views in which a face looks unlike in most others: somebody walked by, or a highlight lies there.

    The purpose of Waechter, Moehrle and Goesele 2014, section 4.2, with medians instead of a Gaussian fitted again and
    again: a view goes if its mean colour is further from the median of all than three times the scaled median of such
    distances, and than a just noticeable difference; four views or more must vote.
    """
    there = candidates.source >= 0
    votes = there.sum(1)
    color = np.where(there[..., None], candidates.color, np.inf)
    middle = np.maximum(votes - 1, 0) // 2
    rows = np.arange(len(votes))
    median = np.sort(color, 1)[rows, middle]
    with np.errstate(invalid="ignore"):
        distance = np.where(
            there, np.linalg.norm(color - np.where(votes[:, None] > 0, median, 0)[:, None], axis=2), np.inf
        )
    spread = 1.4826 * np.sort(distance, 1)[rows, middle]
    limit = np.maximum(_OUTLIER * spread, _LEAST_OUTLIER)
    bad = there & (votes >= _FEWEST)[:, None] & (distance > limit[:, None])
    return candidates._replace(
        source=np.where(bad, -1, candidates.source).astype(np.int32),
        weight=np.where(bad, 0, candidates.weight).astype(np.float32),
    )
