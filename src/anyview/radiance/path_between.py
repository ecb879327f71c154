"""A camera path through given poses.

Places follow a cubic spline over centripetal times (Lee 1989), which keeps it from looping where steps are uneven.
Rotations follow a spline of their own, or the shortest way where poses turn by more than 90 degrees, beyond which a
spline may whirl. Letters: V poses, T times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline, Slerp

from anyview.cameras.poses import compose
from anyview.errors import OptionError
from anyview.radiance.path_cameras import CameraPath, path_camera, training_views
from anyview.scene.scene import Scene
from anyview.typing import Pose

_CLOSED = 1.75  # times the usual step: if the last pose is as near to the first, the path is closed
_SAME = 1e-6  # of a mean step: a pose that is nearer to the one before is the same


def interpolate(scene: Scene, frames: int, size: tuple[int, int] | None = None) -> CameraPath:
    """A smooth path through the views in their order, at even speed; closed if the last is near the first.

    Speed counts shift and turn alike, each in its mean step from view to view; "near" is hardly more than a usual step.

    Args:
        scene: two views or more with different poses.
        frames: how many; 2 or more.
        size: width and height of the frames, pixels.

    Raises:
        OptionError: fewer than two different poses, or too few frames.
    """
    views = training_views(scene, frames)
    poses = _different([view.world_from_cam for view in views])
    if len(poses) < 2:
        raise OptionError("nothing to interpolate", expected="two or more poses that differ", actual=len(poses))
    units = _mean_steps(poses)
    back = _steps([poses[-1], poses[0]], units)[0]
    closed = len(poses) > 2 and back <= _CLOSED * np.median(_steps(poses, units))
    if closed and back <= _SAME:
        poses.pop()
        units = _mean_steps(poses)
    count, begin, end = len(poses), 0, len(poses) - 1
    if closed:  # go round three times and keep the second: so the seam is as smooth as the rest
        poses, begin, end = 3 * poses, count, 2 * count
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(_steps(poses, units)))])
    curve = _Curve(knots, poses)
    times = np.linspace(knots[begin], knots[end], 32 * count + 4 * frames)
    way = np.concatenate([[0.0], np.cumsum(_steps(curve(times), units))])
    stops = np.linspace(0, way[-1], frames, endpoint=not closed)
    camera = path_camera(views.views[0].camera, size)
    return [(camera, pose) for pose in curve(np.interp(stops, way, times))]


class _Curve:
    """Poses at times between knots."""

    def __init__(self, knots: Float64[np.ndarray, "V"], poses: Sequence[Pose]) -> None:
        turns = Rotation.from_matrix([pose[:3, :3] for pose in poses])
        narrow = (turns[:-1].inv() * turns[1:]).magnitude().max() < np.pi / 2
        self._turn = RotationSpline(knots, turns) if narrow else Slerp(knots, turns)
        self._place = CubicSpline(knots, [pose[:3, 3] for pose in poses], bc_type="natural")

    def __call__(self, times: Float64[np.ndarray, "T"]) -> list[Pose]:
        turns, places = self._turn(times).as_matrix(), self._place(times)
        return [compose(turn, place) for turn, place in zip(turns, places, strict=True)]


def _different(poses: Sequence[Pose]) -> list[Pose]:
    """The poses without those that repeat the one before, as a multi-scale scene has them."""
    if len(poses) < 2:
        return list(poses)
    moved = _steps(poses, _mean_steps(poses)) > _SAME
    return [poses[0], *(pose for pose, new in zip(poses[1:], moved, strict=True) if new)]


def _shifts_and_turns(poses: Sequence[Pose]) -> tuple[Float64[np.ndarray, "T"], Float64[np.ndarray, "T"]]:
    """From each pose to the next: distance, scene units, and angle, radians."""
    places = np.stack([pose[:3, 3] for pose in poses])
    turns = Rotation.from_matrix([pose[:3, :3] for pose in poses])
    shifts = np.linalg.norm(np.diff(places, axis=0), axis=1)
    return shifts, np.atleast_1d((turns[:-1].inv() * turns[1:]).magnitude())


def _mean_steps(poses: Sequence[Pose]) -> tuple[float, float]:
    """Mean distance and angle from pose to pose; 1 where there are none."""
    shift, turn = (float(steps.mean()) for steps in _shifts_and_turns(poses))
    return shift or 1.0, turn if turn > 1e-7 else 1.0


def _steps(poses: Sequence[Pose], units: tuple[float, float]) -> Float64[np.ndarray, "T"]:
    """From each pose to the next, shift and turn together in these units."""
    shift, turn = _shifts_and_turns(poses)
    return shift / units[0] + turn / units[1]
