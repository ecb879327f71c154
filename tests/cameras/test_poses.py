"""Rigid transforms against scipy's rotations, and the axioms of a group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anyview.cameras.poses import (
    CV_FROM_GL,
    check_pose,
    compose,
    inverse,
    look_at,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from anyview.errors import SceneError

NUMBERS = st.floats(-100, 100)
QUATERNIONS = (
    st.tuples(*[st.floats(-1, 1)] * 4).map(np.array).filter(lambda q: np.linalg.norm(q) > 0.01)  # (w, x, y, z)
)


@st.composite
def poses(draw: st.DrawFn) -> np.ndarray:
    rotation = Rotation.from_quat(draw(QUATERNIONS), scalar_first=True).as_matrix()
    return compose(rotation, np.array([draw(NUMBERS) for _ in range(3)]))


@given(QUATERNIONS)
def test_rotation_of_a_quaternion_is_scipys(q: np.ndarray) -> None:
    expected = Rotation.from_quat(q, scalar_first=True).as_matrix()
    np.testing.assert_allclose(rotation_from_quaternion(q), expected, atol=2e-15)  # measured 9e-16


@given(QUATERNIONS)
def test_quaternion_of_a_rotation_is_scipys_with_positive_w(q: np.ndarray) -> None:
    rotation = Rotation.from_quat(q, scalar_first=True).as_matrix()
    ours = quaternion_from_rotation(rotation)
    theirs = Rotation.from_matrix(rotation).as_quat(canonical=True, scalar_first=True)
    assert ours[0] >= 0
    np.testing.assert_allclose(abs(ours @ theirs), 1, atol=1e-14)  # the same up to sign where w = 0
    np.testing.assert_allclose(rotation_from_quaternion(ours), rotation, atol=5e-15)  # measured 9e-16


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_lose_no_digit(axis: int) -> None:
    rotation = -np.eye(3)
    rotation[axis, axis] = 1
    np.testing.assert_array_equal(rotation_from_quaternion(quaternion_from_rotation(rotation)), rotation)


@given(poses(), poses(), poses())
def test_axioms_of_a_group(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    close = {"rtol": 0, "atol": 1e-12}  # coordinates up to 300; measured 1.3e-13
    np.testing.assert_allclose(inverse(a) @ a, np.eye(4), **close)
    np.testing.assert_allclose(a @ inverse(a), np.eye(4), **close)
    np.testing.assert_allclose(inverse(inverse(a)), a, **close)
    np.testing.assert_allclose(inverse(a @ b), inverse(b) @ inverse(a), **close)
    np.testing.assert_allclose((a @ b) @ c, a @ (b @ c), **close)
    np.testing.assert_allclose(inverse(a), np.linalg.inv(a), **close)


def test_opengl_looks_the_other_way() -> None:
    np.testing.assert_array_equal(CV_FROM_GL @ CV_FROM_GL, np.eye(4))
    np.testing.assert_array_equal(CV_FROM_GL @ [0, 0, -1, 1], [0, 0, 1, 1])  # forwards
    np.testing.assert_array_equal(CV_FROM_GL @ [0, 1, 0, 1], [0, -1, 0, 1])  # up


@given(st.tuples(*[st.floats(-5, 5)] * 3).map(np.array).filter(lambda p: np.hypot(p[0], p[1]) > 0.1))
def test_look_at_puts_the_target_ahead_and_up_upwards(eye: np.ndarray) -> None:
    pose = check_pose(look_at(eye, np.zeros(3), np.array([0, 0, 1.0])), "test")
    target = inverse(pose) @ [0, 0, 0, 1]
    np.testing.assert_allclose(target[:3], [0, 0, np.linalg.norm(eye)], atol=1e-13)  # measured 1.8e-15
    above = inverse(pose) @ [0, 0, 0.1, 1]
    assert abs(above[0]) < 1e-13
    assert above[1] < 0  # y points down


def test_a_good_pose_is_returned_untouched_and_a_bent_one_is_straightened() -> None:
    pose = compose(Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix(), np.array([1.0, 2, 3]))
    assert check_pose(pose, "here") is pose
    bent = pose.copy()
    bent[:3, :3] += np.random.default_rng(0).uniform(-1e-4, 1e-4, (3, 3))
    straight = check_pose(bent, "here")
    np.testing.assert_allclose(straight[:3, :3].T @ straight[:3, :3], np.eye(3), atol=1e-15)
    np.testing.assert_allclose(straight, bent, atol=3e-4)
    np.testing.assert_array_equal(straight[:3, 3], pose[:3, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:3], "wrong shape in here: expected 4x4, found 3x4"),
        (lambda p: p * np.nan, "not finite in here"),
        (lambda p: p + np.diag([0, 0, 0, 1.0]), "last row is wrong in here"),
        (lambda p: p @ np.diag([1e300, 1, 1, 1]), "not a rotation and a translation in here"),
        (lambda p: p @ np.diag([2, 2, 2, 1.0]), "expected orthonormal columns.*off by 3, determinant 8"),
        (lambda p: p @ np.diag([-1, 1, 1, 1.0]), "determinant -1"),
        (lambda p: p + 0.01 * np.eye(4, k=1) * [[1], [1], [0], [0]], "orthonormal"),
    ],
)
def test_bad_poses(change: object, message: str, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(SceneError, match=message):
        check_pose(change(np.eye(4)), "here")  # type: ignore[operator]
    assert not recwarn  # a sentence, and nothing beside it
