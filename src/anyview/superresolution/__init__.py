"""Super-resolution: an image in; the same image x2, x3, x4 or x8 out (EDSR, WDSR, SRGAN)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyview.superresolution.build import edsr, srresnet, wdsr_a, wdsr_b
    from anyview.superresolution.network.srgan import Discriminator
    from anyview.superresolution.weights import load_weights

__all__ = ["Discriminator", "edsr", "load_weights", "srresnet", "wdsr_a", "wdsr_b"]

_HOMES = {
    "Discriminator": "anyview.superresolution.network.srgan",
    "edsr": "anyview.superresolution.build",
    "load_weights": "anyview.superresolution.weights",
    "srresnet": "anyview.superresolution.build",
    "wdsr_a": "anyview.superresolution.build",
    "wdsr_b": "anyview.superresolution.build",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for: torch is loaded by those who need it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
