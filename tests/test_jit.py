"""The kernels' cache is stamped with all kernels' sources, and other packages' kernels are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit as plain_njit
from numba.core import config

import anyview
from anyview.jit import Locator, kernel_sources, source_digest
from anyview.reconstruction.stereo import improve, window
from anyview.reconstruction.stereo.pyramid import _halve

SOURCE = Path(anyview.__file__).parent


def test_a_kernels_stamp_covers_the_files_that_it_inlines() -> None:
    path = improve.__file__
    locator = Locator.from_function(improve.improve.py_func, path)
    assert locator.get_source_stamp() == source_digest()
    assert Locator.from_function(improve.improve.py_func, str(Path(np.__file__))) is None
    for module in (improve, window):
        assert b"anyview.jit import" in Path(module.__file__).read_bytes()


def test_every_file_with_kernels_is_covered() -> None:
    for path in SOURCE.rglob("*.py"):
        source = path.read_text()
        if path.name not in ("jit.py", "doctor.py"):
            source = source.replace("from numba import cuda\n", "")  # numba-cuda's kernels carry a stamp of their own
            assert "from numba import" not in source, path
            assert "import numba" not in source, path


def test_numba_asks_for_our_place_first_and_for_its_own_after_it() -> None:
    assert config.CACHE_LOCATOR_CLASSES.startswith("anyview.jit.Locator,")
    twice = plain_njit(cache=True)(lambda x: 2 * x)
    assert twice(21) == 42
    assert _halve(np.full((4, 4), 8, np.float32)).tolist() == [[8, 8], [8, 8]]


def test_what_kernels_inline_counts_without_kernels_of_its_own() -> None:
    folder = SOURCE / "radiance" / "kernels"
    for path in (folder / "limits.py", folder / "gather.py", SOURCE / "kernels" / "bfloat16.py"):
        assert b"anyview.jit import" not in path.read_bytes()
        assert path in kernel_sources()


def test_what_is_made_a_kernel_by_another_file_counts() -> None:
    marked = [path for path in SOURCE.rglob("*.py") if "\n@jit\n" in path.read_text()]
    assert SOURCE / "scene" / "_sdf.py" in marked
    assert set(marked) <= set(kernel_sources())
