"""How well the source views' own surfaces confirm a view's: the evidence for each pixel, apart from how it matches.

A match can be good and wrong: highlights move like something behind the surface, plain areas match anywhere. What
they give differs from view to view, in position or at least in normal.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32

from anyview.jit import njit
from anyview.reconstruction.fusion_kernels import Estimates, Limits, Maps, candidates, compare
from anyview.typing import Pose

_LIMITS = Limits(
    reprojection=1.0, depth=0.01, cosine=0.5, min_views=2, consensus=0.0, nearest=0.0, farthest=float("inf")
)


def surface_support(ref: Maps, sources: Iterable[tuple[Maps, Pose]]) -> Float32[np.ndarray, "H W"]:
    """The mean over all sources of exp(-(d / 2 + 5 a)), 0 for a source that does not confirm the surface.

    d is the distance along the ray from the pixel's surface to the source's, pixel footprints; a the angle between
    their normals, radians. Confirmed means: within 1 % of depth, one pixel forward and back, and 60 degrees.

    Args:
        ref: the view.
        sources: each with the pose src_from_ref; read one at a time.
    """
    pixels = candidates(ref, 0, ref.depth.shape[0])
    total, count = np.zeros(len(pixels), np.float32), 0
    shape = (1, len(pixels))
    f4, u1 = np.float32, np.uint8
    found = Estimates(
        np.empty(shape, f4), np.empty(shape, f4), np.empty(shape, np.int32),
        np.empty((*shape, 3), f4), np.empty((*shape, 3), u1), np.empty(shape, u1),
    )  # fmt: skip
    for src, src_from_ref in sources:
        compare(pixels, ref, src, np.ascontiguousarray(src_from_ref[:3]), _LIMITS, found, 0)
        add_agreement(pixels, ref.depth, ref.normal, ref.camera[0], found, total)
        count += 1
    support = np.zeros(ref.depth.size, np.float32)
    support[pixels] = total / max(count, 1)
    return support.reshape(ref.depth.shape)


@njit(nogil=True, cache=True, error_model="numpy")
def add_agreement(pixels, depth, normal, focal, found, total):
    """Add exp(-(d / 2 + 5 a)) of one source; see `surface_support`.

    Args:
        pixels: (N,) int32, row-major.
        depth: (H, W) float32, the reference's.
        normal: (H, W, 3) int16, the reference's.
        focal: pixels.
        found: `Estimates` with one row.
        total: (N,) float32, added to.
    """
    width = depth.shape[1]
    for i in range(len(pixels)):
        if found.weight[0, i] > 0:
            row, column = pixels[i] // width, pixels[i] % width
            z = depth[row, column]
            d = abs(found.depth[0, i] - z) * focal / z
            dot, own, other = 0.0, 0.0, 0.0
            for c in range(3):
                n, m = float(normal[row, column, c]), float(found.normal[0, i, c])
                dot, own, other = dot + n * m, own + n * n, other + m * m
            a = np.arccos(min(dot / np.sqrt(own * other + 1e-30), 1.0))
            total[i] += np.exp(-(0.5 * d + 5.0 * a))
