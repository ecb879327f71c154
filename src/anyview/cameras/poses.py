"""Rigid transforms SE(3) and changes between axis conventions.

A transform is a 4x4 float64 matrix named target_from_source: p_target = target_from_source @ p_source.
Quaternions are (w, x, y, z). Inside anyview a camera looks down +z with x right and y down (OpenCV, COLMAP);
Blender and OpenGL cameras look down -z with y up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from anyview.errors import SceneError
from anyview.typing import Pose

CV_FROM_GL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of OpenCV from those of OpenGL/Blender; its own inverse."""

_ORTHONORMAL_TOLERANCE = 1e-3


def inverse(pose: Pose) -> Pose:
    """The inverse of a rigid transform."""
    out = np.eye(4)
    out[:3, :3] = pose[:3, :3].T
    out[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return out


def compose(rotation: Float64[np.ndarray, "3 3"], translation: Float64[np.ndarray, "3"]) -> Pose:
    """A transform from its rotation and translation (scene units)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, translation
    return out


def rotation_from_quaternion(quaternion: Float64[np.ndarray, "4"]) -> Float64[np.ndarray, "3 3"]:
    """Rotation matrix of (w, x, y, z); the quaternion is normalised first."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "4"]:
    """(w, x, y, z) with w >= 0, by the largest of the four components (Shepperd 1978), so that no digit is lost."""
    r = rotation
    four_squares = np.array(
        [
            1 + r[0, 0] + r[1, 1] + r[2, 2],
            1 + r[0, 0] - r[1, 1] - r[2, 2],
            1 - r[0, 0] + r[1, 1] - r[2, 2],
            1 - r[0, 0] - r[1, 1] + r[2, 2],
        ]
    )
    big = int(np.argmax(four_squares))
    products = np.array(
        [
            [four_squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], four_squares[1], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], four_squares[2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], four_squares[3]],
        ]
    )
    quaternion: Float64[np.ndarray, "4"] = products[big] / (2 * np.sqrt(four_squares[big]))
    return quaternion if quaternion[0] >= 0 else -quaternion


def look_at(eye: Float64[np.ndarray, "3"], target: Float64[np.ndarray, "3"], up: Float64[np.ndarray, "3"]) -> Pose:
    """world_from_cam of a camera at `eye` that looks at `target`, with `up` pointing upwards in its image."""
    z = target - eye
    z = z / np.linalg.norm(z)
    x = np.cross(z, up)
    x = x / np.linalg.norm(x)
    return compose(np.stack([x, np.cross(z, x), z], axis=1), eye)


def check_pose(pose: Float64[np.ndarray, "_ _"], where: str | Path) -> Pose:
    """The pose with its rotation made exactly orthonormal where rounding had bent it.

    Rotations whose columns are off by less than 1e-9 are returned untouched, so that conversions lose nothing.

    Raises:
        SceneError: not 4x4, not finite, a rotation that is off by more than 1e-3, or a mirrored one.
    """
    pose = np.asarray(pose, np.float64)
    if pose.shape != (4, 4):
        raise SceneError("pose has the wrong shape", where=where, expected="4x4", actual="x".join(map(str, pose.shape)))
    if not np.isfinite(pose).all():
        raise SceneError("pose is not finite", where=where, hint="remove this view, or fix its matrix")
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-9:
        raise SceneError("pose's last row is wrong", where=where, expected="0 0 0 1", actual=pose[3].tolist())
    rotation = pose[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):  # of huge values the error is infinite, or not a number
        error, volume = float(np.abs(rotation.T @ rotation - np.eye(3)).max()), float(np.linalg.det(rotation))
    if not (error <= _ORTHONORMAL_TOLERANCE and volume > 0):
        raise SceneError(
            "pose is not a rotation and a translation",
            where=where,
            expected="orthonormal columns and determinant 1",
            actual=f"columns off by {error:.2g}, determinant {volume:.4g}",
            hint="remove scale, shear and mirroring from the matrix",
        )
    if error < 1e-9:
        return pose
    u, _, vt = np.linalg.svd(rotation)
    return compose(u @ vt, pose[:3, 3])
