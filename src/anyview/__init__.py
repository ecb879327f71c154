"""anyview: from the views you have to any view you want.

The public names are few and load on first use, so that `import anyview` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from anyview.errors import AnyviewError

if TYPE_CHECKING:
    from anyview.cameras.models import Camera
    from anyview.pipelines.reconstruct import reconstruct
    from anyview.reconstruction.options import ReconstructionOptions
    from anyview.scene.load import load_scene
    from anyview.scene.scene import Scene, View

__version__ = "0.1.0"

__all__ = ["AnyviewError", "Camera", "ReconstructionOptions", "Scene", "View", "load_scene", "reconstruct"]

_HOMES = {
    "Camera": "anyview.cameras.models",
    "ReconstructionOptions": "anyview.reconstruction.options",
    "Scene": "anyview.scene.scene",
    "View": "anyview.scene.scene",
    "load_scene": "anyview.scene.load",
    "reconstruct": "anyview.pipelines.reconstruct",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'anyview' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
