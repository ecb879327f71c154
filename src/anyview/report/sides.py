"""A cloud or a mesh from four sides: where to stand, which way is up, and how far back.

Up is the cameras' up; the sides lie where the cameras were: all around for a turntable, within the arc seen for a
facade. Letters: N points, V poses. Poses are world_from_cam.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8

from anyview.cameras.models import Camera
from anyview.cameras.poses import look_at
from anyview.errors import OptionError
from anyview.report.rasterize import Render, footprints, render_mesh, render_points
from anyview.typing import Pose

SIDES = 4

_ARC_OF_A_SIDE = np.radians(150)  # cameras that leave a wider gap than this have seen one side only
_HALF_WIDTH = 0.22  # tangent of half the picture's horizontal field of view: long enough a lens to look calm
_MARGIN = 1.1
_SAMPLE = 40_000
_KEEP = (1.0, 99.0)  # percentiles of each coordinate; what lies far outside them is not drawn
_SLACK = 0.35


def camera_up(poses: Sequence[Pose]) -> Float64[np.ndarray, "3"]:
    """The direction that is up in the photographs, unit, world.

    Cameras held level have their x axes in one plane: its normal is up, however far they look down. Where the x axes
    do not span a plane (all look one way) up is the mean of the cameras' own; where that cancels out (looking down on a
    site along crossing flight lines) it is against the view.
    """
    rotations = np.stack([np.asarray(p, np.float64)[:3, :3] for p in poses])
    x, up, forward = rotations[:, :, 0], -rotations[:, :, 1].mean(axis=0), rotations[:, :, 2].mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    level = vectors[:, 0] * (1 if vectors[:, 0] @ up >= 0 else -1)
    if values[0] < 0.02 and values[1] > 0.1 and level @ up > 0.05:
        return level
    if np.linalg.norm(up) < 0.3 and np.linalg.norm(forward) > 0.5:
        up = -forward
    norm = float(np.linalg.norm(up))
    return up / norm if norm > 1e-6 else level


def side_directions(poses: Sequence[Pose], count: int = SIDES) -> Float64[np.ndarray, "K 3"]:
    """Unit directions from the object to each side's camera, world; the first is where the first views stood."""
    up = camera_up(poses)
    back = -np.stack([np.asarray(p, np.float64)[:3, 2] for p in poses])  # from what is seen to the camera
    height = np.clip(np.median(np.arcsin(np.clip(back @ up, -1, 1))), np.radians(12), np.radians(32))
    flat = back - (back @ up)[:, None] * up
    sideways = flat[np.linalg.norm(flat, axis=1) > 0.05]
    east = sideways[0] if len(sideways) else np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    east = east / np.linalg.norm(east)
    north = np.cross(up, east)
    azimuths = np.sort(np.arctan2(sideways @ north, sideways @ east)) if len(sideways) else np.zeros(1)
    gaps = np.diff(np.append(azimuths, azimuths[0] + 2 * np.pi))
    widest = int(np.argmax(gaps))
    if gaps[widest] < _ARC_OF_A_SIDE or not len(sideways):
        angles = np.radians(20) + np.arange(count) * 2 * np.pi / count
    else:
        begin, end = azimuths[(widest + 1) % len(azimuths)], azimuths[widest]
        span = max(2 * np.pi - gaps[widest], np.radians(70))
        middle = begin + ((end - begin) % (2 * np.pi)) / 2
        angles = middle + np.linspace(-0.5, 0.5, count) * span
    around = np.cos(angles)[:, None] * east + np.sin(angles)[:, None] * north
    directions: Float64[np.ndarray, "K 3"] = np.cos(height) * around + np.sin(height) * up
    return directions


def near_the_object(xyz: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, "N"]:
    """Which points are finite and within the box of most points, widened by a third; far outliers are not."""
    finite = np.isfinite(xyz).all(axis=1)
    if not finite.any():
        return finite
    low, high = np.percentile(_sample(xyz[finite]), _KEEP, axis=0)
    slack = _SLACK * max(float((high - low).max()), 1e-12)
    near: Bool[np.ndarray, "N"] = finite & (xyz >= low - slack).all(axis=1) & (xyz <= high + slack).all(axis=1)
    return near


def fit_camera(
    xyz: Float[np.ndarray, "N 3"],
    direction: Float64[np.ndarray, "3"],
    up: Float64[np.ndarray, "3"],
    width: int,
    height: int,
) -> tuple[Camera, Pose]:
    """A camera that looks along -direction and has 99.8 % of the points in its picture, as large as they can be.

    Args:
        xyz: points, finite, at least one.
        direction: unit, from the points to the camera.
        up: unit, upwards in the picture.
        width, height: of the picture, pixels.
    """
    points = _sample(xyz)
    focal = width / 2 / _HALF_WIDTH
    camera = Camera.pinhole(width, height, focal, focal, width / 2, height / 2)
    if abs(direction @ up) > 0.999:
        up = np.eye(3)[np.argmin(np.abs(direction))]
    center = (np.percentile(points, 1, axis=0) + np.percentile(points, 99, axis=0)) / 2
    limits = np.array([width, height]) / 2 / focal / _MARGIN
    distance = 1.0
    for _ in range(4):  # the box's centre is not the picture's: shift, and find the distance again
        pose = look_at(center + direction, center, up)
        seen = (points - center) @ pose[:3, :3]
        # A point at (x, y, z) about the centre is inside from the distance on at which |x| = limit * (distance + z).
        needed = np.abs(seen[:, :2]) / limits - seen[:, 2:]
        distance = max(float(np.percentile(needed.max(axis=1), 99.8)), 1e-9)
        depth = np.maximum(seen[:, 2:] + distance, 1e-9)
        low, high = np.percentile(seen[:, :2] / depth, [0.1, 99.9], axis=0)
        center = center + pose[:3, :2] @ ((low + high) / 2 * distance)
    return camera, look_at(center + direction * distance, center, up)


def render_sides(
    xyz: Float[np.ndarray, "N 3"],
    poses: Sequence[Pose],
    *,
    faces: Int[np.ndarray, "F 3"] | None = None,
    rgb: UInt8[np.ndarray, "N 3"] | None = None,
    normals: Float[np.ndarray, "N 3"] | None = None,
    size: tuple[int, int] = (720, 540),
    count: int = SIDES,
) -> list[Render]:
    """Pictures of a cloud, or of a mesh where faces are given, from sides that the capture's cameras suggest.

    Args:
        xyz: points or vertices, world. Far outliers and what is not finite are left out.
        poses: of the capture; they say which way is up and which sides were seen.
        faces: triangles of a mesh.
        rgb: colours; clay without them.
        normals: unit, of points (a mesh makes its own).
        size: width and height of each picture, pixels.
        count: how many sides.

    Raises:
        OptionError: no pose, or no finite point.
    """
    near = near_the_object(xyz)
    if not len(poses) or not near.any():
        raise OptionError("nothing to draw", expected="poses and finite points", actual=f"{len(poses)} poses")
    up, inside = camera_up(poses), xyz[near]
    few = _sample(inside)
    stands = [fit_camera(few, direction, up, *size) for direction in side_directions(poses, count)]
    if faces is not None:
        kept = faces[near[faces].all(axis=1)]

        def draw(stand: tuple[Camera, Pose]) -> Render:
            return render_mesh(xyz, kept, *stand, rgb=rgb)

    else:
        colors, axes = (None if a is None else a[near] for a in (rgb, normals))
        radius = footprints(inside)

        def draw(stand: tuple[Camera, Pose]) -> Render:
            return render_points(inside, *stand, rgb=colors, normals=axes, radius=radius)

    with ThreadPoolExecutor(2) as pool:  # the kernels release the GIL; more would only hold more memory
        return list(pool.map(draw, stands))


def _sample(xyz: Float[np.ndarray, "N 3"]) -> Float64[np.ndarray, "M 3"]:
    """At most 40,000 of the points, evenly picked."""
    return np.asarray(xyz[:: -(-len(xyz) // _SAMPLE)], np.float64)
