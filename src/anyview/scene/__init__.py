"""Scenes: posed views, where they come from and where they go."""

from anyview.scene.scene import ArrayPixels, Pixels, Scene, View

__all__ = ["ArrayPixels", "Pixels", "Scene", "View"]
