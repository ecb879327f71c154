"""Which views see nothing of what a field is learnt from: those whose pose, or whose near and far, must be wrong.

Letters: V views, P points of each view's frustum, N points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float64

from anyview.cameras.rays import project, rays
from anyview.errors import SceneError
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Points

Box = Float64[np.ndarray, "2 3"]

_GRID = 9  # rays that are tried, per side of an image
_COLUMNS, _DEPTHS = 5, 8  # of points amid a view's near and far: per side of the image, and along each ray
_NAMED = 3  # views in a sentence


def beside(views: Sequence[View], box: Box) -> list[View]:
    """Those none of whose rays meets the box (lower and upper corner, world) between the view's near and far."""
    found = []
    for view in views:
        origin, directions = rays(view.camera, view.world_from_cam, _spread(view, _GRID, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (box[:, None] - origin) / directions
        enter = np.fmax(np.fmin(t[0], t[1]).max(axis=1), view.near or 0)
        leave = np.fmin(np.fmax(t[0], t[1]).min(axis=1), np.inf if view.far is None else view.far)
        if not (enter < leave).any():
            found.append(view)
    return found


def alone(views: Sequence[View], others: Sequence[View]) -> list[View]:
    """Those of the views that see, between near and far, nothing that one of the others with another pose sees there.

    Args:
        views, others: with near and far.
    """
    left = list(views)
    points = [_frustum(view) for view in left]
    for other in others:
        if not left:
            break
        hits = _sees(other, np.concatenate(points)).reshape(len(left), -1)
        keep = [i for i, view in enumerate(left) if not hits[i].any() or _same_place(view, other)]
        left, points = [left[i] for i in keep], [points[i] for i in keep]
    theirs = [_frustum(other) for other in others] if left else []  # a narrow view can lie between a wide one's points

    def is_met(view: View) -> bool:
        found = [p for other, p in zip(others, theirs, strict=True) if not _same_place(view, other)]
        return not found or bool(_sees(view, np.concatenate(found)).any())  # who has no others is not judged

    return [view for view in left if not is_met(view)]


def out_of_range(views: Sequence[View], scene: Scene) -> list[View]:
    """Those whose picture has the place that a scene's cameras look at, but not between near and far."""
    place, together = converging_axes(scene)
    found = []
    for view in views if together else ():
        local = place @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        if _inside(view, local[None]).all() and not (view.near or 0) < local[2] < (view.far or np.inf):
            found.append(view)
    return found


def check_sight(
    train: Sequence[View], others: dict[str, Sequence[View]], scene: Scene, tell: Callable[[str], None]
) -> None:
    """Say which views cannot be right; refuse a split where none can.

    Args:
        train: the training views.
        others: other splits by name.
        scene: of the training views.
        tell: is given one sentence for each kind of fault in each split.

    Raises:
        SceneError: no view of a split sees anything that a training view sees.
    """
    for name, views in {"train": train, **others}.items():
        if wrong := alone(views, train):
            what = "see nothing, between near and far, that another training view sees"
            if len(wrong) == len(views):
                raise SceneError(
                    f"the views of the split {name} {what}", where=scene.root or "the scene",
                    expected="poses and depths in the same units", actual=_range(views),
                    hint="check the poses, and set data.near and data.far",
                )  # fmt: skip
            tell(f"{_counted(wrong, views, name)} {what}: check their poses, and data.near and data.far")
        if wrong := out_of_range(views, scene):
            what = "have the place that the cameras look at before near or behind far"
            tell(f"{_counted(wrong, views, name)} {what}: check their poses, and data.near and data.far")


def tell_beside(views: Sequence[View], box: Box, tell: Callable[[str], None]) -> None:
    """Say which training views do not see the cube that a field fills.

    Raises:
        SceneError: none does.
    """
    wrong = beside(views, box)
    if len(wrong) == len(views):
        raise SceneError(
            "no training view sees the cube that the field fills", where=f"view {views[0].name} and all others",
            expected="rays that meet it between near and far", actual=_range(views),
            hint="check the poses, and set data.near, data.far and data.bounds",
        )  # fmt: skip
    if wrong:
        tell(f"{_counted(wrong, views, 'train')} see nothing of the cube that the field fills: check their poses")


def _range(views: Sequence[View]) -> str:
    near, far = min(v.near or 0.0 for v in views), max(v.far or np.inf for v in views)
    return f"depths from {near:.6g} to {far:.6g}"


def _counted(wrong: Sequence[View], views: Sequence[View], split: str) -> str:
    names = ", ".join(view.name for view in wrong[:_NAMED]) + (" and others" if len(wrong) > _NAMED else "")
    return f"{len(wrong)} of {len(views)} views of the split {split} ({names})"


def _spread(view: View, columns: int, inset: float) -> Float64[np.ndarray, "N 2"]:
    """Pixels all over an image, as many in each row as rows; `inset` is the share of an edge that is left out."""
    share = np.linspace(inset, 1 - inset, columns)
    x, y = np.meshgrid(share * view.camera.width, share * view.camera.height)
    return np.stack([x.ravel(), y.ravel()], 1)


def _frustum(view: View) -> Float64[np.ndarray, "P 3"]:
    """Points that a view sees between near and far, world; NaN where a camera's model sees nothing."""
    origin, directions = rays(view.camera, view.world_from_cam, _spread(view, _COLUMNS, 0.02))
    near, far = view.near or 0.0, view.far or np.inf
    depth = near + (far - near) * np.linspace(0.02, 0.98, _DEPTHS)
    points: Float64[np.ndarray, "P 3"] = (origin + depth[:, None, None] * directions).reshape(-1, 3)
    return points


def _sees(view: View, points: Points) -> Bool[np.ndarray, "N"]:
    """Which points a view has in its image, between near and far."""
    local = points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
    between = (local[:, 2] > (view.near or 0.0)) & (local[:, 2] < (view.far or np.inf))
    between[between] = _inside(view, local[between])
    return between


def _inside(view: View, local: Points) -> Bool[np.ndarray, "N"]:
    """Which points in a camera's frame its image has."""
    x, y = project(view.camera, local).T
    inside: Bool[np.ndarray, "N"] = (x > 0) & (y > 0) & (x < view.camera.width) & (y < view.camera.height)
    return inside


def _same_place(view: View, other: View) -> bool:
    """One view, or the same picture at another scale."""
    return np.array_equal(view.world_from_cam, other.world_from_cam)
