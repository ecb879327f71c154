"""Whether this installation's kernels are compiled: they are on the first run, and kept for the next ones."""

from __future__ import annotations

from pathlib import Path

from anyview.compute import machine
from anyview.errors import WorkspaceError
from anyview.formats.files import atomic_write
from anyview.jit import njit, source_digest


@njit(cache=True)
def _probe() -> int:
    """Stands for all kernels: they are kept where this one is kept."""
    return 0


def is_compiled(engine: str = "reconstruction") -> bool:
    """Whether a whole run of the engine has gone through with these sources, this numba and this processor."""
    return _marker(engine).exists()


def mark_compiled(engine: str = "reconstruction") -> None:
    """Remember that a whole run went through; nothing happens where the folder cannot be written to."""
    try:
        with atomic_write(_marker(engine)) as temporary:
            temporary.write_text("")
    except (OSError, WorkspaceError):
        pass


def _marker(engine: str) -> Path:
    place: str | None = _probe.stats.cache_path
    return Path(place or "") / f"compiled-{engine}-{source_digest()[:16]}-{machine.cpu_name().replace('/', '_')}"
