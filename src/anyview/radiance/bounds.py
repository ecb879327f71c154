"""The cube that a grid field fills, and where in it anything can be: from masks, from a reconstruction, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from anyview.cameras.models import Camera
from anyview.cameras.rays import largest_shift
from anyview.errors import OptionError, SceneError
from anyview.radiance.depths import box_of_interest, far_is_told
from anyview.radiance.inner import inner_cube
from anyview.radiance.options import DataOptions
from anyview.radiance.pictures import picture_camera, read_picture
from anyview.radiance.reconstructed import around, left_open, reconstructed_points
from anyview.radiance.views import FieldViews
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene
from anyview.typing import Pose

_SEARCH = 64  # cells per side of the grid in which the object is looked for
_TIGHTENINGS = 3  # of the cube around what is found
_MARGIN = 1.02
_AT_ONCE = 32 << 20  # pixels of masks that are carved with at a time, or one mask
_ROUNDING = 1e-9  # of the cameras' coordinates: what is less is no distance

AlphaOf: TypeAlias = Callable[[int], UInt8[np.ndarray, "H W"] | None]
"""The alpha of a training view's picture, by the view's number; None where every pixel counts."""


class GridBounds(NamedTuple):
    """A cube in the world and which of its cells can hold anything."""

    low: Float64[np.ndarray, "3"]
    side: float
    possible: UInt8[np.ndarray, "G G G"]  # z, y, x
    is_hull: bool  # whether a pixel off the object meets nothing
    contracted: bool = False  # whether the cube holds all of space; the inner half of its side is not bent


def grid_bounds(
    views: FieldViews, data: DataOptions, cells: int, geometry: Path | None = None, contraction: str = "none",
    alpha_of: AlphaOf | None = None,
) -> GridBounds:  # fmt: skip
    """The visual hull where all training views have masks; else the box of interest, else what the cameras look at.

    With `geometry`, the folder of a reconstruction, only cells that it leaves open are possible.

    Args:
        contraction: see `GridOptions`.
        alpha_of: asked several times for each view, of which one is held at a time; by default it is decoded each time.

    Raises:
        SceneError: masks that exclude each other, no reconstruction there, or one of another scene.
        OptionError: a contraction around a reconstruction, which bounds the scene.
    """
    if contraction == "cube" and geometry is not None:
        raise OptionError(
            "a reconstruction bounds the scene", where="grid.contraction", expected="auto or none", actual="cube",
            hint="leave out the geometry, or the contraction",
        )  # fmt: skip
    outlines = None if contraction == "cube" else _outlines(views, data.downscale, alpha_of)
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


@dataclass(frozen=True)
class Outlines:
    """Of the training views, as they are learnt from. Whoever goes through them has one mask in memory at a time."""

    views: FieldViews
    downscale: int
    alpha_of: AlphaOf

    def __iter__(self) -> Iterator[Outline]:
        """In the order of the views."""
        for number, view in enumerate(self.views.train):
            alpha = self.alpha_of(number)
            assert alpha is not None
            camera = picture_camera(view.camera, self.downscale)
            yield Outline(camera, view.cam_from_world, (alpha > 0).astype(np.uint8), view.near or 0.0)


def _outlines(views: FieldViews, downscale: int, alpha_of: AlphaOf | None = None) -> Outlines | None:
    """None if one view has neither alpha nor a mask."""

    def decoded(number: int) -> UInt8[np.ndarray, "H W"] | None:
        return read_picture(views.train[number], downscale).alpha

    found = Outlines(views, downscale, decoded if alpha_of is None else alpha_of)
    return None if any(found.alpha_of(number) is None for number in range(len(views.train))) else found


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
    scene: Scene, outlines: Iterable[Outline], cells: int
) -> tuple[Float64[np.ndarray, "3"], float, UInt8[np.ndarray, "G G G"]]:
    """Corner and side of the smallest cube around what all outlines allow, and which cells they allow (z, y, x).

    Args:
        scene: the views that are outlined.
        outlines: gone through several times.
        cells: G.

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
                actual=f"{len(scene.views)} that exclude each other", hint="check the poses and the masks",
            )  # fmt: skip
        near_corner = low + found.min(0)[::-1] * side / _SEARCH
        far_corner = low + (found.max(0)[::-1] + 1) * side / _SEARCH
        side = _MARGIN * float((far_corner - near_corner).max())
        low = (near_corner + far_corner) / 2 - side / 2
    return low, side, _carved(outlines, low, side, cells)


def _carved(
    outlines: Iterable[Outline], low: Float64[np.ndarray, "3"], side: float, cells: int
) -> UInt8[np.ndarray, "G G G"]:  # fmt: skip
    """Cells that no outline excludes (z, y, x). A few masks are held at a time: where many are, the kernel is fast."""
    from anyview.radiance.kernels.carving import carve

    keep = np.ones(cells**3, np.uint8)
    radius = 0.5 * 3**0.5 * side / cells
    center = low + side / 2
    waiting: dict[tuple[int, ...], list[tuple[np.ndarray, np.ndarray, bool]]] = {}  # the kernel takes views of one size

    def clear() -> None:
        for some in waiting.values():
            projections, grown, whole = zip(*some, strict=True)
            carve(cells, low, side, np.stack(projections), np.stack(grown), np.array(whole), keep)
        waiting.clear()

    size = 0
    for camera, pose, mask, near in outlines:
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
        corner = float(pose[2, :3] @ center + pose[2, 3] - np.abs(pose[2, :3]).sum() * side / 2)  # the nearest one
        reach = int(np.ceil(radius * largest_shift(camera) / max(corner, near, radius)))
        grown = cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        on_edge = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        whole = bool(mask.any() and not on_edge)  # an empty mask says nothing of what is outside the image
        if waiting and size + mask.size > _AT_ONCE:
            clear()
            size = 0
        waiting.setdefault(mask.shape, []).append((matrix @ pose[:3], grown, whole))
        size += mask.size
    clear()
    return keep.reshape(cells, cells, cells)
