"""Shapes that recur in signatures. Letters: H rows, W columns, N items, V views.

Every alias names a numpy array; units and frames are in `docs/conventions.md`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

Image: TypeAlias = Float32[np.ndarray, "H W 3"]  # sRGB, [0, 1]
Grey: TypeAlias = Float32[np.ndarray, "H W"]
Mask: TypeAlias = Bool[np.ndarray, "H W"]  # True where the object is
Depth: TypeAlias = Float32[np.ndarray, "H W"]  # z in the camera frame, scene units; 0 means none
Normals: TypeAlias = Float32[np.ndarray, "H W 3"]  # unit, pointing towards the camera
Pose: TypeAlias = Float64[np.ndarray, "4 4"]  # rigid transform, named target_from_source
Points: TypeAlias = Float64[np.ndarray, "N 3"]
Colors: TypeAlias = UInt8[np.ndarray, "N 3"]
