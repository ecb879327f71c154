"""Radiance fields: posed images in; any view, its depth, videos and a mesh out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyview.radiance.fields.mip import MipNeRF
    from anyview.radiance.lightning_port import load_lightning_port

__all__ = ["MipNeRF", "load_lightning_port"]


def __getattr__(name: str) -> Any:
    if name == "MipNeRF":  # torch is loaded by those who need it
        from anyview.radiance.fields.mip import MipNeRF

        return MipNeRF
    if name == "load_lightning_port":
        from anyview.radiance.lightning_port import load_lightning_port

        return load_lightning_port
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
