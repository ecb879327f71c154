"""Runs before every test: shapes and types in signatures are checked, pictures need no screen, kernels are fresh."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from hypothesis import settings

from shape_checks import install


def kernel_cache() -> Path:
    """A folder of this source's own: numba looks only at a kernel's own file, not at those it inlines parts from."""
    files = sorted((Path(__file__).parent.parent / "src").rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"anyview-kernels-{os.getuid()}-{digest}"


settings.register_profile("anyview", deadline=None)  # a busy machine is no fault of ours
settings.load_profile("anyview")
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache()))
os.environ.setdefault("MPLBACKEND", "Agg")
install()
