"""The net itself: wrong shapes and types are caught while tests run, and compiled kernels still compile."""

from __future__ import annotations

import ast

import jaxtyping
import numpy as np
import pytest

from anyview.cameras.poses import rotation_from_quaternion
from shape_checks import _is_compiler


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros(4, np.float32), [1.0, 0.0, 0.0, 0.0]])
def test_a_wrong_shape_or_type_is_caught(bad: object) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        rotation_from_quaternion(bad)  # type: ignore[arg-type]
    assert np.array_equal(rotation_from_quaternion(np.array([1.0, 0, 0, 0])), np.eye(3))


@pytest.mark.parametrize("decorator", ["njit", "njit(cache=True)", "numba.njit(parallel=True)", "cuda.jit"])
def test_compiled_functions_are_left_alone(decorator: str) -> None:
    assert _is_compiler(ast.parse(decorator, mode="eval").body)


@pytest.mark.parametrize("decorator", ["property", "dataclass(frozen=True)", "functools.cache"])
def test_other_decorators_are_checked(decorator: str) -> None:
    assert not _is_compiler(ast.parse(decorator, mode="eval").body)
