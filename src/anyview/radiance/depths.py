"""Between which depths a scene lies, and whether its cameras look there at all.

The first of these that is known: the options; the views; the box of interest; Blender's 2 to 6, where the cameras look
at a place between; known points; the place that the cameras look at. Depths are z in a camera's frame, scene units.
Letters: V views, N points, M of them.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Float64

from anyview.cameras.rays import project
from anyview.errors import SceneError
from anyview.radiance.options import DataOptions
from anyview.radiance.sight import Box, beside
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene, View
from anyview.typing import Points

_BLENDER = (2.0, 6.0)
_MOST_POINTS = 20_000
_ENOUGH_POINTS = 20
_PERCENTILES = (0.1, 99.5)
_MARGIN = 0.2  # of the distance to the nearest and farthest point
_AROUND = 1.2  # the scene around the place looked at, in half widths of the image there
_CLOSEST = 0.02  # near is at least this share of far


def box_of_interest(scene: Scene, data: DataOptions) -> Box | None:
    """Lower and upper corner from the options or the scene; None where neither tells."""
    return scene.bounds if data.bounds is None else np.array(data.bounds, np.float64).reshape(2, 3)


def far_is_told(scene: Scene, data: DataOptions) -> bool:
    """Whether the options or all views say where the scene ends."""
    return data.far is not None or _told(scene, "far") is not None


def depth_range(scene: Scene, data: DataOptions) -> tuple[float, float]:
    """Near and far for all views of a scene.

    Args:
        scene: only the views that are trained on. Where all tell a depth, the nearest near and the farthest far hold.
        data: may tell one or both.

    Raises:
        SceneError: nothing tells, near is not before far, or no camera looks at anything between them, or no known
            point lies there.
    """
    near = _told(scene, "near") if data.near is None else data.near
    far = _told(scene, "far") if data.far is None else data.far
    if near is None or far is None:
        found = _found(scene, box_of_interest(scene, data))
        near, far = found[0] if near is None else near, found[1] if far is None else far
    where = str(scene.root or "the scene")
    if not near < far:
        raise SceneError(
            "near is not before far", where=where, expected="near < far", actual=f"{near:.6g} and {far:.6g}",
            hint="set data.near and data.far",
        )  # fmt: skip
    looked_at = _attention(scene)
    if looked_at is not None and not ((near < looked_at) & (looked_at < far)).any():
        raise SceneError(
            "the cameras look at something outside near and far", where=where,
            expected=f"depths between {near:.6g} and {far:.6g}",
            actual=f"{looked_at.min():.6g} to {looked_at.max():.6g}", hint="set data.near and data.far",
        )  # fmt: skip
    known = _known(scene)
    if len(known) and not ((near < known) & (known < far)).any():
        raise SceneError(
            "the known points lie outside near and far", where=where,
            expected=f"depths between {near:.6g} and {far:.6g}", actual=f"{known.min():.6g} to {known.max():.6g}",
            hint="set data.near and data.far",
        )  # fmt: skip
    return near, far


def check_bounds(views: tuple[View, ...], box: Box) -> None:
    """Raise a SceneError where there are views none of whose rays meets the box between the view's near and far."""
    if wrong := beside(views, box):
        raise SceneError(
            "a camera sees nothing of the box of interest", where=f"view {wrong[0].name}",
            expected=f"rays that meet {_words(box)} between near and far", actual=f"a camera at {wrong[0].center}",
            hint="fix its pose, or set data.bounds, data.near and data.far",
        )  # fmt: skip


def _told(scene: Scene, name: Literal["near", "far"]) -> float | None:
    """What the views tell, if all do."""
    told = [value for view in scene if (value := getattr(view, name)) is not None]
    return None if len(told) < len(scene) else min(told) if name == "near" else max(told)


def _found(scene: Scene, box: Box | None) -> tuple[float, float]:
    """Near and far from what the scene knows."""
    if box is not None:
        corners = np.array(list(product(*box.T)))
        depths = np.concatenate([_depths(view, corners) for view in scene])
        if depths.max() > 0:
            return max(float(depths.min()), _CLOSEST * float(depths.max())), float(depths.max())
    looked_at = _attention(scene)
    if scene.format == "blender" and (
        looked_at is None or ((looked_at > _BLENDER[0]) & (looked_at < _BLENDER[1])).all()
    ):
        return _BLENDER
    if len(depths := _known(scene)):
        low, high = np.percentile(depths, _PERCENTILES)
        far = float(high) * (1 + _MARGIN)
        return max(float(low) * (1 - _MARGIN), _CLOSEST * far), far
    if looked_at is not None:
        half = [max(v.camera.width / v.camera.fx, v.camera.height / v.camera.fy) / 2 for v in scene]
        reach = _AROUND * float(np.median(looked_at * half))
        far = float(looked_at.max()) + reach
        return max(float(looked_at.min()) - reach, _CLOSEST * far), far
    raise SceneError(
        "nothing tells how far away the scene is", where=scene.root or "the scene",
        expected="known points, or cameras that look at one place", hint="set data.near and data.far",
    )  # fmt: skip


def _attention(scene: Scene) -> Float64[np.ndarray, "V"] | None:
    """Depth, in each view, of the place that all look at; None where they look at no one place."""
    point, converging = converging_axes(scene)
    return np.concatenate([_depths(view, point[None]) for view in scene]) if converging else None


def _known(scene: Scene) -> Float64[np.ndarray, "M"]:
    """Depths of the known points, of all views; none where there are too few to tell anything."""
    depths = np.empty(0) if scene.points is None else _visible(scene, scene.points)
    return depths if len(depths) >= _ENOUGH_POINTS else np.empty(0)


def _visible(scene: Scene, points: Points) -> Float64[np.ndarray, "M"]:
    """Depths of the points that fall into images, of all views."""
    points = points[:: len(points) // _MOST_POINTS + 1]
    found = []
    for view in scene:
        local = points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        x, y = project(view.camera, local).T
        seen = (x > 0) & (y > 0) & (x < view.camera.width) & (y < view.camera.height)
        found.append(local[seen & (local[:, 2] > 0), 2])
    return np.concatenate(found)


def _depths(view: View, points: Points) -> Float64[np.ndarray, "N"]:
    return points @ view.cam_from_world[2, :3] + view.cam_from_world[2, 3]


def _words(box: Box) -> str:
    return " to ".join("(" + ", ".join(f"{x:.4g}" for x in corner) + ")" for corner in box)
