"""Where the camera of a film goes: around the scene, in a spiral before it, through its views, or as a file says.

Paths turn, shift and grow with the scene. Their cameras are pinholes, like the first training view; without training
views all count.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from anyview.cameras.poses import look_at
from anyview.errors import OptionError
from anyview.radiance.path_between import interpolate
from anyview.radiance.path_cameras import CameraPath, path_camera, training_views
from anyview.radiance.path_files import from_file
from anyview.scene.attention import converging_axes
from anyview.scene.scene import Scene
from anyview.scene.upright import up_direction
from anyview.typing import Points, Pose

__all__ = ["KINDS", "CameraPath", "camera_path", "from_file", "interpolate", "orbit", "spiral"]

KINDS = ("orbit", "spiral", "interpolate")

_TURNS = 2  # of a spiral, in which it goes to and fro once
_SHARE = 90  # percentile of the cameras' offsets that a spiral reaches
_FAR = 10  # times the spiral's size: what it looks at if nothing tells


def camera_path(
    scene: Scene,
    kind: str,
    frames: int = 120,
    size: tuple[int, int] | None = None,
    *,
    elevation: float | None = None,
) -> CameraPath:
    """The path of a name.

    Args:
        scene: whose cameras tell where a path may go.
        kind: "orbit" or "orbit:ELEVATION", "spiral", "interpolate", or a file `*.json` (see `from_file`), which has
            frames of its own.
        frames: how many; 2 or more.
        size: width and height of the frames, pixels; by default the first training view's.
        elevation: for an orbit whose kind does not tell it, see there.

    Raises:
        OptionError: an unknown kind, a bad file, or a scene that such a path does not fit.
    """
    if kind.endswith(".json"):
        return from_file(kind, size)
    if kind == "orbit":
        return orbit(scene, frames, elevation, size)
    if kind == "spiral":
        return spiral(scene, frames, size)
    if kind == "interpolate":
        return interpolate(scene, frames, size)
    name, _, angle = kind.partition(":")
    if name == "orbit":
        try:
            elevation = float(angle)
        except ValueError:
            raise OptionError("no such elevation", where="path", expected="orbit:DEGREES", actual=kind) from None
        return orbit(scene, frames, elevation, size)
    raise OptionError("unknown camera path", expected=f"{', '.join(KINDS)} or a file *.json", actual=kind)


def orbit(scene: Scene, frames: int, elevation: float | None = None, size: tuple[int, int] | None = None) -> CameraPath:
    """Once around the point that the cameras look at, from the first one's side, counterclockwise seen from above.

    Args:
        scene: cameras around something.
        frames: how many; 2 or more. The last is one step before the first, so that the film can go round and round.
        elevation: angle above the horizon at which the circle is seen from the point, degrees; by default, radius and
            height are the medians of the cameras'.
        size: width and height of the frames, pixels.

    Raises:
        OptionError: the cameras do not look at one point, too few frames, or an elevation outside -90 to 90.
    """
    views = training_views(scene, frames)
    target, converging = converging_axes(views)
    if not converging:
        raise OptionError("the cameras do not look at one point", hint="choose the path spiral or interpolate")
    up = up_direction(views)
    offsets = np.stack([view.center for view in views]) - target
    heights = offsets @ up
    flat = offsets - heights[:, None] * up
    radius, height = float(np.median(np.linalg.norm(flat, axis=1))), float(np.median(heights))
    distance = math.hypot(radius, height)
    if elevation is not None:
        if not -90 < elevation < 90:
            raise OptionError("`elevation` is out of range", expected="between -90 and 90 degrees", actual=elevation)
        angle = math.radians(elevation)
        radius, height = distance * math.cos(angle), distance * math.sin(angle)
    if radius < 1e-3 * distance:
        raise OptionError(
            "the cameras stand right above or below what they see", hint="choose the path interpolate or spiral"
        )
    first = flat[int(np.argmax(np.linalg.norm(flat, axis=1) > 1e-3 * distance))]
    x = first / np.linalg.norm(first)
    y = np.cross(up, x)
    camera = path_camera(views.views[0].camera, size)
    path: CameraPath = []
    for angle in 2 * np.pi * np.arange(frames) / frames:
        eye = target + radius * (math.cos(angle) * x + math.sin(angle) * y) + height * up
        path.append((camera, look_at(eye, target, up)))
    return path


def spiral(scene: Scene, frames: int, size: tuple[int, int] | None = None) -> CameraPath:
    """A spiral about the mean camera, as in the films of forward-facing scenes (LLFF, NeRF); it ends where it began.

    The camera looks at a point before the mean camera: where the axes meet, else amid the known points, else amid near
    and far, else far away. It strays as far to the sides and along the axis as 90 % of the cameras do.

    Args:
        scene: cameras that look the same way.
        frames: how many; 2 or more.
        size: width and height of the frames, pixels.

    Raises:
        OptionError: the cameras look in all directions or stand in one place, or too few frames.
    """
    views = training_views(scene, frames)
    axis = np.mean([view.world_from_cam[:3, 2] for view in views], axis=0)
    if np.linalg.norm(axis) < 0.5:
        raise OptionError("the cameras do not look the same way", hint="choose the path orbit or interpolate")
    centers = np.stack([view.center for view in views])
    middle = centers.mean(axis=0)
    up = up_direction(views)
    mean = look_at(middle, middle + axis, up)
    reach = np.percentile(np.abs((centers - middle) @ mean[:3, :3]), _SHARE, axis=0)
    if reach.max() <= 1e-9 * max(1.0, float(np.abs(centers).max())):
        raise OptionError("the cameras stand in one place", hint="give a file with a path")
    target = middle + _depth(views, mean, float(np.linalg.norm(reach))) * mean[:3, 2]
    camera = path_camera(views.views[0].camera, size)
    path: CameraPath = []
    for angle in 2 * np.pi * _TURNS * np.arange(frames) / frames:
        place = reach * (math.cos(angle), math.sin(angle), math.sin(angle / _TURNS))
        path.append((camera, look_at(mean[:3, :3] @ place + middle, target, up)))
    return path


def _depth(views: Scene, mean: Pose, reach: float) -> float:
    """How far before the mean camera that is which a spiral looks at, scene units."""
    point, converging = converging_axes(views)
    if converging:
        return float((point - mean[:3, 3]) @ mean[:3, 2])
    if views.points is not None:
        depths = _in_front(views.points, mean)
        if len(depths):
            return float(np.median(depths))
    near, far = [v.near for v in views if v.near], [v.far for v in views if v.far]
    if near and far:
        return 2 / (1 / min(near) + 1 / max(far))
    return _FAR * reach


def _in_front(points: Points, mean: Pose) -> Float64[np.ndarray, "_"]:
    """Depths of the points that the mean camera has before it."""
    depths: Float64[np.ndarray, "_"] = (points - mean[:3, 3]) @ mean[:3, 2]
    return depths[depths > 0]
