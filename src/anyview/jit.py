"""numba's `njit` as anyview's kernels use it: what is cached is thrown away when any kernel's source changes.

numba stamps a cached kernel with its own file only, but kernels inline parts from other files, and an upgrade that
changes such a part would otherwise go on with the old machine code. Here the stamp covers all files with kernels.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import get_num_threads, njit, prange, set_num_threads
from numba.core import caching, config

__all__ = ["get_num_threads", "kernel_sources", "njit", "prange", "set_num_threads", "source_digest"]

_PACKAGE = Path(__file__).parent
_STANDARD = "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator,IPythonCacheLocator,ZipCacheLocator"
_KERNEL = re.compile(rb"^@n?jit\b|anyview\.jit import", re.MULTILINE)  # a file that has some, or makes some for others


def kernel_sources() -> list[Path]:
    """All files that hold kernels or are parts of them: constants, instructions that are given to LLVM one by one."""
    paths = sorted(_PACKAGE.rglob("*.py"))
    return [p for p in paths if p.parent.name == "kernels" or _KERNEL.search(p.read_bytes())]


@cache
def source_digest() -> str:
    """SHA-256 of the kernels' sources and numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in kernel_sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Locator:
    """Where numba keeps a kernel of this package: where it would anyway, with a stamp that covers all kernels."""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
        """A locator, or None for a function that is not anyview's."""
        if not Path(py_file).is_relative_to(_PACKAGE):
            return None
        for kind in (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator):
            found = kind.from_function(py_func, py_file)
            if found is not None:
                found.get_source_stamp = source_digest
                return found
        return None


if hasattr(config, "CACHE_LOCATOR_CLASSES"):  # numba 0.62 and later; before, stamps are times of files
    _others = config.CACHE_LOCATOR_CLASSES or _STANDARD
    if "anyview.jit.Locator" not in _others:
        config.CACHE_LOCATOR_CLASSES = f"anyview.jit.Locator,{_others}"
