"""The net itself: wrong shapes and types are caught while tests run, and compiled kernels still compile."""

from __future__ import annotations

import ast

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation

from anyview.cameras.poses import rotation_from_quaternion
from shape_checks import _is_compiler, check


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros(4, np.float32), [1.0, 0.0, 0.0, 0.0]])
def test_a_wrong_shape_or_type_is_caught(bad: object) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        rotation_from_quaternion(bad)  # type: ignore[arg-type]
    assert np.array_equal(rotation_from_quaternion(np.array([1.0, 0, 0, 0])), np.eye(3))


def test_numbers_of_numpy_are_numbers() -> None:
    half = check(_half)
    assert half(3) == half(np.int64(3)) == half(np.float32(3)) == 1.5
    with pytest.raises(BeartypeCallHintParamViolation):
        half("3")


def _half(x: float) -> float:
    return x / 2


@pytest.mark.parametrize("decorator", ["njit", "_njit", "njit(cache=True)", "numba.njit(parallel=True)", "cuda.jit"])
def test_compiled_functions_are_left_alone(decorator: str) -> None:
    assert _is_compiler(ast.parse(decorator, mode="eval").body)


@pytest.mark.parametrize("decorator", ["property", "dataclass(frozen=True)", "functools.cache"])
def test_other_decorators_are_checked(decorator: str) -> None:
    assert not _is_compiler(ast.parse(decorator, mode="eval").body)
