"""Runs before every test: shapes and types in signatures are checked, pictures need no screen.

Kernels are those that `anyview doctor` has compiled: their stamps tell when they are not of this source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shape_checks import install

settings.register_profile("anyview", deadline=None)  # a busy machine is no fault of ours
settings.load_profile("anyview")
os.environ.setdefault("MPLBACKEND", "Agg")
# Before torch's and numba's OpenMP are loaded: their threads would spin between kernels, each on a core that another
# process could use. With two processes on two cores a step of training took up to nine times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, files with slow tests come first: one that begins last leaves the other cores idle."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def small_pictures() -> Iterator[None]:
    """A report's large pictures take longer to draw than a tiny scene to reconstruct."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anyview.report.page._SIDE_SIZE", (96, 72))
        yield
