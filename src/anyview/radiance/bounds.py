"""The cube that a grid field fills, and where in it anything can be: from masks, from a reconstruction, or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from anyview.cameras.models import Camera
from anyview.cameras.rays import largest_shift
from anyview.errors import OptionError, SceneError
from anyview.radiance.depths import box_of_interest, far_is_told
from anyview.radiance.inner import inner_cube
from anyview.radiance.options import DataOptions
from anyview.radiance.pictures import read_picture
from anyview.radiance.reconstructed import around, left_open, reconstructed_points
from anyview.radiance.views import FieldViews
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Pose

_SEARCH = 64  # cells per side of the grid in which the object is looked for
_TIGHTENINGS = 3  # of the cube around what is found
_MARGIN = 1.02
_ROUNDING = 1e-9  # of the cameras' coordinates: what is less is no distance


class GridBounds(NamedTuple):
    """A cube in the world and which of its cells can hold anything."""

    low: Float64[np.ndarray, "3"]
    side: float
    possible: UInt8[np.ndarray, "G G G"]  # z, y, x
    is_hull: bool  # whether a pixel off the object meets nothing
    contracted: bool = False  # whether the cube holds all of space; the inner half of its side is not bent


def grid_bounds(
    views: FieldViews, data: DataOptions, cells: int, geometry: Path | None = None, contraction: str = "none"
) -> GridBounds:
    """The visual hull where all training views have masks; else the box of interest, else what the cameras look at.

    With `geometry`, the folder of a reconstruction, only cells that it leaves open are possible.

    Args:
        contraction: see `GridOptions`.

    Raises:
        SceneError: masks that exclude each other, no reconstruction there, or one of another scene.
        OptionError: a contraction around a reconstruction, which bounds the scene.
    """
    if contraction == "cube" and geometry is not None:
        raise OptionError(
            "a reconstruction bounds the scene", where="grid.contraction", expected="auto or none", actual="cube",
            hint="leave out the geometry, or the contraction",
        )  # fmt: skip
    outlines = None if contraction == "cube" else _outlines(views.train, data.downscale)
    told = geometry is not None or box_of_interest(views.scene, data) is not None or far_is_told(views.scene, data)
    if contraction == "cube" or (contraction == "auto" and outlines is None and not told):
        center, half = inner_cube(views)
        return GridBounds(center - 2 * half, 4 * half, np.ones((cells, cells, cells), np.uint8), False, True)
    points = None if geometry is None else reconstructed_points(geometry)
    if outlines is not None:
        low, side, possible = visual_hull(replace(views.scene, views=views.train), outlines, cells)
    else:
        low, side = _cube(views, data) if points is None else around(points, cells)
        possible = np.ones((cells, cells, cells), np.uint8)
    if geometry is not None and points is not None:
        possible = left_open(geometry, points, low, side, possible)
    return GridBounds(low, side, possible, outlines is not None)


class Outline(NamedTuple):
    """Where a picture shows the object."""

    camera: Camera  # a pinhole
    cam_from_world: Pose
    mask: UInt8[np.ndarray, "H W"]
    near: float  # depth before which nothing lies, scene units


def _outlines(views: Sequence[View], downscale: int) -> list[Outline] | None:
    """Of all views, as they are learnt from; None if one has neither alpha nor a mask. Each is decoded once."""
    found = []
    for view in views:
        picture = read_picture(view, downscale)
        if picture.alpha is None:
            return None
        mask = (picture.alpha > 0).astype(np.uint8)
        found.append(Outline(picture.camera, view.cam_from_world, mask, view.near or 0.0))
    return found


def _cube(views: FieldViews, data: DataOptions) -> tuple[Float64[np.ndarray, "3"], float]:
    """Around the box of interest, or around what the cameras look at, as wide as they look deep."""
    box = box_of_interest(views.scene, data)
    if box is not None:
        low, high = np.asarray(box, np.float64).reshape(2, 3)
        side = float((high - low).max())
        return (low + high) / 2 - side / 2, side
    center, together = converging_axes(replace(views.scene, views=views.train))
    if not together:
        axes = [v.center + v.world_from_cam[:3, 2] * (views.near + views.far) / 2 for v in views.train]
        center = np.mean(axes, 0)
    side = views.far - views.near
    return center - side / 2, side


def visual_hull(
    scene: Scene, outlines: Sequence[Outline], cells: int
) -> tuple[Float64[np.ndarray, "3"], float, UInt8[np.ndarray, "G G G"]]:
    """Corner and side of the smallest cube around what all outlines allow, and which cells they allow (z, y, x).

    Raises:
        SceneError: cameras that all stand in one place, or outlines that leave nothing.
    """
    center, _ = converging_axes(scene)
    centers = np.stack([view.center for view in scene])
    half = float(np.median(np.linalg.norm(centers - center, axis=1)))
    if half <= _ROUNDING * np.abs(centers).max():
        raise SceneError(
            "the cameras stand in one place", where=scene.root, expected="cameras around an object",
            hint="give views from other places, or leave out the masks",
        )  # fmt: skip
    low, side = center - half, 2 * half
    for _ in range(_TIGHTENINGS):
        found = np.argwhere(_carved(outlines, low, side, _SEARCH))
        if not len(found):
            raise SceneError(
                "no place lies inside all masks", where=scene.root, expected="masks of one object",
                actual=f"{len(outlines)} that exclude each other", hint="check the poses and the masks",
            )  # fmt: skip
        near_corner = low + found.min(0)[::-1] * side / _SEARCH
        far_corner = low + (found.max(0)[::-1] + 1) * side / _SEARCH
        side = _MARGIN * float((far_corner - near_corner).max())
        low = (near_corner + far_corner) / 2 - side / 2
    return low, side, _carved(outlines, low, side, cells)


def _carved(
    outlines: Sequence[Outline], low: Float64[np.ndarray, "3"], side: float, cells: int
) -> UInt8[np.ndarray, "G G G"]:  # fmt: skip
    from anyview.radiance.kernels.carving import carve

    keep = np.ones(cells**3, np.uint8)
    radius = 0.5 * 3**0.5 * side / cells
    center = low + side / 2
    for size in {outline.mask.shape for outline in outlines}:  # the kernel takes views of one size
        grown, projections, whole = [], [], []
        for camera, pose, mask, near in (outline for outline in outlines if outline.mask.shape == size):
            matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
            projections.append(matrix @ pose[:3])
            corner = float(pose[2, :3] @ center + pose[2, 3] - np.abs(pose[2, :3]).sum() * side / 2)  # the nearest one
            reach = int(np.ceil(radius * largest_shift(camera) / max(corner, near, radius)))
            grown.append(cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
            on_edge = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
            whole.append(bool(mask.any() and not on_edge))  # an empty mask says nothing of what is outside the image
        carve(cells, low, side, np.stack(projections), np.stack(grown), np.array(whole), keep)
    return keep.reshape(cells, cells, cells)
