"""Makes the shapes and types in anyview's signatures hold while tests run: jaxtyping's import hook with beartype.

Compiled kernels stay as they are: numba must see the bare function, and it checks types in its own way.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import jaxtyping._import_hook as hook
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintNonpepNumpyException, BeartypeDecorHintPep673Exception

_COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "stencil", "intrinsic", "overload"}


# An int is welcome where a float is asked for (as PEP 484 has it), and numpy's numbers where Python's are.
_NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.floating | np.integer})


def check(function: Callable[..., Any]) -> Any:
    """Beartype with our rules for numbers."""
    try:
        return beartype(function, conf=BeartypeConf(hint_overrides=_NUMBERS))
    except (BeartypeDecorHintNonpepNumpyException, BeartypeDecorHintPep673Exception):
        return function  # `np.ndarray[Any, Any]` and `Self` outside its class: beartype knows neither


def install() -> None:
    """Check every function and dataclass of anyview that is imported from now on."""
    bare = hook._is_no_type_check
    hook._is_no_type_check = lambda node: bare(node) or _is_compiler(node)
    hook.install_import_hook("anyview", "shape_checks.check")


def _is_compiler(node: ast.AST) -> bool:
    """Whether a decorator is numba's: `@njit`, `@numba.njit(cache=True)`, `@cuda.jit`."""
    if isinstance(node, ast.Call):
        node = node.func
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_") in _COMPILERS
