"""The visual hull on a grid: cells that no view sees outside the object (Laurentini 1994)."""

from __future__ import annotations

import math

import numpy as np

from anyview.jit import njit, prange


@njit(nogil=True, cache=True, parallel=True)
def carve(cells, low, size, projections, masks, whole, keep):
    """Clear `keep` (cells^3, x fastest) where a cell's centre is off the object in some view.

    Args:
        cells: per side of a cube that begins at `low` (3) and is `size` wide.
        projections: (V, 3, 4) world to pixels, homogeneous.
        masks: (V, H, W) uint8, grown by the radius of a cell.
        whole: (V), whether the object lies wholly inside the image: then what is outside the image is off the object.
        keep: uint8.
    """
    views, height, width = masks.shape
    for z in prange(cells):
        pz = low[2] + (z + 0.5) / cells * size
        for y in range(cells):
            py = low[1] + (y + 0.5) / cells * size
            for x in range(cells):
                px = low[0] + (x + 0.5) / cells * size
                for v in range(views):
                    p = projections[v]
                    depth = p[2, 0] * px + p[2, 1] * py + p[2, 2] * pz + p[2, 3]
                    if depth <= 0:
                        continue
                    u = math.floor((p[0, 0] * px + p[0, 1] * py + p[0, 2] * pz + p[0, 3]) / depth)
                    w = math.floor((p[1, 0] * px + p[1, 1] * py + p[1, 2] * pz + p[1, 3]) / depth)
                    if 0 <= u < width and 0 <= w < height:
                        if masks[v, np.int64(w), np.int64(u)] == 0:
                            keep[(z * cells + y) * cells + x] = 0
                            break
                    elif whole[v]:
                        keep[(z * cells + y) * cells + x] = 0
                        break
