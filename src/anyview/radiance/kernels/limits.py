"""Numbers that compiled kernels and their readable twins share."""

from __future__ import annotations

LARGEST = 12.0
"""Logarithm of the largest density: beyond, nothing changes."""
BLOCKED = 1e-4
"""A ray of which less is left sees nothing more."""
SHARE = 0.1
"""Of a sample in its cell's mean density."""
