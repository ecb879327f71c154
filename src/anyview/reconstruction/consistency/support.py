"""How well the source views' own surfaces confirm a view's: the evidence for each pixel, apart from how it matches.

A match can be good and wrong: highlights move like something behind the surface, plain areas match anywhere. What
they give differs from view to view, in position or at least in normal.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32

from anyview.jit import njit
from anyview.reconstruction.consistency.agreement import KERNEL, NORMAL_SCALE, Limits, Surface, confirmation, meet
from anyview.typing import Pose

# Tighter than fusion's: here a plane is kept or replaced, there it is only one vote among several.
_LIMITS = Limits(
    reprojection=1.0, depth=0.01, cosine=0.5, min_views=2, consensus=0.0, nearest=0.0, farthest=float("inf")
)


def surface_support(ref: Surface, sources: Iterable[tuple[Surface, Pose]]) -> Float32[np.ndarray, "H W"]:
    """The mean over all sources of how well they confirm the surface (`confirmation`); one that does not counts 0.

    Distances are those along the ray, pixel footprints. Confirmed means: within 1 % of depth, one pixel forward and
    back, and 60 degrees.

    Args:
        ref: the view.
        sources: each with the pose src_from_ref; read one at a time.
    """
    support, count = np.zeros(ref.depth.shape, np.float32), 0
    for src, src_from_ref in sources:
        add_confirmations(ref, src, np.ascontiguousarray(src_from_ref[:3]), _LIMITS, support)
        count += 1
    return support / np.float32(max(count, 1))


@njit(**KERNEL, _nrt=False)
def add_confirmations(ref, src, src_from_ref, limits, support):
    """Add what one source says; see `surface_support`.

    Args:
        ref, src: `Surface`.
        src_from_ref: (3, 4) float64.
        limits: `Limits`.
        support: (H, W) float32, added to.
    """
    height, width = ref.depth.shape
    focal, k = ref.camera[0], 1 / NORMAL_SCALE
    for row in range(height):
        for column in range(width):
            z = ref.depth[row, column]
            if z <= 0 or ref.state[row, column]:
                continue
            verdict, _, _, _, depth, nx, ny, nz = meet(row, column, ref, src, src_from_ref, limits)
            if verdict > 0:
                n = ref.normal[row, column]
                distance = (depth - z) * focal / z
                support[row, column] += confirmation(distance, nx - n[0] * k, ny - n[1] * k, nz - n[2] * k)
